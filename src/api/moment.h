#pragma once
// A moment as a client names it: a time, or how long ago.
//
//   parse_moment("15m", now)                      now less fifteen minutes
//   parse_moment("2026-01-02T03:04:05Z", now)

#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace seam::api {

// RFC 3339, or a whole number with s, m, h or d (seconds, minutes, hours, days), at most 36500 days
// in all.
// errors    kInvalidArgument   the message says what is taken
[[nodiscard]] Result<WallTime> parse_moment(std::string_view text, WallTime now);

}  // namespace seam::api
