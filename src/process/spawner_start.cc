// The part of the spawner's loop that starts workers: by clone and execve, or through a zygote.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "base/check.h"
#include "process/sandbox.h"
#include "process/seccomp_install.h"
#include "process/spawner_loop.h"

namespace seam::process {

namespace {

// What may go better when tried again later.
bool passes_by_itself(int error_number) {
  switch (error_number) {
    case EAGAIN:
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EUSERS:
      return true;
    default:
      return false;
  }
}

// A pipe and a socket pair, closed on exec; the first end is non-blocking where it is the server's.
bool make_pipe(FileDescriptor& reader, FileDescriptor& writer) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  reader = FileDescriptor(ends[0]);
  writer = FileDescriptor(ends[1]);
  return ::fcntl(reader.get(), F_SETFL, O_NONBLOCK) == 0;
}

bool make_socket_pair(int type, FileDescriptor& ours, FileDescriptor& theirs) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  ours = FileDescriptor(ends[0]);
  theirs = FileDescriptor(ends[1]);
  return ::fcntl(ours.get(), F_SETFL, O_NONBLOCK) == 0;
}

// Without mounts of its own a worker sees a bind at its host path.
std::string seen_outside(const std::string& text, const std::vector<ReadOnlyBind>& binds) {
  for (const ReadOnlyBind& bind : binds) {
    if (text == bind.sandbox_path) return bind.host_path;
    if (text.starts_with(bind.sandbox_path + "/"))
      return bind.host_path + text.substr(bind.sandbox_path.size());
  }
  return text;
}

// Where a process that has `binds` sees a host path; empty where it does not.
std::string seen_inside(const std::string& host_path, const std::vector<ReadOnlyBind>& binds) {
  for (const ReadOnlyBind& bind : binds) {
    if (host_path == bind.host_path) return bind.sandbox_path;
    if (host_path.starts_with(bind.host_path + "/"))
      return bind.sandbox_path + host_path.substr(bind.host_path.size());
  }
  return {};
}

WorkerSpec seen_outside(WorkerSpec spec) {
  for (std::string& argument : spec.argv) argument = seen_outside(argument, spec.binds);
  for (std::string& variable : spec.environment) {
    const std::size_t value = variable.find('=') + 1;
    variable = variable.substr(0, value) + seen_outside(variable.substr(value), spec.binds);
  }
  return spec;
}

// source    proc(5), /proc/pid/fdinfo of a pidfd.
pid_t pid_of(const FileDescriptor& pidfd) {
  std::ifstream file(fmt::format("/proc/self/fdinfo/{}", pidfd.get()));
  std::string word;
  pid_t pid = -1;
  while (file >> word) {
    if (word == "Pid:" && file >> pid) return pid;
  }
  return -1;
}

}  // namespace

std::optional<std::uint32_t> SpawnerLoop::take_uid_slot() {
  if (uid_slots_.size() >= kWorkersMax) return std::nullopt;
  while (uid_slots_.contains(uid_next_)) uid_next_ = (uid_next_ + 1) % kWorkersMax;
  const std::uint32_t slot = uid_next_;
  uid_slots_.insert(slot);
  uid_next_ = (uid_next_ + 1) % kWorkersMax;
  return slot;
}

