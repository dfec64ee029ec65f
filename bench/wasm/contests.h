#pragma once
// The engines of the benchmark, each with what is written on its own API. A new engine is one line.

#include <vector>

#include "gates.h"

namespace seam::bench {

// One for each mode of each engine. `direct_folder` is where the libraries that are made for this
// benchmark lie.
[[nodiscard]] std::vector<Contest> contests(const SubjectOptions& common,
                                            const std::string& direct_folder);

// The engines alone.
[[nodiscard]] std::vector<wasm::EngineAdapter> adapters();

}  // namespace seam::bench
