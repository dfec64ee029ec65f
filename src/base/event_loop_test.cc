#include "base/event_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "base/file_descriptor.h"
#include "base/per_loop.h"

namespace seam {
namespace {

// A loop on a thread of its own.
struct RunningLoop {
  explicit RunningLoop(std::string name) : loop(std::move(name)), thread([this] { loop.run(); }) {}
  ~RunningLoop() {
    loop.stop();
    thread.join();
  }
  EventLoop loop;
  std::thread thread;
};

Task<int> add_later(EventLoop& loop, int a, int b) {
  co_await loop.yield();
  co_return a + b;
}

Task<int> add_three(EventLoop& loop, int a, int b, int c) {
  const int ab = co_await add_later(loop, a, b);
  co_return co_await add_later(loop, ab, c);
}

TEST(Task, RunsWhenItIsAwaitedAndHandsOverItsValue) {
  EventLoop loop("test");
  int sum = 0;
  start(add_three(loop, 1, 2, 3), [&](int value) { sum = value; });
  EXPECT_EQ(sum, 0);
  while (loop.poll()) {
  }
  EXPECT_EQ(sum, 6);
}

TEST(Task, NeverRunsWhenItIsNotAwaited) {
  EventLoop loop("test");
  {
    const Task<int> dropped = add_three(loop, 1, 2, 3);
  }
  EXPECT_FALSE(loop.poll());
}

Task<std::size_t> long_chain(std::size_t length) {
  if (length == 0) co_return 0;
  co_return 1 + co_await long_chain(length - 1);
}

Task<std::size_t> many_in_a_row(std::size_t count) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += co_await long_chain(1);
  co_return sum;
}

TEST(Task, ManyAwaitsInARowDoNotGrowTheStack) {
  std::size_t sum = 0;
  start(many_in_a_row(1000), [&](std::size_t value) { sum = value; });
  EXPECT_EQ(sum, 1000U);
}

TEST(EventLoop, RunsPostedWorkInOrderOnItsOwnThread) {
  std::vector<int> order;
  std::thread::id on;
  {
    RunningLoop running("order");
    std::atomic<bool> done = false;
    for (int i = 0; i < 100; ++i) running.loop.post([&order, i] { order.push_back(i); });
    running.loop.post([&] {
      on = std::this_thread::get_id();
      EXPECT_EQ(EventLoop::current(), &running.loop);
      done = true;
      done.notify_one();
    });
    done.wait(false);
    EXPECT_EQ(on, running.thread.get_id());
    EXPECT_EQ(EventLoop::current(), nullptr);
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

Task<> hop_there_and_back(EventLoop& there, EventLoop& back, std::vector<EventLoop*>& seen) {
  co_await there.schedule();
  seen.push_back(EventLoop::current());
  co_await back.schedule();
  seen.push_back(EventLoop::current());
}

TEST(EventLoop, ACoroutineGoesOnWhereItIsScheduled) {
  RunningLoop a("a");
  RunningLoop b("b");
  std::vector<EventLoop*> seen;
  std::atomic<bool> done = false;
  a.loop.post([&] {
    start(hop_there_and_back(b.loop, a.loop, seen), [&] {
      done = true;
      done.notify_one();
    });
  });
  done.wait(false);
  EXPECT_EQ(seen, (std::vector<EventLoop*>{&b.loop, &a.loop}));
}

TEST(Timer, CallsOnceAndNotWhenCancelledOrRestarted) {
  EventLoop loop("timer");
  Timer timer(loop);
  int fired = 0;
  timer.start(Deadline::after(milliseconds(0)), [&] { fired += 1; });
  timer.start(Deadline::after(milliseconds(1)), [&] { fired += 10; });
  {
    Timer dropped(loop);
    dropped.start(Deadline::after(milliseconds(0)), [&] { fired += 100; });
  }
  Timer cancelled(loop);
  cancelled.start(Deadline::after(milliseconds(0)), [&] { fired += 1000; });
  cancelled.cancel();
  while (fired < 10) loop.poll();
  std::this_thread::sleep_for(milliseconds(2));
  loop.poll();
  EXPECT_EQ(fired, 10);
}

class ReadinessTest : public testing::Test {
 protected:
  ReadinessTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), 0);
    read_end_.reset(ends[0]);
    write_end_.reset(ends[1]);
  }
  FileDescriptor read_end_;
  FileDescriptor write_end_;
  EventLoop loop_{"readiness"};
};

TEST_F(ReadinessTest, CallsWhenBytesComeAndAtTheEnd) {
  Readiness readiness(loop_, read_end_.get());
  int called = 0;
  readiness.when_readable([&] { ++called; });
  loop_.poll();
  EXPECT_EQ(called, 0);
  ASSERT_EQ(::write(write_end_.get(), "x", 1), 1);
  while (called == 0) loop_.poll();
  std::array<char, 8> buffer{};
  EXPECT_EQ(::read(read_end_.get(), buffer.data(), buffer.size()), 1);
  readiness.when_readable([&] { ++called; });
  write_end_.reset();
  while (called == 1) loop_.poll();
  EXPECT_EQ(called, 2);
}

TEST_F(ReadinessTest, SaysNothingAfterItIsGone) {
  int called = 0;
  {
    Readiness readiness(loop_, read_end_.get());
    readiness.when_readable([&] { ++called; });
    loop_.poll();
  }
  ASSERT_EQ(::write(write_end_.get(), "x", 1), 1);
  while (loop_.poll()) {
  }
  EXPECT_EQ(called, 0);
}

TEST(PerLoop, GivesEachLoopItsOwn) {
  RunningLoop a("a");
  RunningLoop b("b");
  std::vector<EventLoop*> loops = {&a.loop, &b.loop};
  PerLoop<int> values(loops);
  std::atomic<int> done = 0;
  for (EventLoop* loop : loops) {
    loop->post([&] {
      values.here() = static_cast<int>(values.index()) + 1;
      ++done;
      done.notify_one();
    });
  }
  while (done != 2) std::this_thread::yield();
  EXPECT_EQ(values.at(0), 1);
  EXPECT_EQ(values.at(1), 2);
}

}  // namespace
}  // namespace seam
