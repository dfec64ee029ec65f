#include "runtimes/wasm/compute_pool.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace seam::runtimes {

// Made by the other constructor first, so that the destructor ends what runs when a thread cannot
// be had.
ComputePool::ComputePool(const std::string& name, unsigned threads) : ComputePool() {
  for (unsigned i = 0; i < std::max(threads, 1U); ++i) {
    threads_.emplace_back([this] { serve(); });
    const std::string thread_name = (name + "-" + std::to_string(i)).substr(0, 15);
    ::pthread_setname_np(threads_.back().native_handle(), thread_name.c_str());
  }
}

ComputePool::~ComputePool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ComputePool::submit(Work work) {
  {
    const std::lock_guard lock(mutex_);
    ready_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void ComputePool::submit_at(MonotonicTime ready_at, Work work) {
  if (ready_at <= MonotonicClock::now()) return submit(std::move(work));
  {
    const std::lock_guard lock(mutex_);
    later_.push({ready_at, submitted_++, std::move(work)});
  }
  changed_.notify_one();
}

void ComputePool::serve() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    while (!later_.empty() && later_.top().at <= MonotonicClock::now()) {
      ready_.push_back(std::move(later_.top().work));
      later_.pop();
    }
    if (!ready_.empty()) {
      Work work = std::move(ready_.front());
      ready_.pop_front();
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
    } else if (!later_.empty()) {
      const MonotonicTime next = later_.top().at;  // the queue may change while this waits
      changed_.wait_until(lock, next);
    } else {
      changed_.wait(lock);
    }
  }
}

}  // namespace seam::runtimes
