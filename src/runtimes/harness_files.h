#pragma once
// The files that workers need, out of the executable and onto disk, where a sandbox can see them.
//
//   SEAM_ASSIGN_OR_RETURN(const std::string folder, write_harness(data + "/harness",
//       {{.name = "worker.js", .content = embedded::node_worker()}}));

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace seam::runtimes {

struct HarnessFile {
  std::string_view name;  // without a folder
  std::string_view content;
  bool executable = false;
};

// Writes the files into a folder of `parent` that is named by their content, so that servers of two
// versions can share it, and returns the folder's path. A folder that is there already is used as
// it is; one appears whole or not at all. Makes `parent` where it is missing. Readable by all:
// workers run under users of their own. Blocks; before the server serves.
// errors    as fail_errno()
[[nodiscard]] Result<std::string> write_harness(const std::string& parent,
                                                std::span<const HarnessFile> files);

}  // namespace seam::runtimes
