// What a record costs, and a start with many sessions.

#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>

#include "base/check.h"
#include "store/masking.h"
#include "store/sqlite/tables.h"

namespace seam::store {
namespace {

struct Bench {
  Bench() {
    std::string name = (std::filesystem::temp_directory_path() / "seam-XXXXXX").string();
    CHECK(::mkdtemp(name.data()) != nullptr);
    directory = name;
    auto opened = Tables::open(directory / "seam.db", Tables::Role::kWriter);
    CHECK(opened.has_value());
    tables = *std::move(opened);
  }
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;
  ~Bench() {
    tables.reset();
    std::filesystem::remove_all(directory);
  }
  std::filesystem::path directory;
  std::unique_ptr<Tables> tables;
};

CallRecord make_record(std::uint64_t i) {
  CallRecord record;
  // Random, as a UUID is: the indexes must not be spared by order.
  const std::uint64_t mixed = i * 0x9E3779B97F4A7C15U;
  record.call_id = std::to_string(mixed) + "-4a3b-8c2d-0123456789ab";
  record.request_id = std::to_string(mixed % 1000) + "-4a3b-8c2d-0123456789ab";
  record.has_session = true;
  record.language_title = "nodejs-calculator";
  record.started_at = WallTime(microseconds(1'700'000'000'000'000 + i));
  record.client_ip = "127.0.0.1";
  record.user_id = "alice";
  record.request_headers = R"({"user-agent":"bench"})";
  record.request_payload.assign(100, 'p');
  record.response_payload.assign(100, 'r');
  record.runtime_metrics = R"({"queue_us":3,"run_us":500})";
  return record;
}

void write_records(benchmark::State& state) {
  Bench bench;
  std::vector<JournaledRecord> batch(static_cast<std::size_t>(state.range(0)));
  std::uint64_t sequence = 0;
  for (auto _ : state) {
    for (JournaledRecord& record : batch) {
      ++sequence;
      record = {0, sequence, make_record(sequence)};
    }
    CHECK(bench.tables->begin().has_value());
    CHECK(bench.tables->write_records(batch).has_value());
    CHECK(bench.tables->commit().has_value());
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(sequence));
}
BENCHMARK(write_records)->Arg(2048)->Unit(benchmark::kMillisecond);

void load_sessions(benchmark::State& state) {
  Bench bench;
  const WallTime now(microseconds(1'700'000'000'000'000));
  CHECK(bench.tables->begin().has_value());
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    SessionRow session;
    session.request_id = std::to_string(i) + "-4a3b-8c2d-0123456789ab";
    session.language_title = "nodejs-calculator";
    session.status = "initialized";
    session.context = "{}";
    session.created_at = now;
    session.expires_at = now + seconds(3600);
    CHECK(bench.tables->put_session(session, now).has_value());
  }
  CHECK(bench.tables->commit().has_value());
  for (auto _ : state) {
    const Result<Snapshot> snapshot = bench.tables->load(now);
    CHECK(snapshot.has_value());
    CHECK(snapshot->sessions.size() == static_cast<std::size_t>(state.range(0)));
  }
}
// Small, so that it runs as a test; `--benchmark_filter=load_sessions/100000` measures a start.
BENCHMARK(load_sessions)->Arg(1000)->Arg(100'000)->Unit(benchmark::kMillisecond);

void mask(benchmark::State& state) {
  const std::string json =
      R"({"user":"bob","items":[{"name":"apple","count":3,"price":1.25},{"name":"pear","count":1,)"
      R"("price":0.75}],"address":{"street":"Main Street 1","city":"Springfield","zip":"12345"},)"
      R"("note":"leave at the door"})";
  std::string out;
  for (auto _ : state) {
    out.clear();
    mask_secrets(json, kPayloadBytesMax, out);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(json.size()) * state.iterations());
}
BENCHMARK(mask);

}  // namespace
}  // namespace seam::store
