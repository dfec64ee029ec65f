#include "api/moment.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>

namespace seam::api {
namespace {

constexpr std::int64_t kSecondsMax = 36'500LL * 86'400;

// The seconds of one of the units, or 0.
std::int64_t unit_seconds(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3600;
    case 'd':
      return 86'400;
    default:
      return 0;
  }
}

}  // namespace

Result<WallTime> parse_moment(std::string_view text, WallTime now) {
  const std::int64_t unit = text.empty() ? 0 : unit_seconds(text.back());
  if (unit != 0) {
    std::int64_t count = 0;
    const char* const last = text.data() + text.size() - 1;
    const auto [stop, error] = std::from_chars(text.data(), last, count);
    if (error == std::errc() && stop == last && count >= 0 && count <= kSecondsMax / unit)
      return now - seconds(count * unit);
  } else if (Result<WallTime> time = parse_rfc3339(text)) {
    return time;
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is not a moment: give a time such as 2026-01-02T03:04:05Z, or how "
                          "long ago: 90s, 15m, 2h, 7d",
                          text.substr(0, 60)));
}

}  // namespace seam::api
