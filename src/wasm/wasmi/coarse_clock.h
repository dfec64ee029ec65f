#pragma once
// The time to within a millisecond or two, for a price of nanoseconds: a call of a guest may cost
// less than asking the system for the time.
//
//   CoarseClock clock;
//   if (deadline.passed(clock.now())) …

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/clock.h"

namespace seam::wasm {

// A thread writes the time down every millisecond while somebody asks for it, and sleeps when
// nobody has for a while; it begins with the first question. Any thread.
class CoarseClock {
 public:
  CoarseClock() = default;
  CoarseClock(const CoarseClock&) = delete;
  CoarseClock& operator=(const CoarseClock&) = delete;
  ~CoarseClock();

  // Never ahead of MonotonicClock, and behind it by about a tick; by more on a machine so busy that
  // the thread does not get to run.
  [[nodiscard]] MonotonicTime now() {
    if (!wanted_.load(std::memory_order_relaxed)) [[unlikely]]
      want();
    return MonotonicTime(nanoseconds(now_ns_.load(std::memory_order_relaxed)));
  }

 private:
  void want();
  void write_down();
  void tick();

  std::atomic<bool> wanted_{false};  // since the last tick
  std::atomic<std::int64_t> now_ns_{0};
  std::atomic<bool> asleep_{true};
  std::mutex mutex_;  // held only to begin, to sleep and to wake
  std::condition_variable wakened_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace seam::wasm
