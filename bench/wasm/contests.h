#pragma once
// The engines of the benchmark, each with what is written on its own API. A new engine is one line.

#include <vector>

#include "gates.h"

namespace seam::bench {

// One for each mode of each engine.
[[nodiscard]] std::vector<Contest> contests(const SubjectOptions& common);

// The engines alone.
[[nodiscard]] std::vector<wasm::EngineAdapter> adapters();

}  // namespace seam::bench
