#pragma once
// An event loop: one thread that runs posted work, timers and descriptor readiness, one after the
// other. Each server thread is one loop; whatever lives on a loop is touched by that thread alone
// and needs no lock.
//
//   EventLoop loop("server-0");
//   std::thread thread([&] { loop.run(); });
//   loop.post([] { … });                 // any thread
//   co_await loop.schedule();            // in a coroutine: go on here
//   bool full = co_await loop.sleep(Deadline::after(milliseconds(50)));
//
// It stands over Boost.Asio's io_context; only base, http and process see that.

#include <coroutine>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/task.h"

namespace boost::asio {
class io_context;
}

namespace seam {

using Work = std::move_only_function<void()>;

class EventLoop {
 public:
  explicit EventLoop(std::string name);  // the thread's name too, at most 15 bytes of it
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();  // not before run() has returned

  // Makes the calling thread the loop's and serves until stop(), also one that came before. Once.
  void run();
  // Makes run() return after the work in hand; what is posted and not yet run stays. Any thread.
  void stop();
  // Runs what is ready now, without waiting, and returns: for tests and tools that drive a loop by
  // hand. Returns whether anything ran.
  bool poll();

  [[nodiscard]] bool is_current() const;
  [[nodiscard]] static EventLoop* current();  // null on a thread that runs no loop
  [[nodiscard]] const std::string& name() const { return name_; }

  // Runs `work` on the loop's thread, after what was posted before; never inside this call. Any
  // thread.
  void post(Work work);

  // Resumes the awaiting coroutine on this loop: at once if it is there, else through post().
  auto schedule() {
    struct Awaiter {
      EventLoop& loop;
      [[nodiscard]] bool await_ready() const { return loop.is_current(); }
      void await_suspend(std::coroutine_handle<> waiter) const { loop.resume_later(waiter); }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }
  // As schedule(), but lets other work run first even when it is already there.
  auto yield() {
    struct Awaiter {
      EventLoop& loop;
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> waiter) const { loop.resume_later(waiter); }
      void await_resume() const noexcept {}
    };
    return Awaiter{*this};
  }
  // Returns when the deadline has passed. Call on the loop.
  [[nodiscard]] Task<> sleep(Deadline deadline);

  // For http and process alone.
  [[nodiscard]] boost::asio::io_context& context();

  struct Impl;

 private:
  friend class Timer;
  friend class Readiness;
  void resume_later(std::coroutine_handle<> waiter);

  std::string name_;
  std::unique_ptr<Impl> impl_;
};

// Calls back once when a deadline passes. Used on its loop's thread only; destroying or restarting
// it drops the earlier callback, which then never runs.
class Timer {
 public:
  explicit Timer(EventLoop& loop);
  ~Timer();
  Timer(Timer&&) = delete;
  void start(Deadline deadline, Work on_deadline);
  void cancel();

 private:
  struct Impl;
  std::shared_ptr<Impl>
      impl_;  // shared with the pending wait, which may complete after the timer is gone
};

// Calls back once when a descriptor is readable or writable (or has failed: the next read or write
// says how). Borrows the descriptor, which must be non-blocking and outlive this. Used on its
// loop's thread only; destroying it drops the callbacks.
class Readiness {
 public:
  Readiness(EventLoop& loop, int fd);
  ~Readiness();
  Readiness(Readiness&&) = delete;
  void when_readable(Work work);
  void when_writable(Work work);

  // Reads at most `size` bytes into `buffer` as soon as there are any, then calls `done` with
  // `context` and how many came: 0 at the end of the stream, or -errno. One system call a message,
  // where when_readable() needs three. `buffer` is borrowed until `done` runs or cancel() is
  // called. One read at a time, and not while when_readable() waits.
  using ReadDone = void (*)(void* context, std::ptrdiff_t count);
  void read(char* buffer, std::size_t size, ReadDone done, void* context);

  void cancel();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the pending wait
};

}  // namespace seam
