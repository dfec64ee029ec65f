#include "wasm/wasmi/coarse_clock.h"

#include <gtest/gtest.h>

#include <vector>

namespace seam::wasm {
namespace {

TEST(CoarseClock, GoesOnAndIsNeverAhead) {
  CoarseClock clock;
  const MonotonicTime first = clock.now();
  EXPECT_GT(first, MonotonicTime{});
  MonotonicTime last = first;
  while (last < first + milliseconds(20)) {
    const MonotonicTime now = clock.now();
    ASSERT_GE(now, last);
    ASSERT_LE(now, MonotonicClock::now());
    last = now;
  }
}

// Goal: a clock that nobody has asked for a while does not answer with the time of then.
// Method: it sleeps after 50 ticks without a question; asked again, it is at most a little behind.
TEST(CoarseClock, ATimeAfterALongPauseIsOfThen) {
  CoarseClock clock;
  for (int i = 0; i < 3; ++i) {
    static_cast<void>(clock.now());
    std::this_thread::sleep_for(milliseconds(150));
    const MonotonicTime before = MonotonicClock::now();
    // The very first answer may be that of the last tick; the clock is going again from then on.
    MonotonicTime now = clock.now();
    while (now < before) now = clock.now();
    EXPECT_GE(now, before);
  }
}

TEST(CoarseClock, SeveralThreadsAskAndOneThatNobodyAskedEnds) {
  const CoarseClock unused;
  CoarseClock clock;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      const MonotonicTime begin = clock.now();
      while (clock.now() < begin + milliseconds(5)) std::this_thread::yield();
    });
  }
}

}  // namespace
}  // namespace seam::wasm
