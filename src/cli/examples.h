#pragma once
// The functions that a fresh server has, so that a newcomer's first call is answered.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "functions/registry.h"

namespace seam::cli {

// The modules of those examples that are compiled beforehand, by the SHA-256 of their sources, so
// that they run where there is no compiler. Static bytes.
[[nodiscard]] std::map<std::string, std::string_view> precompiled_examples();

// Registers each and gives their names. Resumes on the calling loop. An example whose runtime
// cannot work here is left out with a warning.
[[nodiscard]] Task<std::vector<std::string>> register_examples(
    functions::Registry& registry, functions::ImplementationOptions defaults);

}  // namespace seam::cli
