#pragma once
// A few threads for work that would hold a server loop: guests past their first slice,
// compilations.
//
//   ComputePool pool("wasm", 2);
//   pool.submit([] { … });                       // any thread
//   pool.submit_at(guest.ready_at(), [] { … });  // not before that moment
//
// First come, first served. The queue's bound is its callers': each call in flight has at most one
// piece of work here.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"

namespace seam::runtimes {

class ComputePool {
 public:
  ComputePool(const std::string& name, unsigned threads);
  ComputePool(const ComputePool&) = delete;
  ComputePool& operator=(const ComputePool&) = delete;
  // Ends after the work in hand; what waits is dropped without being run.
  ~ComputePool();

  void submit(Work work);
  void submit_at(MonotonicTime ready_at, Work work);

 private:
  struct Later {
    MonotonicTime at;
    std::uint64_t order;  // of submission, for equal moments
    // A priority_queue gives out const references; taking the work does not change its place.
    mutable Work work;
    bool operator<(const Later& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  ComputePool() = default;
  void serve();

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Work> ready_;
  std::priority_queue<Later> later_;
  std::uint64_t submitted_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace seam::runtimes
