#include "store/sqlite/sqlite_store.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <coroutine>
#include <future>
#include <optional>

#include "base/check.h"
#include "base/event_loop.h"
#include "store/sqlite/tables.h"
#include "store/sqlite/work_queue.h"

namespace seam::store {
namespace {

// Steps of the retention, small enough that what waits behind one does not notice it.
constexpr std::uint64_t kRetainRows = 500;
constexpr std::uint64_t kShrinkPages = 256;

// Awaiting it does `work` on a thread of `queue` and resumes on the loop that awaited. It lives in
// the waiting coroutine's frame, which stays until the resumption.
template <class T>
class QueuedCall {
 public:
  QueuedCall(WorkQueue& queue, std::move_only_function<Result<T>(Tables&)> work)
      : queue_(queue), work_(std::move(work)) {}
  QueuedCall(const QueuedCall&) = delete;
  QueuedCall& operator=(const QueuedCall&) = delete;

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) {
    EventLoop* const loop = EventLoop::current();
    CHECK(loop != nullptr);
    Operation operation{.run = [this](Tables& tables) -> Result<void> {
                          result_.emplace(work_(tables));
                          if (!result_->has_value()) return std::unexpected(result_->error());
                          return {};
                        },
                        .finish =
                            [this, loop, waiter](Result<void> outcome) {
                              if (!outcome.has_value())
                                result_.emplace(std::unexpected(std::move(outcome).error()));
                              loop->post([waiter] { waiter.resume(); });
                            }};
    Result<void> queued = queue_.push(std::move(operation));
    if (queued.has_value()) return true;
    result_.emplace(std::unexpected(std::move(queued).error()));
    return false;
  }
  Result<T> await_resume() { return *std::move(result_); }

