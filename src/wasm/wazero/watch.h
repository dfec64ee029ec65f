#pragma once
// Makes guests look up about every millisecond that they run, so that they see deadlines,
// cancellation and, where it is Go that runs them, Go's collector: it stops all its threads for a
// moment and can stop none that is in a guest's code.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace seam::wasm {

// What may run one guest at a time. Belongs to one Watch, between its watch() and unwatch().
class Watched {
 public:
  Watched() = default;
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

 private:
  friend class Watch;
  std::atomic<std::uint32_t*> look_{nullptr};  // of the function that runs
  Watched* next_ = nullptr;                    // guarded by the Watch's mutex
  Watched* previous_ = nullptr;
};

// One thread for all guests of an engine; it sleeps while none runs. Any thread.
class Watch {
 public:
  Watch();
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void watch(Watched& watched);
  void unwatch(Watched& watched);

  // A function begins to run, whose flag is `look`; gives what ran before, for leave(). Costs two
  // plain writes and reads: the thread orders them with ours by a barrier of its own (membarrier).
  std::uint32_t* enter(Watched& watched, std::uint32_t* look) {
    std::uint32_t* const outer = watched.look_.load(std::memory_order_relaxed);
    watched.look_.store(look, std::memory_order_relaxed);
    if (has_membarrier_) {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    if (asleep_.load(std::memory_order_relaxed)) wake();
    return outer;
  }
  void leave(Watched& watched, std::uint32_t* outer) {
    watched.look_.store(outer, std::memory_order_release);
  }
  // After it no flag that is not entered now will be written: the function may go.
  void settle() { const std::lock_guard lock(mutex_); }

 private:
  void wake();
  void tick();
  bool look_all();  // whether any guest runs; with mutex_ held

  const bool has_membarrier_;
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;
  std::condition_variable wakened_;
  Watched* first_ = nullptr;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace seam::wasm