Result<SpawnerLoop::ChildEnds> SpawnerLoop::prepare(Worker& worker, const WorkerSpec& spec,
                                                    bool zygote) {
  const auto slot = take_uid_slot();
  if (!slot) return fail(ErrorCode::kUnavailable, "too many workers live");
  worker.uid_slot = *slot;
  worker.id = id_next_++;
  ChildEnds ends;
  const bool made =
      make_socket_pair(zygote ? SOCK_SEQPACKET : SOCK_STREAM, worker.socket, ends.socket) &&
      make_pipe(worker.output, ends.output) && make_pipe(worker.start, ends.start);
  const int error_number = errno;
  Result<void> grouped;
  if (made && !zygote && isolation_ == Isolation::kRequired) {
    Result<Cgroup> group = cgroups_.create(fmt::format("{}-{}", spec.name, worker.id), spec.limits);
    if (group) {
      worker.cgroup = *std::move(group);
      auto entries = worker.cgroup.open_entries();
      if (entries)
        ends.cgroup_entries = *std::move(entries);
      else
        grouped = std::unexpected(std::move(entries).error());
    } else {
      grouped = std::unexpected(std::move(group).error());
    }
  }
  if (made && grouped) return ends;
  uid_slots_.erase(worker.uid_slot);
  [[maybe_unused]] const bool removed = worker.cgroup.remove();
  if (made) return fail(ErrorCode::kUnavailable, grouped.error().message);
  return fail(ErrorCode::kUnavailable, fmt::format("no descriptor for a worker: {}",
                                                   std::generic_category().message(error_number)));
}

SandboxPlan SpawnerLoop::plan_for(const Worker& worker, const WorkerSpec& spec) const {
  const bool counts_memory = isolation_ == Isolation::kRequired && cgroups_.has_memory();
  SandboxPlan plan = plan_by(means_, counts_memory);
  if (spec.starts_programs) plan.seccomp_filter = means_.seccomp_filter_of_processes;
  plan.isolated = isolation_ == Isolation::kRequired;
  plan.uid = uid_base_ + worker.uid_slot;
  for (const ReadOnlyBind& bind : spec.binds)
    plan.binds.push_back({bind.host_path, bind.sandbox_path});
  plan.disk_bytes_max = spec.limits.disk_bytes_max;
  plan.open_files_max = spec.limits.open_files_max;
  plan.processes_max = spec.limits.processes_max;
  plan.data_bytes_max = counts_memory ? 0 : spec.limits.memory_bytes_max;
  return plan;
}

void SpawnerLoop::spawn(std::uint64_t request, WorkerSpec spec, bool zygote) {
  auto worker = std::make_unique<Worker>();
  Result<ChildEnds> ends = prepare(*worker, spec, zygote);
  if (!ends) return reply_error(request, ends.error().code, ends.error().message);
  SandboxPlan plan = plan_for(*worker, spec);
  if (zygote) {
    for (const ReadOnlyBind& bind : spec.zygote_binds)
      plan.binds.push_back({bind.host_path, bind.sandbox_path});
  }
  if (!plan.isolated) spec = seen_outside(std::move(spec));
  int pidfd = -1;
  const unsigned long flags = zygote ? zygote_clone_flags(plan) : sandbox_clone_flags(plan);
  const long pid =
      ::syscall(SYS_clone, flags | CLONE_PIDFD | SIGCHLD, nullptr, &pidfd, nullptr, nullptr);
  if (pid == 0) become_worker(plan, spec, zygote, *std::move(ends));
  if (pid < 0) {
    const int error_number = errno;
    uid_slots_.erase(worker->uid_slot);
    [[maybe_unused]] const bool removed = worker->cgroup.remove();
    return reply_error(request, ErrorCode::kUnavailable,
                       fmt::format("clone: {}", std::generic_category().message(error_number)));
  }
  worker->pid = static_cast<pid_t>(pid);
  worker->pidfd = FileDescriptor(pidfd);
  worker->start_request = request;
  if (zygote) {
    worker->is_zygote = true;
    worker->control = std::move(worker->socket);
    worker->spec = std::move(spec);
  }
  adopt(std::move(worker));
}

// Begins to watch a worker that exists.
void SpawnerLoop::adopt(std::unique_ptr<Worker> worker) {
  watch(worker->pidfd.get(), Source::kEnd, worker->id);
  watch(worker->start.get(), Source::kStart, worker->id);
  if (worker->control) watch(worker->control.get(), Source::kZygote, worker->id);
  workers_.emplace(worker->id, std::move(worker));
}

