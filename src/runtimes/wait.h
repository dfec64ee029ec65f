#pragma once
// How a call waits on its loop for something that happens on another thread, but no longer than its
// deadline and its caller do.
//
//   auto wait = std::make_shared<Wait>(*EventLoop::current());    // shared with whoever ends it
//   pool.submit([wait] { …; wait->end(Wait::End::kReady); });
//   switch (co_await Wait::until(wait, call.deadline, call.cancelled)) { … }

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <stop_token>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/task.h"

namespace seam::runtimes {

class Wait : public std::enable_shared_from_this<Wait> {
 public:
  enum class End { kReady, kDeadline, kCancelled };

  explicit Wait(EventLoop& loop) : loop_(loop) {}

  // Any thread, any number of times; the first decides, and only that one returns true. The waiting
  // coroutine goes on on its loop, never inside this call.
  bool end(End how);
  // Once, on the loop.
  [[nodiscard]] static Task<End> until(std::shared_ptr<Wait> wait, Deadline deadline,
                                       std::stop_token cancelled);

 private:
  EventLoop& loop_;
  std::atomic<bool> ended_{false};
  OneShot<End> outcome_;
};

// Lets a number of calls in at once and some more wait, first come, first served. Any thread.
class Gate {
 public:
  Gate(std::size_t running_max, std::size_t waiting_max)
      : running_max_(running_max), waiting_max_(waiting_max) {}

  enum class Entry { kEntered, kFull, kDeadline, kCancelled };
  // On a loop; the gate outlives it. After kEntered, leave() once.
  [[nodiscard]] Task<Entry> enter(Deadline deadline, std::stop_token cancelled);
  void leave();
  [[nodiscard]] bool idle() const;
  [[nodiscard]] std::size_t running() const;
  [[nodiscard]] std::size_t waiting() const;

 private:
  const std::size_t running_max_;
  const std::size_t waiting_max_;
  mutable std::mutex mutex_;  // guards what follows
  std::size_t running_ = 0;
  std::size_t waiting_ = 0;
  std::deque<std::shared_ptr<Wait>> queue_;  // also those that gave up, until their turn comes
};

}  // namespace seam::runtimes
