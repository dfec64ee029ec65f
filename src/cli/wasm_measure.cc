#include "cli/wasm_measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>

#include "base/identifier.h"
#include "base/json_text.h"
#include "cli/wasm_engines.h"

namespace seam::cli {
namespace {

// Moves on by a microsecond each time that it is read: two engines see the same times, and a guest
// that waits for time to pass by reading it sees it pass.
class SteppingClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime now() const override { return MonotonicTime(step()); }
  [[nodiscard]] WallTime wall_now() const override {
    return WallTime(seconds(1'700'000'000)) + std::chrono::floor<microseconds>(step());
  }

 private:
  [[nodiscard]] nanoseconds step() const { return ++reads_ * microseconds(1); }
  mutable std::int64_t reads_ = 0;  // one guest reads it, on one thread
};

// SplitMix64 from the same seed for each run.
thread_local std::uint64_t random_state = 0;

void made_up_random(std::span<std::byte> bytes) {
  for (std::byte& byte : bytes) {
    random_state += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = random_state;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    byte = static_cast<std::byte>(mixed >> 56U);
  }
}

// Takes what a guest writes and keeps its digest alone: of blocks of a fixed size, each after the
// digest of those before, so that it does not matter how a write was cut up.
class OutputHash final : public wasm::WasiSink {
 public:
  wasm::Outcome<> write(int stream, std::span<const std::byte> bytes) override {
    if (stream != stream_) add(fmt::format("\0{}", stream_ = stream));
    bytes_ += bytes.size();
    add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return {};
  }
  [[nodiscard]] bool is_terminal(int) const override { return false; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::string digest() const { return sha256_hex(before_ + block_); }

 private:
  void add(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::size_t size = std::min(bytes.size(), kBlockBytes - block_.size());
      block_ += bytes.substr(0, size);
      bytes.remove_prefix(size);
      if (block_.size() < kBlockBytes) return;
      before_ = sha256_hex(before_ + block_);
      block_.clear();
    }
  }

  static constexpr std::size_t kBlockBytes = 1U << 20U;
  int stream_ = 0;
  std::uint64_t bytes_ = 0;
  std::string before_;
  std::string block_;
};

// A line of /proc/self/status, in bytes; 0 where there is none.
std::uint64_t memory_of_process(std::string_view key) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != key) continue;
    std::uint64_t kib = 0;
    status >> kib;
    return kib << 10U;
  }
  return 0;
}

double median(std::vector<nanoseconds> times) {
  std::ranges::sort(times);
  const std::size_t half = times.size() / 2;
  const nanoseconds middle =
      times.size() % 2 == 1 ? times[half] : (times[half - 1] + times[half]) / 2;
  return static_cast<double>(middle.count()) / 1e6;
}

// Runs it once and takes down how it ended.
void run_once(EngineRun& run, wasm::Context& context, const wasm::CompiledModule& module,
              const GuestOptions& guest, std::string_view input,
              std::vector<nanoseconds>& start_times, std::vector<nanoseconds>& run_times) {
  const SteppingClock clock;
  OutputHash output;
  wasm::WasiState wasi;
  wasi.stdin_bytes = input;
  wasi.clock = &clock;
  wasi.random = made_up_random;
  wasi.sink = &output;
  random_state = 0;
  if (const Result<> given = give(guest, wasi); !given) {
    run.refused = given.error().message;
    return;
  }
  const GuestEnd end =
      run_guest(context, module, guest, wasi,
                guest.timeout ? Deadline::after(*guest.timeout) : Deadline::never());
  const std::string before = run.verdict();
  run.outcome = end.outcome();
  run.message = end.error ? end.error->message : std::string();
  run.results = render_results(end.results);
  run.output_hash = output.digest();
  run.output_bytes = output.bytes();
  run.guest_memory_bytes = std::max(run.guest_memory_bytes, end.memory_bytes);
  if (!run_times.empty() && run.verdict() != before) run.varies = true;
  start_times.push_back(end.start_time);
  run_times.push_back(end.run_time);
}

}  // namespace

std::string EngineRun::verdict() const {
  if (!refused.empty()) return "refused";
  if (outcome == wasm::to_string(wasm::ErrorCode::kDeadlineExceeded) ||
      outcome == wasm::to_string(wasm::ErrorCode::kLimitExceeded)) {
    return outcome;
  }
  return fmt::format("{} {} {}", outcome, results, output_hash);
}

