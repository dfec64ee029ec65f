#include "process/spawner_loop.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "base/check.h"

namespace seam::process {

namespace {

constexpr int kRemovalPauseMs = 2;             // between attempts to remove a cgroup
constexpr unsigned kRemovalAttemptsMax = 500;  // then it is left to the next server's start

std::uint64_t event_of(std::uint8_t source, std::uint64_t id) {
  return (static_cast<std::uint64_t>(source) << 56U) | id;
}

// The value of "RssAnon: 1234 kB" in bytes.
std::uint64_t anonymous_memory_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  std::string word;
  std::uint64_t kilobytes = 0;
  while (file >> word) {
    if (word == "RssAnon:" && file >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

}  // namespace

SpawnerLoop::SpawnerLoop(FileDescriptor server, Isolation isolation, CgroupTree cgroups,
                         IsolationMeans means)
    : server_(std::move(server)),
      isolation_(isolation),
      cgroups_(std::move(cgroups)),
      means_(std::move(means)),
      // A block of uids each, so that two servers on one machine rarely share one.
      uid_base_(kWorkerUidFirst + kWorkersMax * (static_cast<std::uint32_t>(::getpid()) % 1024)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  CHECK(epoll_);
  ::fcntl(server_.get(), F_SETFL, O_NONBLOCK);
  watch(server_.get(), Source::kServer, 0);
  // A pidfd for each worker, and eight descriptors while one starts.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

void SpawnerLoop::watch(int fd, Source source, std::uint64_t id) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = event_of(static_cast<std::uint8_t>(source), id);
  // Fails only for want of kernel memory, when the spawner is of no use any more.
  CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0);
}

SpawnerLoop::Worker* SpawnerLoop::find(std::uint64_t id) {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : found->second.get();
}

void SpawnerLoop::run() {
  std::array<epoll_event, 64> events{};
  for (;;) {
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   finishing_.empty() ? -1 : kRemovalPauseMs);
    CHECK(count >= 0 || errno == EINTR);
    for (int index = 0; index < count; ++index) {
      const auto& event = events[static_cast<std::size_t>(index)];
      const auto source = static_cast<Source>(event.data.u64 >> 56U);
      const std::uint64_t id = event.data.u64 & ((1ULL << 56U) - 1);
      if (source == Source::kServer) {
        flush_replies();
        if (!read_requests()) {
          end_everyone();
          return;
        }
        continue;
      }
      // An earlier event of this round may have ended it.
      Worker* const worker = find(id);
      if (worker == nullptr) continue;
      if (source == Source::kStart && worker->start) read_start(*worker);
      if (source == Source::kZygote && worker->control) read_zygote(*worker);
      if (source == Source::kEnd && !worker->status) read_end(*worker);
    }
    const std::vector<std::uint64_t> finishing(finishing_.begin(), finishing_.end());
    for (const std::uint64_t id : finishing) finish(id);
  }
}

bool SpawnerLoop::read_requests() {
  Message message;
  for (;;) {
    const int error_number = receive_message(server_.get(), message);
    if (error_number == EAGAIN) return true;
    if (error_number != 0 || message.bytes.empty()) return false;
    handle(message.bytes);
  }
}

void SpawnerLoop::handle(std::string_view bytes) {
  WireReader in(bytes);
  const std::uint64_t request = in.u64();
  const auto kind = static_cast<RequestKind>(in.u32());
  switch (kind) {
    case RequestKind::kSpawn:
    case RequestKind::kStartZygote: {
      WorkerSpec spec = read_spec(in);
      CHECK(in.done());
      return spawn(request, std::move(spec), kind == RequestKind::kStartZygote);
    }
    case RequestKind::kFork: {
      const std::uint64_t zygote = in.u64();
      const std::vector<ReadOnlyBind> binds = read_binds(in);
      CHECK(in.done());
      return fork_from(request, zygote, binds);
    }
    case RequestKind::kSetMemoryLimit: {
      const std::uint64_t id = in.u64();
      const std::uint64_t bytes_max = in.u64();
      CHECK(in.done());
      return set_memory_limit(request, id, bytes_max);
    }
    case RequestKind::kReap: {
      const std::uint64_t id = in.u64();
      CHECK(in.done());
      return reap(request, id);
    }
    case RequestKind::kMemoryBytes: {
      const std::uint64_t id = in.u64();
      CHECK(in.done());
      return tell_memory(request, id);
    }
  }
  CHECK(false);  // the server is of the same build
}

void SpawnerLoop::set_memory_limit(std::uint64_t request, std::uint64_t id,
                                   std::uint64_t bytes_max) {
  const Worker* const worker = find(id);
  if (worker == nullptr || worker->status)
    return reply_error(request, ErrorCode::kNotFound, "the worker has ended");
  if (isolation_ == Isolation::kRequired && cgroups_.has_memory()) {
    if (Result<void> done = worker->cgroup.set_memory_limit(bytes_max); !done)
      return reply_error(request, done.error().code, done.error().message);
    return reply(request, {}, {});
  }
  rlimit limit{};
  if (::prlimit(worker->pid, RLIMIT_DATA, nullptr, &limit) == 0) {
    limit.rlim_cur = std::min<rlim_t>(bytes_max, limit.rlim_max);
    if (::prlimit(worker->pid, RLIMIT_DATA, &limit, nullptr) == 0) return reply(request, {}, {});
  }
  const Error error = fail_errno("set the worker's RLIMIT_DATA", errno).error();
  reply_error(request, error.code, error.message);
}

void SpawnerLoop::tell_memory(std::uint64_t request, std::uint64_t id) {
  WireWriter out;
  std::uint64_t bytes = 0;
  if (const Worker* const worker = find(id); worker != nullptr && !worker->status) {
    const Result<std::uint64_t> counted = worker->cgroup.memory_bytes();
    bytes = counted ? *counted : anonymous_memory_of(worker->pid);
  }
  out.u64(bytes);
  reply(request, out, {});
}

void SpawnerLoop::reap(std::uint64_t request, std::uint64_t id) {
  Worker* const worker = find(id);
  CHECK(worker != nullptr && !worker->starting);  // once for every worker
  CHECK(!worker->reap_request);
  worker->reap_request = request;
  if (worker->status)
    finish(id);
  else
    kill(*worker);
}

void SpawnerLoop::kill(const Worker& worker) const {
  if (!worker.status) ::syscall(SYS_pidfd_send_signal, worker.pidfd.get(), SIGKILL, nullptr, 0);
}

void SpawnerLoop::read_end(Worker& worker) {
  int status = 0;
  const pid_t ended = ::waitpid(worker.pid, &status, WNOHANG);
  if (ended == 0) return;
  worker.status = ended == worker.pid ? status : SIGKILL;
  // The pidfd stays: a start that is not yet answered hands it on.
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, worker.pidfd.get(), nullptr);
  if (worker.is_zygote) fail_forks(worker);
  // A start that was cut off is seen at the end of its pipe, which the process held open.
  if (worker.start) read_start(worker);
  if (worker.abandoned || worker.reap_request) finish(worker.id);
}

