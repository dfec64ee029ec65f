// Runs tests of wasi-testsuite through our interfaces on one engine.
//
//   wasitest [--engine NAME] [--path-walk kernel|steps] DIR_OR_FILE…
//
// Each test is run twice: with paths resolved by the kernel, where it can, and by our own steps.
// Exits with 0 if no test failed, 1 if one did or there was none, 2 for a wrong command line, 77 if
// the engine cannot be loaded here.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <string_view>
#include <vector>

#include "suite.h"
#include "wasm/wasmtime/wasmtime.h"

namespace {

using namespace seam;
using Kind = wasitest::TestResult::Kind;

int usage(std::string_view wrong) {
  fmt::print(stderr,
             "wasitest: {}\nusage: wasitest [--engine NAME] [--path-walk kernel|steps] "
             "DIR_OR_FILE…\n",
             wrong);
  return 2;
}

wasm::Outcome<std::unique_ptr<wasm::Runtime>> make_engine(std::string_view name) {
  if (name == "wasmtime") return wasm::make_wasmtime({.instances_max = 8});
  return wasm::fail(wasm::ErrorCode::kRuntimeNotFound,
                    fmt::format("there is no engine '{}' in this build", name));
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view engine = "wasmtime";
  std::vector<wasm::WasiPathWalk> walks = {wasm::WasiPathWalk::kSteps};
  if (wasm::wasi_path_walk_of_host() == wasm::WasiPathWalk::kKernel)
    walks.push_back(wasm::WasiPathWalk::kKernel);
  std::vector<std::filesystem::path> places;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument != "--engine" && argument != "--path-walk") {
      if (argument.starts_with("--")) return usage(fmt::format("{} is not known", argument));
      places.emplace_back(argument);
      continue;
    }
    if (++i == argc) return usage(fmt::format("{} wants a value", argument));
    const std::string_view value = argv[i];
    if (argument == "--engine") {
      engine = value;
    } else if (value == "kernel" || value == "steps") {
      walks = {value == "kernel" ? wasm::WasiPathWalk::kKernel : wasm::WasiPathWalk::kSteps};
    } else {
      return usage(fmt::format("--path-walk is 'kernel' or 'steps', not '{}'", value));
    }
  }
  if (places.empty()) return usage("name a folder of tests, or a test");

  const auto runtime = make_engine(engine);
  if (!runtime) {
    fmt::print(stderr, "wasitest: {}\n", runtime.error().message);
    return 77;
  }
  std::size_t counts[3] = {};
  for (const std::filesystem::path& place : places) {
    for (const std::filesystem::path& module : wasitest::find_modules(place)) {
      const wasitest::TestResult result = wasitest::run_test(**runtime, module, walks);
      static constexpr const char* kNames[] = {"passed ", "FAILED ", "skipped"};
      ++counts[static_cast<int>(result.kind)];
      fmt::print("{} {}/{}{}{}\n", kNames[static_cast<int>(result.kind)],
                 module.parent_path().filename().string(), module.stem().string(),
                 result.reason.empty() ? "" : ": ", result.reason);
      std::fflush(stdout);
    }
  }
  fmt::print("{}: {} passed, {} failed, {} skipped\n", engine, counts[0], counts[1], counts[2]);
  return counts[1] > 0 || counts[0] == 0 ? 1 : 0;
}
