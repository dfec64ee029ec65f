#pragma once
// One test of wasi-testsuite: a module, and what it is given and must do, in a JSON file of the
// same name beside it.
//
//   for (const std::filesystem::path& module : find_modules(folder)) {
//     const TestResult result = run_test(runtime, module, walks);
//   }
//
// source    wasi-testsuite, doc/specification.md: the form for preview 1.

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "wasm/runtime.h"
#include "wasm/wasi_paths.h"

namespace seam::wasitest {

struct TestResult {
  enum class Kind { kPassed, kFailed, kSkipped };
  Kind kind = Kind::kPassed;
  std::string reason;  // of what has not passed
};

// The modules below a folder, or the file itself, in the order of their names.
[[nodiscard]] std::vector<std::filesystem::path> find_modules(const std::filesystem::path& where);

// Compiles it once and runs it with each of `walks`, over a copy of the folder that it wants as its
// root, so that the tests stay as they are.
[[nodiscard]] TestResult run_test(wasm::Runtime& runtime, const std::filesystem::path& module,
                                  std::span<const wasm::WasiPathWalk> walks);

}  // namespace seam::wasitest
