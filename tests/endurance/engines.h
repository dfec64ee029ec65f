#pragma once
// The engines that these tests run. A new engine is one line of engines.cc.

#include <filesystem>
#include <string>
#include <vector>

#include "wasm/engines.h"

namespace seam::endurance {

[[nodiscard]] std::vector<wasm::EngineAdapter> engines();
// The modes of one, or one without a name where it has none.
[[nodiscard]] inline std::vector<std::string> modes_of(const wasm::EngineAdapter& adapter) {
  std::vector<std::string> modes(adapter.modes.begin(), adapter.modes.end());
  if (modes.empty()) modes.emplace_back();
  return modes;
}
// "wasmtime cranelift", "wasmi".
[[nodiscard]] inline std::string name_of(const wasm::EngineAdapter& adapter,
                                         const std::string& mode) {
  return std::string(adapter.name) + (mode.empty() ? "" : " " + mode);
}
// Where the build has put the engines' shared libraries.
[[nodiscard]] std::filesystem::path library_folder();

}  // namespace seam::endurance
