#pragma once
// The thread that moves records from the journals into the tables, in batches, and keeps the tables
// within their retention.
//
//   RecordDrain drain(*journals, store, {.keep = hours(168), .records_bytes_max = 1 << 30});
//   drain.start();  …  drain.stop();      // stop() drains what waits first
//
// If the store fails, records stay in the journal and are tried again, with a pause that grows to 5
// s; nothing is lost or written twice.

#include <condition_variable>
#include <coroutine>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/task.h"
#include "journal/journal.h"
#include "store/store.h"

namespace seam::store {

struct RecordDrainOptions {
  std::size_t batch_records_max = 8192;
  milliseconds interval{250};  // between batches: more records share the pages that each writes
  std::chrono::hours keep{168};
  std::uint64_t records_bytes_max = std::uint64_t{1} << 30U;
  seconds retention_interval{60};
};

class RecordDrain {
 public:
  RecordDrain(journal::Journals& journals, Store& store, RecordDrainOptions options);
  ~RecordDrain();  // stops

  // Drains on the calling thread until the journals are empty: at start, before sessions are
  // loaded, so that their counts are true. errors    the store's
  [[nodiscard]] Result<void> drain_all();
  void start();
  void stop();

  // Returns once every record that was appended before is in the tables, so that a caller finds the
  // calls that it saw answered. Earlier than that while the store fails, and while records come
  // faster than they are written: then what is still missing is there within a moment. Any loop;
  // resumes on it.
  [[nodiscard]] Task<> settled();

 private:
  struct Waiter {
    EventLoop* loop;
    std::coroutine_handle<> waiter;
  };
  struct Settling;  // the awaitable of settled()

  void run();
  std::vector<Waiter> take_waiters();
  Result<std::size_t> drain_batch();

  journal::Journals& journals_;
  Store& store_;
  RecordDrainOptions options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = true;         // guarded by mutex_; before start() too
  std::vector<Waiter> waiters_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace seam::store
