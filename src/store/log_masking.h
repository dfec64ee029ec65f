#pragma once
// Takes secrets out of a line of the server's own log, which may quote what came from outside.
//
//   mask_log_line("GET postgres://bob:hunter2@db/x failed: token=abc")
//   // "GET postgres://bob:***@db/x failed: token=***"

#include <string>
#include <string_view>

namespace seam::store {

// Masks the values of JSON members as store/masking.h does, and beside them name=value and
// `Name: value` where the name looks like a secret's, what follows Bearer or Basic, and the
// password in a URL. What it does not know by its name or form it does not see. Any thread.
[[nodiscard]] std::string mask_log_line(std::string_view line);

}  // namespace seam::store
