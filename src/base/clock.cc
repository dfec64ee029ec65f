#include "base/clock.h"

#include <fmt/format.h>

#include <charconv>

namespace seam {
namespace {

class RealClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime now() const override { return MonotonicClock::now(); }
  [[nodiscard]] WallTime wall_now() const override {
    return std::chrono::time_point_cast<microseconds>(std::chrono::system_clock::now());
  }
};

// Takes exactly `digits` decimal digits off the front of `text`; -1 where there are none.
int take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return -1;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits || value < 0) return -1;
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, char wanted) {
  if (text.empty() || (text.front() | 0x20) != (wanted | 0x20)) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

const Clock& Clock::real() {
  static const RealClock clock;
  return clock;
}

std::string format_rfc3339(WallTime time) {
  using namespace std::chrono;
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss<microseconds> clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  const auto bad = [whole = text] {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not an RFC 3339 time such as 2026-01-02T03:04:05Z", whole));
  };
  const int y = take_number(text, 4);
  if (y < 0 || !take(text, '-')) return bad();
  const int m = take_number(text, 2);
  if (m < 0 || !take(text, '-')) return bad();
  const int d = take_number(text, 2);
  if (d < 0 || !take(text, 'T')) return bad();
  const int hour = take_number(text, 2);
  if (hour < 0 || hour > 23 || !take(text, ':')) return bad();
  const int minute = take_number(text, 2);
  if (minute < 0 || minute > 59 || !take(text, ':')) return bad();
  const int second = take_number(text, 2);
  if (second < 0 || second > 60) return bad();
  std::int64_t fraction_us = 0;
  if (take(text, '.')) {
    std::int64_t scale = 100'000;
    std::size_t digits = 0;
    while (!text.empty() && text.front() >= '0' && text.front() <= '9' && digits < 9) {
      fraction_us += scale * (text.front() - '0');
      scale /= 10;
      ++digits;
      text.remove_prefix(1);
    }
    if (digits == 0) return bad();
  }
  minutes offset(0);
  if (!take(text, 'Z')) {
    if (text.empty() || (text.front() != '+' && text.front() != '-')) return bad();
    const int sign = text.front() == '-' ? -1 : 1;
    text.remove_prefix(1);
    const int offset_hours = take_number(text, 2);
    if (offset_hours < 0 || offset_hours > 23 || !take(text, ':')) return bad();
    const int offset_minutes = take_number(text, 2);
    if (offset_minutes < 0 || offset_minutes > 59) return bad();
    offset = minutes(sign * (offset_hours * 60 + offset_minutes));
  }
  const year_month_day date(year(y), month(static_cast<unsigned>(m)),
                            day(static_cast<unsigned>(d)));
  if (!text.empty() || !date.ok()) return bad();
  return WallTime(sys_days(date).time_since_epoch() + hours(hour) + minutes(minute) +
                  seconds(second) + microseconds(fraction_us) - offset);
}

}  // namespace seam
