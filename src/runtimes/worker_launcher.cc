#include "runtimes/worker_launcher.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "runtimes/worker_messages.h"

namespace seam::runtimes {

namespace {

constexpr const char* kFolder = "/function";

std::vector<process::ReadOnlyBind> binds_of(std::string folder) {
  std::vector<process::ReadOnlyBind> binds;
  if (!folder.empty()) binds.push_back({.host_path = std::move(folder), .sandbox_path = kFolder});
  return binds;
}

}  // namespace

Result<std::string> ExecLauncher::program() const {
  const std::string& path = spec_.argv.front();
  if (!spawner_.alive()) {
    return fail(
        ErrorCode::kUnavailable,
        "the spawner has ended: no worker can be started until the server is started again");
  }
  if (::access(path.c_str(), X_OK) != 0) {
    return fail(ErrorCode::kNotFound, fmt::format("there is no {}", path));
  }
  return path;
}

Task<Result<process::SpawnedWorker>> ExecLauncher::launch(std::string folder) {
  process::WorkerSpec spec = spec_;
  for (process::ReadOnlyBind& bind : binds_of(std::move(folder)))
    spec.binds.push_back(std::move(bind));
  co_return co_await spawner_.spawn(std::move(spec));
}

std::string ExecLauncher::seen_folder(const std::string& folder) const {
  return spawner_.isolated() ? std::string(kFolder) : folder;
}

Task<> ExecLauncher::shut_down() { co_return; }

Task<Result<void>> ExecLauncher::set_memory_limit(std::uint64_t worker_id,
                                                  std::uint64_t bytes_max) {
  return spawner_.set_memory_limit(worker_id, bytes_max);
}

Task<process::WorkerExit> ExecLauncher::reap(std::uint64_t worker_id) {
  return spawner_.reap(worker_id);
}

Task<std::uint64_t> ExecLauncher::memory_bytes(std::uint64_t worker_id) {
  return spawner_.memory_bytes(worker_id);
}

struct ZygoteLauncher::Zygote {
  Zygote(EventLoop& loop, process::SpawnedWorker started)
      : process(std::move(started)),
        output(loop, process.output.get()),
        pidfd(loop, process.pidfd.get()) {}
  process::SpawnedWorker process;
  Readiness output;  // after `process`, whose descriptors they borrow
  Readiness pidfd;
  std::string tail;
};

ZygoteLauncher::ZygoteLauncher(process::Spawner& spawner, process::WorkerSpec spec, EventLoop& home)
    : ExecLauncher(spawner, std::move(spec)), home_(home) {}
ZygoteLauncher::~ZygoteLauncher() = default;

Task<Result<process::SpawnedWorker>> ZygoteLauncher::launch(std::string folder) {
  EventLoop* const caller = EventLoop::current();
  CHECK(caller != nullptr);
  co_await home_.schedule();
  Result<process::SpawnedWorker> worker = fail(ErrorCode::kUnavailable, "no zygote");
  // Once more where the zygote proves dead only when it is asked.
  for (int attempt = 0; attempt < 2; ++attempt) {
    Result<std::uint64_t> id = co_await ready_zygote();
    if (!id) {
      worker = std::unexpected(std::move(id).error());
      break;
    }
    worker = co_await spawner_.fork_worker(*id, binds_of(folder));
    if (worker) {
      failures_ = 0;
      break;
    }
    if (worker.error().code != ErrorCode::kNotFound) break;
    worker.error().code = ErrorCode::kUnavailable;
    co_await end_zygote(*id);
  }
  co_await caller->schedule();
  co_return worker;
}

Task<Result<std::uint64_t>> ZygoteLauncher::ready_zygote() {
  while (starting_) co_await home_.sleep(Deadline::after(kTick));
  if (zygote_) co_return zygote_->process.id;
  if (MonotonicClock::now() < not_before_) co_return std::unexpected(last_error_);
  starting_ = true;
  Result<process::SpawnedWorker> started = co_await spawner_.start_zygote(spec_);
  starting_ = false;
  if (!started) {
    last_error_ = started.error();
    not_before_ = MonotonicClock::now() + backoff_after(++failures_);
    co_return std::unexpected(std::move(started).error());
  }
  const std::uint64_t id = started->id;
  zygote_ = std::make_unique<Zygote>(home_, *std::move(started));
  drain_output();
  zygote_->pidfd.when_readable([this, id] { start(end_zygote(id)); });
  co_return id;
}

// Whatever a zygote writes is about itself: it goes to the server's log.
void ZygoteLauncher::drain_output() {
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t count = ::read(zygote_->process.output.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      zygote_->output.when_readable([this] { drain_output(); });
      return;
    }
    if (count <= 0) return;
    append_tail(zygote_->tail, {buffer.data(), static_cast<std::size_t>(count)});
  }
}

Task<> ZygoteLauncher::end_zygote(std::uint64_t id) {
  if (!zygote_ || zygote_->process.id != id) co_return;
  const std::unique_ptr<Zygote> ended = std::move(zygote_);
  ended->output.cancel();
  std::array<char, 4096> buffer;
  ssize_t count = 0;
  while ((count = ::read(ended->process.output.get(), buffer.data(), buffer.size())) > 0)
    append_tail(ended->tail, {buffer.data(), static_cast<std::size_t>(count)});
  last_error_ = {ErrorCode::kUnavailable,
                 fmt::format("the zygote ended; it wrote: {}", printable_tail(ended->tail)),
                 {}};
  not_before_ =
      MonotonicClock::now() + (failures_ == 0 ? milliseconds(0) : backoff_after(failures_));
  ++failures_;
  const process::WorkerExit exit = co_await spawner_.reap(id);
  log_error("the zygote of {} {}; it wrote: {}", spec_.name, describe_exit(exit),
            printable_tail(ended->tail));
}

Task<> ZygoteLauncher::shut_down() {
  EventLoop* const caller = EventLoop::current();
  CHECK(caller != nullptr);
  co_await home_.schedule();
  while (starting_) co_await home_.sleep(Deadline::after(kTick));
  if (zygote_) {
    const std::unique_ptr<Zygote> ended = std::move(zygote_);
    ended->output.cancel();
    ended->pidfd.cancel();
    co_await spawner_.reap(ended->process.id);
  }
  co_await caller->schedule();
}

}  // namespace seam::runtimes