// In the new process.
void SpawnerLoop::become_worker(const SandboxPlan& plan, const WorkerSpec& spec, bool zygote,
                                ChildEnds ends) const {
  std::vector<int> cgroup_files;
  for (FileDescriptor& entry : ends.cgroup_entries) cgroup_files.push_back(entry.release());
  const WorkerDescriptors descriptors{.socket = ends.socket.release(),
                                      .output = ends.output.release(),
                                      .start = ends.start.release(),
                                      .kept = cgroup_files};
  const auto enter = [&]() -> SandboxResult {
    reset_signals();
    schedule_as_batch();
    if (zygote) return enter_zygote_view(plan);
    return enter_sandbox(plan, cgroup_files);
  };
  if (SandboxResult done = arrange_descriptors(descriptors); !done) ::_exit(127);
  // Before the limits: it needs memory.
  const auto program = ExecOnce::prepare(spec.argv, spec.environment);
  SandboxResult ready = program ? enter() : std::unexpected(program.error());
  if (ready && plan.isolated && !zygote) {
    ready = spec.starts_programs ? install_filter(plan.seccomp_filter)
                                 : program->filter(plan.seccomp_filter);
  }
  if (!ready) {
    tell_failed(ready.error());
    ::_exit(127);
  }
  if (!tell_started()) ::_exit(127);
  const int error_number = program->run();
  tell_failed({error_number, "run " + spec.argv.front()});
  ::_exit(127);
}

void SpawnerLoop::read_start(Worker& worker) {
  std::array<char, 2048> buffer{};
  for (;;) {
    const ssize_t size = ::read(worker.start.get(), buffer.data(), buffer.size());
    if (size > 0 && worker.start_bytes.size() < 2 * buffer.size()) {
      worker.start_bytes.append(buffer.data(), static_cast<std::size_t>(size));
      continue;
    }
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN && !worker.status) return;
    worker.start.reset();
    return finish_start(worker);
  }
}

// What the child said: "+" before it runs its program, and then nothing; or what failed.
void SpawnerLoop::finish_start(Worker& worker) {
  worker.starting = false;
  if (worker.start_bytes == "+") {
    WireWriter out;
    out.u64(worker.id);
    out.u32(static_cast<std::uint32_t>(worker.pid));
    std::vector<FileDescriptor> owned;
    owned.push_back(std::move(worker.output));
    owned.emplace_back(::fcntl(worker.pidfd.get(), F_DUPFD_CLOEXEC, 0));
    if (!owned.back()) {
      worker.abandoned = true;
      kill(worker);
      return reply_error(worker.start_request, ErrorCode::kUnavailable,
                         "no descriptor for a worker");
    }
    if (worker.socket) owned.push_back(std::move(worker.socket));
    return reply(worker.start_request, out, std::move(owned));
  }
  worker.abandoned = true;
  kill(worker);
  worker.socket.reset();
  worker.output.reset();
  std::string_view said = worker.start_bytes;
  if (said.starts_with('+')) said.remove_prefix(1);
  WireReader in(said);
  const auto error_number = static_cast<int>(in.u32());
  const std::string what = in.text();
  if (!in.done())
    return reply_error(worker.start_request, ErrorCode::kUnavailable,
                       "the worker ended while it was being isolated");
  reply_error(
      worker.start_request,
      passes_by_itself(error_number) ? ErrorCode::kUnavailable : ErrorCode::kFailedPrecondition,
      fmt::format("{}: {}", what, std::generic_category().message(error_number)));
}

