// The WebAssembly specification's test suite on one engine, through the interfaces of
// wasm/runtime.h.
//
//   wasm-tools json-from-wast linking.wast -o spec/linking.json --wasm-dir spec
//   build/release/tests/spectest --engine wasmtime spec/*.json
//
// Prints a line a file, then a total and why what was skipped; exits with 1 if something failed and
// with 2 if the engine could not be made.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <iostream>

#include "script.h"
#include "wasm/engines.h"
#ifdef SEAM_HAS_WASMI
#include "wasm/wasmi/wasmi.h"
#endif
#include "wasm/wasmtime/wasmtime.h"
#ifdef SEAM_HAS_WAZERO
#include "wasm/wazero/wazero.h"
#endif

namespace seam::wasm {
namespace {

// Instances of one script live until its end.
constexpr std::uint32_t kInstancesMax = 1000;

std::vector<EngineAdapter> adapters() {
  std::vector<EngineAdapter> all = {wasmtime_adapter()};
#ifdef SEAM_HAS_WASMI
  all.push_back(wasmi_adapter());
#endif
#ifdef SEAM_HAS_WAZERO
  all.push_back(wazero_adapter());
#endif
  return all;
}

std::filesystem::path library_folder() {
  const std::filesystem::path program = std::filesystem::canonical("/proc/self/exe");
  return program.parent_path().parent_path().parent_path() / "lib/seam/engines";
}

struct Totals {
  std::size_t passed = 0;
  std::size_t failed = 0;
  std::map<std::string, std::size_t> skipped;
  [[nodiscard]] std::size_t skipped_in_all() const {
    return ScriptResult{.passed = 0, .skipped = skipped, .failures = {}}.skipped_in_all();
  }
};

boost::json::object to_json(const std::map<std::string, std::size_t>& skipped) {
  boost::json::object out;
  for (const auto& [reason, count] : skipped) out[reason] = count;
  return out;
}

boost::json::object to_json(const std::string& file, const ScriptResult& result) {
  boost::json::array failures;
  for (const ScriptResult::Failure& each : result.failures) {
    failures.push_back({{"line", each.line}, {"command", each.command}, {"message", each.message}});
  }
  return {{"file", file},
          {"passed", result.passed},
          {"failed", result.failures.size()},
          {"skipped", to_json(result.skipped)},
          {"failures", std::move(failures)}};
}

void print(const std::string& file, const ScriptResult& result) {
  std::cout << fmt::format("{}: {} passed, {} failed, {} skipped\n", file, result.passed,
                           result.failures.size(), result.skipped_in_all());
  for (const ScriptResult::Failure& each : result.failures)
    std::cout << fmt::format("  line {}, {}: {}\n", each.line, each.command, each.message);
}

struct Options {
  std::string engine;
  std::string mode;
  std::string libraries = library_folder().string();
  bool json = false;
  std::vector<std::string> files;
};

int cannot(const Error& error) {
  std::cerr << fmt::format("spectest: {}: {}\n", to_string(error.code), error.message);
  return 2;
}

int run(const EngineAdapter& adapter, const Options& options) {
  const EngineOptions made_with{
      .mode = options.mode, .instances_max = kInstancesMax, .library_folder = options.libraries};
  const Outcome<std::string> version = adapter.version(made_with);
  if (!version) return cannot(version.error());
  const Outcome<std::unique_ptr<Runtime>> runtime = adapter.make(made_with);
  if (!runtime) return cannot(runtime.error());
  // An engine may have no modes.
  const std::string mode = options.mode.empty() && !adapter.modes.empty()
                               ? std::string(adapter.modes.front())
                               : options.mode;
  const std::vector<std::string> proposals = adapter.capabilities(mode).proposals;
  const auto test = SpecTest::make(**runtime, proposals);
  if (!test) return cannot(test.error());

  Totals totals;
  boost::json::array files;
  for (const std::string& file : options.files) {
    const ScriptResult result = (*test)->run(file);
    totals.passed += result.passed;
    totals.failed += result.failures.size();
    for (const auto& [reason, count] : result.skipped) totals.skipped[reason] += count;
    if (options.json) {
      files.push_back(to_json(file, result));
    } else {
      print(file, result);
    }
  }
  if (options.json) {
    boost::json::object out{{"engine", adapter.name}, {"version", *version}, {"mode", mode}};
    out["proposals"] = boost::json::array(proposals.begin(), proposals.end());
    out["passed"] = totals.passed;
    out["failed"] = totals.failed;
    out["skipped"] = to_json(totals.skipped);
    out["files"] = std::move(files);
    std::cout << out << '\n';
  } else {
    std::cout << fmt::format("{} {} {}: {} passed, {} failed, {} skipped in {} file{}\n",
                             adapter.name, *version, mode, totals.passed, totals.failed,
                             totals.skipped_in_all(), options.files.size(),
                             options.files.size() == 1 ? "" : "s");
    for (const auto& [reason, count] : totals.skipped)
      std::cout << fmt::format("  {} skipped: {}\n", count, reason);
  }
  return totals.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace seam::wasm

int main(int argc, char** argv) {
  using namespace seam::wasm;
  Options options;
  const std::vector<EngineAdapter> engines = adapters();
  std::vector<std::string> names;
  for (const EngineAdapter& each : engines) names.emplace_back(each.name);
  CLI::App app("Runs the WebAssembly specification's tests on one engine");
  app.add_option("--engine", options.engine, "which")->required()->check(CLI::IsMember(names));
  app.add_option("--mode", options.mode, "one of the engine's; its first without");
  app.add_option("--libraries", options.libraries, "where engines that are libraries lie");
  app.add_flag("--json", options.json, "one JSON object instead of lines");
  app.add_option("FILE", options.files, "what `wasm-tools json-from-wast` wrote")->required();
  CLI11_PARSE(app, argc, argv);
  for (const EngineAdapter& each : engines) {
    if (each.name != options.engine) continue;
    if (!options.mode.empty() && std::ranges::find(each.modes, options.mode) == each.modes.end()) {
      std::cerr << fmt::format("spectest: {} has no mode {}\n", each.name, options.mode);
      return 2;
    }
    return run(each, options);
  }
  return 2;
}
