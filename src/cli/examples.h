#pragma once
// The functions that a fresh server has, so that a newcomer's first call is answered.

#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "functions/registry.h"

namespace seam::cli {

// Registers each and gives their names. Resumes on the calling loop. An example whose runtime
// cannot work here is left out with a warning.
[[nodiscard]] Task<std::vector<std::string>> register_examples(
    functions::Registry& registry, functions::ImplementationOptions defaults);

}  // namespace seam::cli
