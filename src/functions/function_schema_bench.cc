// What it costs to check the params of a call.
#include <benchmark/benchmark.h>

#include <string>

#include "functions/function_schema.h"

namespace seam::functions {
namespace {

void check(benchmark::State& state, std::string_view schema_text, const std::string& params) {
  const auto schema = FunctionSchema::compile(schema_text);
  if (!schema) return state.SkipWithError(schema.error().message.c_str());
  bool ok = true;
  for (auto iteration : state) {
    ok = schema->check_params(params).has_value();
    benchmark::DoNotOptimize(ok);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(params.size()));
  state.SetLabel(ok ? "valid" : "invalid");
}

constexpr std::string_view kCalculator =
    R"({"params":{"type":"object","required":["operation","a","b"],"properties":{)"
    R"("operation":{"enum":["add","subtract","multiply","divide"]},"a":{"type":"number"},"b":{"type":"number"}}}})";

void valid_calculator(benchmark::State& state) {
  check(state, kCalculator, R"({"operation":"add","a":1,"b":2.5})");
}
BENCHMARK(valid_calculator);

void invalid_calculator(benchmark::State& state) {
  check(state, kCalculator, R"({"operation":"add","a":1,"b":"2.5"})");
}
BENCHMARK(invalid_calculator);

void no_schema(benchmark::State& state) {
  check(state, "", R"({"operation":"add","a":1,"b":2.5})");
}
BENCHMARK(no_schema);

void numbers(benchmark::State& state) {
  std::string params = "[0";
  for (std::int64_t i = 1; i < state.range(0); ++i) params += "," + std::to_string(i) + ".5";
  check(state, R"({"params":{"items":{"type":"number","minimum":0}}})", params + "]");
}
BENCHMARK(numbers)->Arg(1000)->Arg(100'000);

}  // namespace
}  // namespace seam::functions
