// What a call of a reactor with a fresh instance costs beyond the way to the runtime.
#include <benchmark/benchmark.h>

#include "base/event_loop.h"
#include "base/identifier.h"
#include "runtimes/wasm/wasm_runtime.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::runtimes {
namespace {

struct Sink final : CallSink {
  void on_result(std::string_view chunk) override { bytes += chunk.size(); }
  void on_log(LogStream, std::string_view) override {}
  std::size_t bytes = 0;
};

Task<> call_many(benchmark::State& state, Runtime& runtime, ProgramPtr program, Sink& sink,
                 EventLoop& loop) {
  const std::string params(static_cast<std::size_t>(state.range(0)), '1');
  const Call call{.call_id = "bench",
                  .params = params,
                  .context = "{}",
                  .deadline = Deadline::after(std::chrono::hours(1)),
                  .cancelled = {}};
  for (auto _ : state) {
    const Outcome outcome = co_await runtime.run(program, call, sink);
    CHECK(std::holds_alternative<Completed>(outcome.value));
  }
  loop.stop();
}

void BM_ReactorCall(benchmark::State& state) {
  const std::unique_ptr<Runtime> runtime = make_wasm_runtime(*wasm::make_wasmtime({}), {});
  auto program = std::make_shared<Program>();
  program->content = *wasm::wasm_from_text(R"((module (memory (export "memory") 17)
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "handle") (param i32 i32) (result i64)
      (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))))");
  program->id = program->hash = sha256_hex(program->content);
  EventLoop loop("bench");
  Sink sink;
  loop.post([&] { start(call_many(state, *runtime, program, sink, loop)); });
  loop.run();
  state.counters["result_bytes"] =
      static_cast<double>(sink.bytes) / static_cast<double>(state.iterations());
}
BENCHMARK(BM_ReactorCall)->Arg(200)->Arg(100'000);

}  // namespace
}  // namespace seam::runtimes
