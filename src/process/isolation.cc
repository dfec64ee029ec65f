#include "process/isolation.h"

#include <algorithm>

namespace seam::process {

bool IsolationReport::complete() const {
  return std::ranges::all_of(
      layers, [](const IsolationLayer& layer) { return layer.in_force || !layer.essential; });
}

}  // namespace seam::process
