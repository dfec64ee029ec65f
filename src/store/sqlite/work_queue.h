#pragma once
// A bounded queue of database work, and the threads that do it. Knows nothing of SQL: the queue
// takes from any thread, a WriterThread groups what waits into one transaction, a ReaderThread
// does one after the other.
//
//   Result<void> queued = queue.push({.run = …, .finish = …});

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "store/sqlite/tables.h"

namespace seam::store {

struct Operation {
  // On the thread of the queue. An error undoes what it did and nothing else's.
  std::move_only_function<Result<void>(Tables&)> run;
  // Once, after run() and its commit, with the outcome of both; or without run(), with an error.
  // Must not block.
  std::move_only_function<void(Result<void>)> finish;
};

class WorkQueue {
 public:
  explicit WorkQueue(std::size_t waiting_max) : waiting_max_(waiting_max) {}

  // Any thread; never blocks.
  // errors    kUnavailable   so many wait already, or closed
  [[nodiscard]] Result<void> push(Operation operation);
  // The first `count_max` that wait, once there are any; none when closed and empty.
  [[nodiscard]] std::vector<Operation> pop(std::size_t count_max);
  // No more is taken; what waits is still given out.
  void close();

 private:
  const std::size_t waiting_max_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Operation> waiting_;  // guarded by mutex_
  bool closed_ = false;            // guarded by mutex_
};

// Runs a queue's operations on a connection until the queue is closed and empty.
void serve_writes(WorkQueue& queue, Tables& tables);
void serve_reads(WorkQueue& queue, Tables& tables);

}  // namespace seam::store
