#pragma once
// Runs the scripts of the WebAssembly specification's test suite, in the JSON form that
// `wasm-tools json-from-wast` writes, on one engine and through the interfaces of wasm/runtime.h.
//
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<SpecTest> tests, SpecTest::make(*runtime, proposals));
//   const ScriptResult result = tests->run("build/spec/linking.json");

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "wasm/runtime.h"

namespace seam::wasm {

struct ScriptResult {
  struct Failure {
    std::int64_t line = 0;  // of the .wast file
    std::string command;    // "assert_return"
    std::string message;
  };
  std::size_t passed = 0;                      // commands that did what they should
  std::map<std::string, std::size_t> skipped;  // by the reason
  std::vector<Failure> failures;

  [[nodiscard]] std::size_t skipped_in_all() const;
};

// One engine under test. One thread.
class SpecTest {
 public:
  // `proposals` is what the engine claims: EngineCapabilities::proposals. The runtime is borrowed.
  // errors    as Runtime::compile()'s: the engine takes not even the module `spectest`
  [[nodiscard]] static Outcome<std::unique_ptr<SpecTest>> make(
      Runtime& runtime, const std::vector<std::string>& proposals);

  // Never fails: what cannot be read is a failure in the result. A command is skipped only where
  // the engine refuses a module that needs a proposal which it does not claim, where a module is
  // over a limit of the engine, or where a host can neither give nor see what is tested.
  [[nodiscard]] ScriptResult run(const std::filesystem::path& file);
  // The same with the text of a script, whose modules lie in `folder`.
  [[nodiscard]] ScriptResult run(std::string_view text, const std::filesystem::path& folder);

 private:
  friend class Script;
  SpecTest(Runtime& runtime, std::set<std::string> proposals)
      : runtime_(runtime), proposals_(std::move(proposals)) {}

  [[nodiscard]] bool has(const std::string& proposal) const {
    return proposals_.contains(proposal);
  }

  Runtime& runtime_;
  std::set<std::string> proposals_;
  HostModule host_;
  std::vector<std::unique_ptr<CompiledModule>> spectest_;  // what every script may import
};

}  // namespace seam::wasm
