#pragma once
// The engines that these tests run. A new engine is one line of engines.cc.

#include <filesystem>
#include <vector>

#include "wasm/engines.h"

namespace seam::endurance {

[[nodiscard]] std::vector<wasm::EngineAdapter> engines();
// Where the build has put the engines' shared libraries.
[[nodiscard]] std::filesystem::path library_folder();

}  // namespace seam::endurance
