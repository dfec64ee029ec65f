#pragma once
// The compiled libraries that functions in Rust are linked with, one folder for each toolchain and
// version of Seam: lib*.rlib, and `sums` with their digests, as sha256sum(1) writes them.
//
//   if (is_whole_library_folder(folder)) …
//   SEAM_RETURN_IF_ERROR(keep_libraries(folder, files));

#include <map>
#include <string>

#include "base/result.h"

namespace seam::runtimes {

// Whether every file that `sums` names is there and is what it was. Blocks for reading some 10 MiB.
[[nodiscard]] bool is_whole_library_folder(const std::string& folder);

// Makes the folder with all of them or not at all, in place of what is there, and removes those of
// other versions beside it. Readable by all: compilers run under users of their own. Blocks.
// errors    as fail_errno()
[[nodiscard]] Result<void> keep_libraries(
    const std::string& folder, const std::map<std::string, std::string, std::less<>>& files);

}  // namespace seam::runtimes