// Gives back what an ended worker held and answers who waits for that.
void SpawnerLoop::finish(std::uint64_t id) {
  Worker& worker = *find(id);
  const std::uint64_t kills =
      worker.removals == 0 ? worker.cgroup.out_of_memory_kills() : worker.memory_kills;
  worker.memory_kills = kills;
  if (!worker.cgroup.remove() && ++worker.removals < kRemovalAttemptsMax) {
    finishing_.insert(id);
    return;
  }
  finishing_.erase(id);
  uid_slots_.erase(worker.uid_slot);
  const std::optional<std::uint64_t> request = worker.reap_request;
  WireWriter out;
  out.u32(static_cast<std::uint32_t>(*worker.status));
  out.u32(kills > 0 ? 1 : 0);
  workers_.erase(id);  // before the answer, after which nothing of it may be left
  if (request) reply(*request, out, {});
}

void SpawnerLoop::end_everyone() {
  for (const auto& [id, worker] : workers_) kill(*worker);
  end_strays();
  for (const auto& [id, worker] : workers_) {
    if (worker->pid > 0 && !worker->status) {
      while (::waitpid(worker->pid, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
  }
  for (const auto& [id, worker] : workers_) {
    for (unsigned attempt = 0; attempt < 50 && !worker->cgroup.remove(); ++attempt)
      ::usleep(kRemovalPauseMs * 1000);
  }
  workers_.clear();
  // What is still in use then is for the next server on this machine.
  [[maybe_unused]] const bool removed = cgroups_.remove();
}

void SpawnerLoop::reply_error(std::uint64_t request, ErrorCode code, const std::string& message) {
  WireWriter out;
  out.u64(request);
  out.u32(static_cast<std::uint32_t>(code));
  out.text(message);
  replies_.push_back({out.bytes(), {}});
  flush_replies();
}

void SpawnerLoop::reply(std::uint64_t request, const WireWriter& payload,
                        std::vector<FileDescriptor> owned) {
  WireWriter out;
  out.u64(request);
  out.u32(0);
  out.text({});
  replies_.push_back({out.bytes() + payload.bytes(), std::move(owned)});
  flush_replies();
}

void SpawnerLoop::flush_replies() {
  int error_number = 0;
  while (!replies_.empty() && error_number == 0) {
    const Reply& next = replies_.front();
    std::vector<int> descriptors;
    for (const FileDescriptor& each : next.owned) descriptors.push_back(each.get());
    error_number = send_message(server_.get(), next.bytes, descriptors);
    // Any other error: the server has gone, which the next read will say.
    if (error_number != EAGAIN) replies_.pop_front();
  }
  epoll_event event{};
  event.events = replies_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT;
  event.data.u64 = event_of(static_cast<std::uint8_t>(Source::kServer), 0);
  CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, server_.get(), &event) == 0);
}

}  // namespace seam::process
