#include "wasm/wasmi/coarse_clock.h"

#include <system_error>

namespace seam::wasm {
namespace {

constexpr milliseconds kTick{1};
constexpr int kIdleTicksBeforeSleep = 50;  // waking costs a call some microseconds

}  // namespace

CoarseClock::~CoarseClock() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    asleep_ = false;
  }
  wakened_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void CoarseClock::write_down() {
  now_ns_.store(
      std::chrono::duration_cast<nanoseconds>(MonotonicClock::now().time_since_epoch()).count(),
      std::memory_order_relaxed);
}

void CoarseClock::want() {
  wanted_ = true;
  if (!asleep_) return;
  const std::lock_guard lock(mutex_);
  if (!asleep_) return;
  write_down();
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { tick(); });
    } catch (const std::system_error&) {
      wanted_ = false;  // then every question writes the time down itself
      return;
    }
  }
  asleep_ = false;
  wakened_.notify_one();
}

void CoarseClock::tick() {
  int idle = 0;
  while (!stopping_) {
    std::this_thread::sleep_for(kTick);
    write_down();
    if (wanted_.exchange(false)) {
      idle = 0;
    } else if (++idle >= kIdleTicksBeforeSleep) {
      std::unique_lock lock(mutex_);
      asleep_ = true;
      // One that wanted it before it could see asleep_ is seen here; a later one wakes us.
      if (!wanted_ && !stopping_) wakened_.wait(lock, [this] { return !asleep_; });
      asleep_ = false;
      idle = 0;
    }
  }
}

}  // namespace seam::wasm
