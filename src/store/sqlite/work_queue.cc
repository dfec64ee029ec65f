#include "store/sqlite/work_queue.h"

#include <fmt/format.h>

#include <algorithm>

namespace seam::store {
namespace {

// Of one transaction: enough to spread the cost of a commit, few enough that the first does not
// wait long for the last.
constexpr std::size_t kGroupMax = 256;

// Runs the group in one transaction. The outcomes say of each whether it is in the database.
std::vector<Result<void>> run_group(std::vector<Operation>& group, Tables& tables) {
  std::vector<Result<void>> outcomes(group.size());
  const auto fail_all = [&](const Error& error) {
    for (Result<void>& outcome : outcomes) {
      if (outcome.has_value()) outcome = std::unexpected(error);
    }
  };
  if (Result<void> begun = tables.begin(); !begun.has_value()) {
    fail_all(begun.error());
    return outcomes;
  }
  for (std::size_t i = 0; i < group.size(); ++i) {
    Result<void> done = tables.begin_part();
    if (done.has_value()) {
      outcomes[i] = group[i].run(tables);
      done = outcomes[i].has_value() ? tables.end_part() : tables.undo_part();
    }
    if (!done.has_value() || !tables.in_transaction()) {
      // Nothing of the group is in the database: the cause is of the disk or of the file, not of
      // one operation, and holds for all.
      const Error cause =
          !outcomes[i].has_value() ? outcomes[i].error()
          : !done.has_value()
              ? done.error()
              : Error{ErrorCode::kUnavailable, "the database ended the transaction", {}};
      if (tables.in_transaction()) tables.rollback();
      fail_all(cause);
      return outcomes;
    }
  }
  if (Result<void> committed = tables.commit(); !committed.has_value()) {
    if (tables.in_transaction()) tables.rollback();
    fail_all(committed.error());
  }
  return outcomes;
}

}  // namespace

Result<void> WorkQueue::push(Operation operation) {
  {
    const std::scoped_lock lock(mutex_);
    if (closed_) return fail(ErrorCode::kUnavailable, "the store is closed");
    if (waiting_.size() >= waiting_max_) {
      return fail(ErrorCode::kUnavailable,
                  fmt::format("{} operations wait for the database already", waiting_max_));
    }
    waiting_.push_back(std::move(operation));
  }
  ready_.notify_one();
  return {};
}

std::vector<Operation> WorkQueue::pop(std::size_t count_max) {
  std::unique_lock lock(mutex_);
  ready_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
  const std::size_t count = std::min(count_max, waiting_.size());
  std::vector<Operation> taken;
  taken.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    taken.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return taken;
}

void WorkQueue::close() {
  {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
  }
  ready_.notify_all();
}

void serve_writes(WorkQueue& queue, Tables& tables) {
  while (true) {
    std::vector<Operation> group = queue.pop(kGroupMax);
    if (group.empty()) return;
    std::vector<Result<void>> outcomes = run_group(group, tables);
    for (std::size_t i = 0; i < group.size(); ++i) group[i].finish(std::move(outcomes[i]));
  }
}

void serve_reads(WorkQueue& queue, Tables& tables) {
  while (true) {
    std::vector<Operation> next = queue.pop(1);
    if (next.empty()) return;
    next.front().finish(next.front().run(tables));
  }
}

}  // namespace seam::store
