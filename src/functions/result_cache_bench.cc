// What a call that the cache answers pays for it: the key, and the look-up with its lock, alone and
// with other threads at the same shard.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <string>
#include <vector>

#include "base/event_loop.h"
#include "functions/canonical_json.h"
#include "functions/result_cache.h"

namespace seam::functions {
namespace {

constexpr CacheTerms kTerms{
    .keep = true, .look = true, .age_max = seconds(3600), .keep_for = seconds(3600)};

class EchoRuntime final : public runtimes::Runtime {
 public:
  [[nodiscard]] std::string_view name() const override { return "echo"; }
  [[nodiscard]] Task<runtimes::RuntimeCounts> counts() override {
    co_return runtimes::RuntimeCounts();
  }
  [[nodiscard]] Task<Result<void>> prepare(runtimes::ProgramPtr) override {
    co_return Result<void>();
  }
  [[nodiscard]] Task<runtimes::Outcome> run(runtimes::ProgramPtr, const runtimes::Call& call,
                                            runtimes::CallSink& sink) override {
    sink.on_result(call.params);
    co_return runtimes::Outcome{};
  }
  void release(const std::string&) override {}
  [[nodiscard]] runtimes::RuntimeHealth health() const override { return {}; }
  [[nodiscard]] Task<> shut_down() override { co_return; }
};

class NoSink final : public runtimes::CallSink {
 public:
  void on_result(std::string_view chunk) override { benchmark::DoNotOptimize(chunk.data()); }
  void on_log(runtimes::LogStream, std::string_view) override {}
};

CallIdentity call_with(std::string_view params) {
  return {.implementation_id = 17, .context = "{}", .params = params};
}

std::string params_of(int number) {
  return fmt::format(R"({{"operation":"add","a":1,"b":{}}})", number);
}

constexpr int kKeys = 1000;

// Holds kKeys results. Lives as long as the process, since threads of a benchmark share it.
ResultCache& filled_cache() {
  static EchoRuntime runtime;
  static ResultCache* cache = [] {
    auto* fresh = new ResultCache(Clock::real(), 64U << 20U);
    EventLoop loop("fill");
    loop.post([&] {
      for (int i = 0; i < kKeys; ++i) {
        static NoSink sink;
        const std::string params = params_of(i);
        SharedRun run{
            .runtime = &runtime, .params = params, .context = "{}", .timeout = seconds(60)};
        start(fresh->run(*fresh->key_of(call_with(params)), kTerms, std::move(run), sink),
              [](const RunEnd&) {});
      }
    });
    loop.poll();
    return fresh;
  }();
  return *cache;
}

void canonical_params(benchmark::State& state) {
  CanonicalJson canonical;
  std::string out;
  for (auto _ : state) {
    out.clear();
    canonical.append(R"({"operation":"add","a":1,"b":2})", out);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(canonical_params);

void key(benchmark::State& state) {
  const ResultCache& cache = filled_cache();
  const std::string params = params_of(2);
  for (auto _ : state) benchmark::DoNotOptimize(cache.key_of(call_with(params)));
}
BENCHMARK(key);

// Key, lock and look-up; every thread asks for the same.
void hit_of_one_key(benchmark::State& state) {
  ResultCache& cache = filled_cache();
  const std::string params = params_of(2);
  for (auto _ : state) {
    const KeptResultPtr kept = cache.find(*cache.key_of(call_with(params)), kTerms);
    if (!kept) state.SkipWithError("not kept");
  }
}
BENCHMARK(hit_of_one_key)->Threads(1)->Threads(2)->UseRealTime();

// Lock and look-up alone; every thread goes through its own keys.
void look_up_of_many_keys(benchmark::State& state) {
  ResultCache& cache = filled_cache();
  std::vector<std::string> texts;
  std::vector<CacheKeyView> keys;
  for (int i = 0; i < kKeys; ++i) {
    const CacheKeyView one = *cache.key_of(call_with(params_of(i)));
    texts.emplace_back(one.text);
    keys.push_back({one.hash, {}});
  }
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i].text = texts[i];
  std::size_t i = static_cast<std::size_t>(state.thread_index()) * 391;
  for (auto _ : state) {
    const KeptResultPtr kept = cache.find(keys[i++ % keys.size()], kTerms);
    if (!kept) state.SkipWithError("not kept");
  }
}
BENCHMARK(look_up_of_many_keys)->Threads(1)->Threads(2)->UseRealTime();

}  // namespace
}  // namespace seam::functions
