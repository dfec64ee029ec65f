#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/check.h"
#include "process/isolation_means.h"
#include "process/sandbox.h"
#include "process/spawner.h"
#include "process/spawner_loop.h"
#include "process/spawner_messages.h"
#include "process/unix_message.h"

namespace seam::process {

namespace {

// Keeps the socket, as descriptor 3, and stderr. Plain numbers: the owners of all others are gone
// with the server's memory.
FileDescriptor keep_only(FileDescriptor socket) {
  const int lifted = ::fcntl(socket.release(), F_DUPFD_CLOEXEC, 64);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  CHECK(lifted >= 0 && null >= 0);
  ::dup2(null, 0);
  ::dup2(null, 1);
  CHECK(::dup3(lifted, 3, O_CLOEXEC) == 3);
  ::syscall(SYS_close_range, 4U, ~0U, 0U);
  return FileDescriptor(3);
}

// The signals that end a server are for the server: it drains, and its end is ours.
void ignore_signals_for_the_server() {
  reset_signals();
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE})
    ::signal(number, SIG_IGN);
}

// The spawner process. Its first message is the report.
[[noreturn]] void run_spawner(FileDescriptor socket, const SpawnerOptions& options,
                              const std::string& cgroup_name) {
  ::prctl(PR_SET_NAME, "seam-spawner", 0, 0, 0);
  FileDescriptor server = keep_only(std::move(socket));
  ::setsid();
  ignore_signals_for_the_server();
  const bool isolated = options.isolation == Isolation::kRequired;
  CgroupTree cgroups = isolated ? CgroupTree::open(cgroup_name) : CgroupTree();
  IsolationProbe probe = try_isolation(cgroups);
  WireWriter out;
  write_report(out, probe.report);
  const bool told = send_message(server.get(), out.bytes(), {}) == 0;
  if (told && (!isolated || probe.report.complete()))
    SpawnerLoop(std::move(server), options.isolation, std::move(cgroups), std::move(probe.means))
        .run();
  else
    CgroupTree::remove_leftovers(cgroup_name);
  ::_exit(0);
}

}  // namespace

Result<SpawnerProcess> SpawnerProcess::start(const SpawnerOptions& options) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return fail_errno("socketpair", errno);
  FileDescriptor ours(ends[0]);
  FileDescriptor theirs(ends[1]);
  std::string name =
      options.cgroup_name.empty() ? fmt::format("seam-{}", ::getpid()) : options.cgroup_name;
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork the spawner", errno);
  if (pid == 0) {
    ours.reset();
    run_spawner(std::move(theirs), options, name);
  }
  theirs.reset();
  SpawnerProcess process;
  process.socket_ = std::move(ours);
  process.pid_ = pid;
  process.isolated_ = options.isolation == Isolation::kRequired;
  if (options.isolation == Isolation::kRequired) process.cgroup_name_ = std::move(name);
  Message message;
  const int error_number = receive_message(process.socket_.get(), message);
  WireReader in(message.bytes);
  process.report_ = read_report(in);
  if (error_number != 0 || !in.done()) {
    process.end();
    return fail(ErrorCode::kInternal, "the spawner ended at its start; see stderr");
  }
  if (options.isolation == Isolation::kRequired && !process.report_.complete()) {
    process.end();
    return fail(
        ErrorCode::kFailedPrecondition,
        fmt::format("this machine cannot isolate workers: {}", missing_layers(process.report_)));
  }
  if (::fcntl(process.socket_.get(), F_SETFL, O_NONBLOCK) != 0) {
    process.end();
    return fail_errno("make the spawner's socket non-blocking", errno);
  }
  return process;
}

SpawnerProcess::SpawnerProcess(SpawnerProcess&& other) noexcept
    : socket_(std::move(other.socket_)),
      pid_(std::exchange(other.pid_, -1)),
      cgroup_name_(std::move(other.cgroup_name_)),
      report_(std::move(other.report_)),
      isolated_(other.isolated_) {}

SpawnerProcess& SpawnerProcess::operator=(SpawnerProcess&& other) noexcept {
  if (this != &other) {
    end();
    socket_ = std::move(other.socket_);
    pid_ = std::exchange(other.pid_, -1);
    cgroup_name_ = std::move(other.cgroup_name_);
    report_ = std::move(other.report_);
    isolated_ = other.isolated_;
  }
  return *this;
}

SpawnerProcess::~SpawnerProcess() { end(); }

void SpawnerProcess::end() {
  socket_.reset();
  const pid_t pid = std::exchange(pid_, -1);
  if (pid < 0) return;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  // Killed, it could not tidy up.
  if (status != 0 && !cgroup_name_.empty()) CgroupTree::remove_leftovers(cgroup_name_);
}

}  // namespace seam::process
