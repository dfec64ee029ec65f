#pragma once
// Time. Code that decides by time takes a Clock, so that a test can give it one that it moves by
// hand; code that only measures calls MonotonicClock::now().
//
//   Deadline deadline = Deadline::after(clock, std::chrono::seconds(30));

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace seam {

using MonotonicClock = std::chrono::steady_clock;
using MonotonicTime = MonotonicClock::time_point;
using WallTime = std::chrono::sys_time<std::chrono::microseconds>;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual MonotonicTime now() const = 0;
  [[nodiscard]] virtual WallTime wall_now() const = 0;

  // The machine's clocks; lives as long as the process.
  static const Clock& real();
};

// A clock that stands until it is advanced, for tests. Any thread.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] MonotonicTime now() const override {
    return MonotonicTime(nanoseconds(offset_ns_));
  }
  [[nodiscard]] WallTime wall_now() const override {
    return WallTime(seconds(1'700'000'000)) + microseconds(offset_ns_ / 1000);
  }
  void advance(nanoseconds by) { offset_ns_ += by.count(); }

 private:
  std::atomic<std::int64_t> offset_ns_{1'000'000'000};
};

// A moment on the monotonic clock after which work is no longer wanted.
struct Deadline {
  MonotonicTime at = MonotonicTime::max();

  static Deadline never() { return {}; }
  static Deadline after(const Clock& clock, nanoseconds span) { return {clock.now() + span}; }
  static Deadline after(nanoseconds span) { return {MonotonicClock::now() + span}; }
  [[nodiscard]] bool passed(MonotonicTime now) const { return now >= at; }
  // Never negative.
  [[nodiscard]] nanoseconds remaining(MonotonicTime now) const {
    return now >= at ? nanoseconds(0) : at - now;
  }
  friend bool operator==(const Deadline&, const Deadline&) = default;
};

// RFC 3339 in UTC with microseconds: "2026-01-02T03:04:05.000006Z".
[[nodiscard]] std::string format_rfc3339(WallTime time);

// Takes any offset and up to nine digits of fraction; rounds down to microseconds.
// errors    kInvalidArgument   not an RFC 3339 date-time, or a date that does not exist
// source    RFC 3339, section 5.6.
[[nodiscard]] Result<WallTime> parse_rfc3339(std::string_view text);

}  // namespace seam
