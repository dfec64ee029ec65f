#pragma once
// `seam serve`.
//
//   return serve(loaded, false);

#include "cli/settings.h"

namespace seam::cli {

// Serves until SIGTERM or SIGINT, then drains; returns the exit code: 0, or 1 if it could not
// start. Call before any thread exists. With `json`, what it says on stdout is one JSON object a
// line.
[[nodiscard]] int serve(const LoadedSettings& loaded, bool json);

}  // namespace seam::cli
