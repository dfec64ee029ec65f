// Runs tests of wasi-testsuite through our interfaces on one engine.
//
//   wasitest [--engine NAME[:MODE]] [--libraries DIR] [--path-walk kernel|steps] DIR_OR_FILE…
//
// Each test is run twice: with paths resolved by the kernel, where it can, and by our own steps.
// Exits with 0 if no test failed, 1 if one did or there was none, 2 for a wrong command line, 77 if
// the engine cannot be loaded here.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

#include "suite.h"
#include "wasm/engines.h"
#ifdef SEAM_HAS_WASMI
#include "wasm/wasmi/wasmi.h"
#endif
#include "wasm/wasmtime/wasmtime.h"
#ifdef SEAM_HAS_WAZERO
#include "wasm/wazero/wazero.h"
#endif

namespace {

using namespace seam;
using Kind = wasitest::TestResult::Kind;

int usage(std::string_view wrong) {
  fmt::print(stderr,
             "wasitest: {}\nusage: wasitest [--engine NAME[:MODE]] [--libraries DIR] "
             "[--path-walk kernel|steps] DIR_OR_FILE…\n",
             wrong);
  return 2;
}

wasm::Engines engines() {
  std::vector<wasm::EngineAdapter> all = {wasm::wasmtime_adapter()};
#ifdef SEAM_HAS_WASMI
  all.push_back(wasm::wasmi_adapter());
#endif
#ifdef SEAM_HAS_WAZERO
  all.push_back(wasm::wazero_adapter());
#endif
  return wasm::Engines(std::move(all));
}

// "wazero:interpreter": an engine, and a mode of its.
wasm::Outcome<wasm::MadeEngine> make_engine(std::string_view name, std::string_view libraries) {
  const std::size_t colon = std::min(name.find(':'), name.size());
  const std::string_view mode = name.substr(std::min(colon + 1, name.size()));
  const wasm::Engines all = engines();
  SEAM_ASSIGN_OR_RETURN(const wasm::EngineChoice choice, all.choose(name.substr(0, colon), mode));
  return all.make(choice, {.instances_max = 8, .library_folder = libraries});
}

}  // namespace

int main(int argc, char** argv) {
  std::string_view engine = "wasmtime";
  std::string_view libraries = SEAM_ENGINE_LIBRARIES;
  std::vector<wasm::WasiPathWalk> walks = {wasm::WasiPathWalk::kSteps};
  if (wasm::wasi_path_walk_of_host() == wasm::WasiPathWalk::kKernel)
    walks.push_back(wasm::WasiPathWalk::kKernel);
  std::vector<std::filesystem::path> places;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument != "--engine" && argument != "--libraries" && argument != "--path-walk") {
      if (argument.starts_with("--")) return usage(fmt::format("{} is not known", argument));
      places.emplace_back(argument);
      continue;
    }
    if (++i == argc) return usage(fmt::format("{} wants a value", argument));
    const std::string_view value = argv[i];
    if (argument == "--engine") {
      engine = value;
    } else if (argument == "--libraries") {
      libraries = value;
    } else if (value == "kernel" || value == "steps") {
      walks = {value == "kernel" ? wasm::WasiPathWalk::kKernel : wasm::WasiPathWalk::kSteps};
    } else {
      return usage(fmt::format("--path-walk is 'kernel' or 'steps', not '{}'", value));
    }
  }
  if (places.empty()) return usage("name a folder of tests, or a test");

  const auto made = make_engine(engine, libraries);
  if (!made) {
    fmt::print(stderr, "wasitest: {}\n", made.error().message);
    return made.error().code == wasm::ErrorCode::kRuntimeNotFound ? 77 : 2;
  }
  std::size_t counts[3] = {};
  for (const std::filesystem::path& place : places) {
    for (const std::filesystem::path& module : wasitest::find_modules(place)) {
      const wasitest::TestResult result = wasitest::run_test(*made->runtime, module, walks);
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
