#pragma once
// Where `seam` looks for Rust's compiler.
//
//   Result<runtimes::RustToolchain> found =
//       runtimes::find_rust_toolchain(rust_toolchains(settings.rust));

#include <string>
#include <vector>

#include "cli/settings.h"

namespace seam::cli {

// The one that the settings name; else lib/seam/rust beside the folder that the program lies in
// (/opt/seam/bin/seam: /opt/seam/lib/seam/rust), and the distribution's in /usr.
[[nodiscard]] std::vector<std::string> rust_toolchains(const RustSettings& settings);

}  // namespace seam::cli
