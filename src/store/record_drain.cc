#include "store/record_drain.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace seam::store {
namespace {
constexpr milliseconds kPauseFirst{50};
constexpr milliseconds kPauseMax{5000};
// Batches that settled() waits for where one after the other is full.
constexpr int kSettlingBatchesMax = 4;
}  // namespace

RecordDrain::RecordDrain(journal::Journals& journals, Store& store, RecordDrainOptions options)
    : journals_(journals), store_(store), options_(options) {}

RecordDrain::~RecordDrain() { stop(); }

Result<std::size_t> RecordDrain::drain_batch() {
  Result<void> written;
  const std::size_t count =
      journals_.drain(options_.batch_records_max, [&](const std::vector<journal::Record>& batch) {
        std::vector<JournaledRecord> records;
        records.reserve(batch.size());
        for (const journal::Record& record : batch) {
          Result<CallRecord> call = decode(record.bytes);
          if (!call.has_value()) {
            // Its checksum was right, so another version of Seam wrote it: keeping it would keep
            // all that come after it too.
            log_error("journal: record {} of writer {} is left out: {}", record.sequence,
                      record.writer, call.error().message);
            continue;
          }
          records.push_back({record.writer, record.sequence, *std::move(call)});
        }
        if (!records.empty()) written = store_.write_records(records);
        return written.has_value();
      });
  if (!written.has_value()) return std::unexpected(std::move(written).error());
  return count;
}

Result<void> RecordDrain::drain_all() {
  while (true) {
    SEAM_ASSIGN_OR_RETURN(const std::size_t count, drain_batch());
    if (count == 0) return {};
  }
}

void RecordDrain::start() {
  CHECK(!thread_.joinable());
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = false;
  }
  thread_ = std::thread([this] { run(); });
}

void RecordDrain::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

struct RecordDrain::Settling {
  RecordDrain& drain;
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) const {
    {
      const std::scoped_lock lock(drain.mutex_);
      if (drain.stopping_) return false;
      drain.waiters_.push_back({EventLoop::current(), waiter});
    }
    // From here on this may be gone: the drain resumes the waiter.
    drain.wake_.notify_all();
    return true;
  }
  void await_resume() const noexcept {}
};

Task<> RecordDrain::settled() {
  CHECK(EventLoop::current() != nullptr);
  co_await Settling{*this};
}

std::vector<RecordDrain::Waiter> RecordDrain::take_waiters() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(waiters_, {});
}

void RecordDrain::run() {
  ::pthread_setname_np(::pthread_self(), "seam-records");
  milliseconds pause{0};  // after a failure
  // At once, so that a server which never runs for long keeps to its limits too.
  MonotonicTime retain_at = MonotonicClock::now();
  bool stopping = false;
  std::vector<Waiter> waiters;  // that the next batch settles
  int batches_waited = 0;
  const auto resume_waiters = [&waiters, &batches_waited] {
    batches_waited = 0;
    for (const Waiter& each : std::exchange(waiters, {}))
      each.loop->post([waiter = each.waiter] { waiter.resume(); });
  };
  while (!stopping) {
    for (const Waiter& each : take_waiters()) waiters.push_back(each);
    const Result<std::size_t> drained = drain_batch();
    if (!drained.has_value()) {
      if (pause == milliseconds(0)) {
        log_error("records of calls cannot be written and wait in the journal: {}",
                  drained.error().message);
      }
      pause = std::clamp(pause * 2, kPauseFirst, kPauseMax);
    } else if (pause > milliseconds(0)) {
      log_info("records of calls are written again");
      pause = milliseconds(0);
    }
    const bool full = drained.has_value() && *drained >= options_.batch_records_max;
    if (!full || ++batches_waited >= kSettlingBatchesMax) resume_waiters();
    if (drained.has_value() && MonotonicClock::now() >= retain_at) {
      const WallTime oldest = Clock::real().wall_now() - options_.keep;
      if (auto kept = store_.retain_records(oldest, options_.records_bytes_max);
          !kept.has_value()) {
        log_warning("old records of calls cannot be deleted: {}", kept.error().message);
      }
      retain_at = MonotonicClock::now() + options_.retention_interval;
    }
    // A full batch: more may wait.
    if (full) continue;
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, pause > milliseconds(0) ? pause : options_.interval,
                   [this] { return stopping_ || !waiters_.empty(); });
    stopping = stopping_;
  }
  // Whoever stops us has ended the calls first: this is the last of it. What the store refuses now
  // stays in the journal for the next start.
  if (auto last = drain_all(); !last.has_value()) {
    log_error("records of calls stay in the journal until the next start: {}",
              last.error().message);
  }
  for (const Waiter& each : take_waiters()) waiters.push_back(each);
  resume_waiters();
}

}  // namespace seam::store