std::string EngineRun::render() const {
  std::string out = "{";
  const auto text = [&](std::string_view name, std::string_view value) {
    out += fmt::format("{}\"{}\":", out.size() > 1 ? "," : "", name);
    append_json_string(out, value);
  };
  text("engine", engine);
  text("mode", mode);
  text("not_loaded", not_loaded);
  text("refused", refused);
  text("outcome", outcome);
  text("message", message);
  text("output_hash", output_hash);
  return fmt::format(
      R"({},"results":{},"output_bytes":{},"varies":{},"compile_ms":{:.3f},"start_ms":{:.3f},)"
      R"("run_ms":{:.3f},"guest_memory_bytes":{},"peak_memory_bytes":{}}})",
      out, results, output_bytes, varies, compile_ms, start_ms, run_ms, guest_memory_bytes,
      peak_memory_bytes);
}

Result<EngineRun> EngineRun::parse(std::string_view json) {
  const auto wrong = [] {
    return fail(seam::ErrorCode::kInvalidArgument, "the engine's process did not say how it went");
  };
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(json, error);
  if (error || !value.is_object()) return wrong();
  const boost::json::object& object = value.get_object();
  const auto text = [&](std::string_view name) -> std::string {
    const boost::json::value* found = object.if_contains(name);
    return found != nullptr && found->is_string() ? std::string(found->get_string()) : "";
  };
  const auto number = [&]<class T>(std::string_view name, T& out) {
    const boost::json::value* found = object.if_contains(name);
    boost::system::error_code ignored;
    if (found != nullptr && found->is_number()) out = found->to_number<T>(ignored);
  };
  EngineRun run;
  run.engine = text("engine");
  run.mode = text("mode");
  run.not_loaded = text("not_loaded");
  run.refused = text("refused");
  run.outcome = text("outcome");
  run.message = text("message");
  run.output_hash = text("output_hash");
  if (run.engine.empty()) return wrong();
  if (const auto* results = object.if_contains("results")) run.results = serialize(*results);
  if (const auto* varies = object.if_contains("varies"))
    run.varies = varies->is_bool() && varies->get_bool();
  number("output_bytes", run.output_bytes);
  number("compile_ms", run.compile_ms);
  number("start_ms", run.start_ms);
  number("run_ms", run.run_ms);
  number("guest_memory_bytes", run.guest_memory_bytes);
  number("peak_memory_bytes", run.peak_memory_bytes);
  return run;
}

EngineRun measure(const GuestOptions& guest, const wasm::EngineChoice& choice,
                  std::string_view module, std::string_view input, std::uint64_t repeat) {
  EngineRun run{.engine = choice.engine, .mode = choice.mode};
  const std::uint64_t memory_before = memory_of_process("VmRSS:");
  const auto made = wasm_engines().make(choice, {.fuel = guest.limits.fuel.has_value(),
                                                 .instances_max = 1,
                                                 .library_folder = engine_library_folder()});
  if (!made) {
    (made.error().code == wasm::ErrorCode::kRuntimeNotFound ? run.not_loaded : run.refused) =
        made.error().message;
    return run;
  }
  wasm::HostModule host;
  wasm::add_wasi(host);
  std::vector<nanoseconds> compile_times;
  std::vector<nanoseconds> start_times;
  std::vector<nanoseconds> run_times;
  for (std::uint64_t i = 0; i < repeat && run.refused.empty(); ++i) {
    const MonotonicTime begun = MonotonicClock::now();
    const auto compiled = made->runtime->compile(module);
    compile_times.push_back(MonotonicClock::now() - begun);
    const auto context =
        compiled ? made->runtime->link(**compiled, host) : std::unexpected(compiled.error());
    if (!context) {
      run.refused =
          fmt::format("{}: {}", wasm::to_string(context.error().code), context.error().message);
      return run;
    }
    run_once(run, **context, **compiled, guest, input, start_times, run_times);
  }
  if (!run.refused.empty()) return run;
  run.compile_ms = median(std::move(compile_times));
  run.start_ms = median(std::move(start_times));
  run.run_ms = median(std::move(run_times));
  const std::uint64_t peak = memory_of_process("VmHWM:");
  run.peak_memory_bytes = peak > memory_before ? peak - memory_before : 0;
  return run;
}

}  // namespace seam::cli
