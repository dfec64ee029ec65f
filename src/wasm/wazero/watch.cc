#include "wasm/wazero/watch.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>

namespace seam::wasm {
namespace {

constexpr std::chrono::milliseconds kTick{1};
constexpr int kIdleTicksBeforeSleep = 50;  // waking costs a call some microseconds

bool membarrier(int command) { return ::syscall(SYS_membarrier, command, 0, 0) == 0; }

}  // namespace

Watch::Watch()
    : has_membarrier_(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)),
      thread_([this] { tick(); }) {}

Watch::~Watch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    asleep_ = false;
  }
  wakened_.notify_one();
  thread_.join();
}

void Watch::watch(Watched& watched) {
  const std::lock_guard lock(mutex_);
  watched.next_ = first_;
  if (first_ != nullptr) first_->previous_ = &watched;
  first_ = &watched;
}

void Watch::unwatch(Watched& watched) {
  const std::lock_guard lock(mutex_);
  (watched.previous_ == nullptr ? first_ : watched.previous_->next_) = watched.next_;
  if (watched.next_ != nullptr) watched.next_->previous_ = watched.previous_;
}

void Watch::wake() {
  {
    const std::lock_guard lock(mutex_);
    asleep_ = false;
  }
  wakened_.notify_one();
}

bool Watch::look_all() {
  bool any = false;
  for (Watched* watched = first_; watched != nullptr; watched = watched->next_) {
    if (std::uint32_t* const look = watched->look_.load(std::memory_order_acquire)) {
      std::atomic_ref(*look).store(1, std::memory_order_relaxed);
      any = true;
    }
  }
  return any;
}

void Watch::tick() {
  int idle = 0;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    std::this_thread::sleep_for(kTick);
    lock.lock();
    if (look_all()) {
      idle = 0;
    } else if (++idle >= kIdleTicksBeforeSleep) {
      idle = 0;
      asleep_ = true;
      // One that entered before it could see asleep_ is seen now; one that enters later wakes us.
      if (has_membarrier_) {
        membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
      } else {
        std::atomic_thread_fence(std::memory_order_seq_cst);
      }
      if (!look_all()) wakened_.wait(lock, [this] { return !asleep_ || stopping_; });
      asleep_ = false;
    }
  }
}

}  // namespace seam::wasm