void SpawnerLoop::fork_from(std::uint64_t request, std::uint64_t zygote_id,
                            const std::vector<ReadOnlyBind>& binds) {
  Worker* const zygote = find(zygote_id);
  if (zygote == nullptr || !zygote->is_zygote || zygote->status || !zygote->control)
    return reply_error(request, ErrorCode::kNotFound, "the zygote has ended");
  std::vector<SandboxBind> own;
  for (const ReadOnlyBind& bind : binds) {
    own.push_back({seen_inside(bind.host_path, zygote->spec.zygote_binds), bind.sandbox_path});
    if (own.back().source.empty())
      return reply_error(request, ErrorCode::kInvalidArgument,
                         fmt::format("the zygote does not see {}", bind.host_path));
  }
  auto fork = std::make_unique<Fork>();
  fork->worker = std::make_unique<Worker>();
  Result<ChildEnds> ends = prepare(*fork->worker, zygote->spec, false);
  if (!ends) return reply_error(request, ends.error().code, ends.error().message);
  fork->ends = *std::move(ends);
  fork->worker->start_request = request;
  fork->plan = plan_for(*fork->worker, zygote->spec);
  // The zygote sees the binds where its workers will.
  for (SandboxBind& bind : fork->plan.binds) bind.source = bind.target;
  std::ranges::move(own, std::back_inserter(fork->plan.binds));
  zygote->forks.push_back(std::move(fork));
  if (zygote->forks.size() == 1) send_fork(*zygote);
}

void SpawnerLoop::send_fork(Worker& zygote) {
  const Fork& fork = *zygote.forks.front();
  WireWriter out;
  write_plan(out, fork.plan);
  std::vector<int> descriptors{fork.ends.socket.get(), fork.ends.output.get(),
                               fork.ends.start.get()};
  for (const FileDescriptor& entry : fork.ends.cgroup_entries) descriptors.push_back(entry.get());
  // One message is under way at most, so there is room unless the zygote has ended; its end
  // follows.
  if (send_message(zygote.control.get(), out.bytes(), descriptors) != 0) fail_forks(zygote);
}

// The answer to the first fork: a pidfd, or an errno.
void SpawnerLoop::read_zygote(Worker& zygote) {
  Message message;
  const int error_number = receive_message(zygote.control.get(), message);
  if (error_number == EAGAIN) return;
  WireReader in(message.bytes);
  const auto failed = static_cast<int>(in.u32());
  if (error_number != 0 || !in.done() || zygote.forks.empty()) {
    // It has closed, or it says what it should not: it is of no use any more.
    kill(zygote);
    return fail_forks(zygote);
  }
  std::unique_ptr<Fork> fork = std::move(zygote.forks.front());
  zygote.forks.pop_front();
  std::unique_ptr<Worker> worker = std::move(fork->worker);
  fork.reset();  // our copies of the child's ends: the start pipe must end with the child's
  if (failed == 0 && message.descriptors.size() == 1) {
    worker->pidfd = std::move(message.descriptors.front());
    worker->pid = pid_of(worker->pidfd);
  }
  if (worker->pid > 0) {
    adopt(std::move(worker));
  } else {
    uid_slots_.erase(worker->uid_slot);
    [[maybe_unused]] const bool removed = worker->cgroup.remove();
    reply_error(worker->start_request, ErrorCode::kUnavailable,
                fmt::format("fork: {}", std::generic_category().message(failed)));
  }
  if (!zygote.forks.empty()) send_fork(zygote);
}

void SpawnerLoop::fail_forks(Worker& zygote) {
  zygote.control.reset();
  if (!zygote.forks.empty()) end_strays();
  for (const auto& fork : std::exchange(zygote.forks, {})) {
    uid_slots_.erase(fork->worker->uid_slot);
    [[maybe_unused]] const bool removed = fork->worker->cgroup.remove();
    reply_error(fork->worker->start_request, ErrorCode::kNotFound, "the zygote has ended");
  }
}

// A zygote that ended between its fork and its answer leaves a child of ours that we do not know.
// source    proc(5), /proc/pid/task/tid/children.
void SpawnerLoop::end_strays() const {
  std::ifstream children("/proc/thread-self/children");
  pid_t child = 0;
  while (children >> child) {
    const bool known =
        std::ranges::any_of(workers_, [&](const auto& each) { return each.second->pid == child; });
    if (known) continue;
    ::kill(child, SIGKILL);
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

}  // namespace seam::process