 private:
  WorkQueue& queue_;
  std::move_only_function<Result<T>(Tables&)> work_;
  std::optional<Result<T>> result_;
};

// The same for a thread that may block: the drain's.
template <class T>
Result<T> call_and_wait(WorkQueue& queue, std::move_only_function<Result<T>(Tables&)> work) {
  std::optional<Result<T>> result;
  std::promise<Result<void>> done;
  std::future<Result<void>> outcome = done.get_future();
  SEAM_RETURN_IF_ERROR(queue.push(
      {.run = [&](Tables& tables) -> Result<void> {
         result.emplace(work(tables));
         if (!result->has_value()) return std::unexpected(result->error());
         return {};
       },
       .finish = [done = std::move(done)](
                     Result<void> finished) mutable { done.set_value(std::move(finished)); }}));
  SEAM_RETURN_IF_ERROR(outcome.get());
  return *std::move(result);
}

class SqliteStore final : public Store {
 public:
  // Made by the other constructor first, so that the destructor ends what runs when a thread cannot
  // be had.
  SqliteStore(const Clock& clock, std::unique_ptr<Tables> writer,
              std::vector<std::unique_ptr<Tables>> readers)
      : SqliteStore(clock) {
    writer_ = std::move(writer);
    readers_ = std::move(readers);
    threads_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "store-write");
      serve_writes(writes_, *writer_);
    });
    for (const std::unique_ptr<Tables>& reader : readers_) {
      threads_.emplace_back([this, tables = reader.get()] {
        pthread_setname_np(pthread_self(), "store-read");
        serve_reads(reads_, *tables);
      });
    }
  }
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;
  ~SqliteStore() override {
    writes_.close();
    reads_.close();
    for (std::thread& thread : threads_) thread.join();
    // The writer's connection last: the last one to go folds the write-ahead log into the file.
    readers_.clear();
  }

  Task<Result<Snapshot>> load() override {
    co_return co_await QueuedCall<Snapshot>(
        reads_, [this](Tables& tables) { return tables.load(clock_.wall_now()); });
  }
  Task<Result<std::string>> load_content(std::int64_t implementation_id) override {
    co_return co_await QueuedCall<std::string>(
        reads_, [=](Tables& tables) { return tables.load_content(implementation_id); });
  }
  Task<Result<VersionWritten>> put_version(NewVersion version) override {
    co_return co_await QueuedCall<VersionWritten>(writes_, [this, &version](Tables& tables) {
      return tables.put_version(version, clock_.wall_now());
    });
  }
  Task<Result<void>> set_routes(std::int64_t function_id, std::vector<RouteRow> routes) override {
    co_return co_await QueuedCall<void>(
        writes_, [&](Tables& tables) { return tables.set_routes(function_id, routes); });
  }
  Task<Result<void>> delete_function(std::int64_t function_id) override {
    co_return co_await QueuedCall<void>(writes_, [this, function_id](Tables& tables) {
      return tables.delete_function(function_id, clock_.wall_now());
    });
  }
  Task<Result<void>> put_session(SessionRow session) override {
    // When it was decided, not when its turn comes: see sessions.changed_at.
    const WallTime now = clock_.wall_now();
    co_return co_await QueuedCall<void>(
        writes_, [&session, now](Tables& tables) { return tables.put_session(session, now); });
  }
  Task<Result<void>> delete_session(std::string request_id) override {
    const WallTime now = clock_.wall_now();
    co_return co_await QueuedCall<void>(writes_, [&request_id, now](Tables& tables) {
      return tables.delete_session(request_id, now);
    });
  }
  Task<Result<void>> ping() override {
    co_return co_await QueuedCall<void>(reads_, [](Tables& tables) { return tables.ping(); });
  }
  Task<Result<CallPage>> find_calls(CallQuery query) override {
    co_return co_await QueuedCall<CallPage>(
        reads_, [&query](Tables& tables) { return tables.find_calls(query); });
  }

  Result<void> write_records(const std::vector<JournaledRecord>& records) override {
    return call_and_wait<void>(writes_,
                               [&](Tables& tables) { return tables.write_records(records); });
  }
  Result<std::vector<std::uint64_t>> acknowledged() override {
    return call_and_wait<std::vector<std::uint64_t>>(
        reads_, [](Tables& tables) { return tables.acknowledged(); });
  }
  Result<std::uint64_t> retain_records(WallTime oldest, std::uint64_t bytes_max) override {
    std::uint64_t deleted = 0;
    while (true) {
      SEAM_ASSIGN_OR_RETURN(const std::uint64_t rows,
                            call_and_wait<std::uint64_t>(writes_, [=](Tables& tables) {
                              return tables.retain_some(oldest, bytes_max, kRetainRows);
                            }));
      deleted += rows;
      if (rows < kRetainRows) break;
    }
    while (true) {
      SEAM_ASSIGN_OR_RETURN(const std::uint64_t pages,
                            call_and_wait<std::uint64_t>(writes_, [](Tables& tables) {
                              return tables.shrink_some(kShrinkPages);
                            }));
      if (pages < kShrinkPages) break;
    }
    return deleted;
  }

 private:
  explicit SqliteStore(const Clock& clock) : clock_(clock) {}

  const Clock& clock_;
  std::unique_ptr<Tables> writer_;
  std::vector<std::unique_ptr<Tables>> readers_;
  WorkQueue writes_{kWaitingMax};
  WorkQueue reads_{kWaitingMax};
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<Store>> create_sqlite_store(SqliteOptions options) {
  SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Tables> writer,
                        Tables::open(options.path, Tables::Role::kWriter));
  std::vector<std::unique_ptr<Tables>> readers;
  for (std::size_t i = 0; i < std::max<std::size_t>(options.readers, 1); ++i) {
    SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Tables> reader,
                          Tables::open(options.path, Tables::Role::kReader));
    readers.push_back(std::move(reader));
  }
  return std::make_unique<SqliteStore>(*options.clock, std::move(writer), std::move(readers));
}

}  // namespace seam::store
