#pragma once
// The commit that this build was made from. src/cli/build_commit.cmake writes its definition anew
// when the commit changes, so that no other file has to be built again for it.

#include <string_view>

namespace seam::cli {

// "1a2b3c4d5e6f", with "-dirty" behind it where files differ from it; empty outside a git checkout.
[[nodiscard]] std::string_view build_commit();

}  // namespace seam::cli
