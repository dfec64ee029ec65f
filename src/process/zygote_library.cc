// The part of a zygote that has to be native: libseam_zygote.so, loaded by guests/python/zygote.py.
//
//   seam_zygote_wait(3)        → the request for a worker; null: the spawner has gone
//   seam_zygote_fork(request)  → 0: in the worker, which is shut in, has its socket at 3 and may
//   run
//                                what it was made for; else: in the zygote
//
// Each request is given back to seam_zygote_fork() once, which frees it.
//
// The worker is cloned with CLONE_PARENT: its parent is the spawner, which waits for it and ends
// it, and not the zygote. fork(3) cannot do that, so this is the plain system call, made while the
// zygote has one thread. What fork(3) does besides is done here: the new thread's id goes where
// libc keeps it. Python's own part is for zygote.py (PyOS_BeforeFork and its like).

#include <linux/prctl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>

#include "base/check.h"
#include "process/sandbox.h"
#include "process/seccomp_install.h"
#include "process/unix_message.h"
#include "process/wire.h"

namespace seam::process {
namespace {

constexpr std::size_t kFixedDescriptors = 3;  // socket, output, start; the rest are cgroup entries

struct Request {
  int socket = -1;
  Message message;
  SandboxPlan plan;
};

// Where libc keeps the id of the thread, and the kernel clears it at its end.
int* thread_id_place() {
  int* place = nullptr;
#ifdef PR_GET_TID_ADDRESS
  if (::prctl(PR_GET_TID_ADDRESS, &place, 0, 0, 0) != 0) return nullptr;
#endif
  return place;
}

[[noreturn]] void give_up(const SandboxFailure& failure) {
  tell_failed(failure);
  ::_exit(127);
}

// In the new process. Returns when it is shut in.
void become_worker(Request& wanted) {
  std::array<int, kMessageDescriptorsMax> kept{};
  std::size_t count = 0;
  for (std::size_t index = kFixedDescriptors; index < wanted.message.descriptors.size(); ++index)
    kept[count++] = wanted.message.descriptors[index].release();
  const std::span<int> cgroup_files(kept.data(), count);
  const WorkerDescriptors descriptors{
      .socket = wanted.message.descriptors[0].release(),
      .output = wanted.message.descriptors[1].release(),
      .start = wanted.message.descriptors[2].release(),
      .kept = cgroup_files,
  };
  if (SandboxResult done = arrange_descriptors(descriptors); !done) ::_exit(127);
  reset_signals();
  if (SandboxResult done = enter_sandbox(wanted.plan, cgroup_files); !done) give_up(done.error());
  // A change of user makes a process unreadable to itself under /proc until it runs a program. It
  // runs none, and nobody else is in its pid namespace.
  if (::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) give_up({errno, "PR_SET_DUMPABLE"});
  if (wanted.plan.isolated) {
    if (SandboxResult done = forbid_exec_and_filter(wanted.plan.seccomp_filter); !done)
      give_up(done.error());
  }
  if (!tell_started()) ::_exit(127);
  ::close(kStartDescriptor);
}

void answer(int socket, int error_number, int pidfd) {
  WireWriter out;
  out.u32(static_cast<std::uint32_t>(error_number));
  const std::array<int, 1> descriptors{pidfd};
  // A spawner that has gone is noticed by the next wait.
  [[maybe_unused]] const int sent = send_message(
      socket, out.bytes(), std::span<const int>(descriptors.data(), error_number == 0 ? 1 : 0));
}

}  // namespace
}  // namespace seam::process

extern "C" {

[[gnu::visibility("default")]] void* seam_zygote_wait(int socket) {
  using namespace seam::process;
  auto wanted = std::make_unique<Request>();
  wanted->socket = socket;
  if (receive_message(socket, wanted->message) != 0 || wanted->message.bytes.empty())
    return nullptr;
  WireReader in(wanted->message.bytes);
  wanted->plan = read_plan(in);
  CHECK(in.done() && wanted->message.descriptors.size() >= kFixedDescriptors);
  return wanted.release();
}

[[gnu::visibility("default")]] int seam_zygote_fork(void* request) {
  using namespace seam::process;
  const std::unique_ptr<Request> wanted(static_cast<Request*>(request));
  int pidfd = -1;
  int* const thread_id = thread_id_place();
  const unsigned long flags =
      sandbox_clone_flags(wanted->plan) | CLONE_PARENT | CLONE_PIDFD |
      (thread_id != nullptr ? CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID : 0);
#if defined(__x86_64__)
  const long pid = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, &pidfd, thread_id, nullptr);
#else
  const long pid = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, &pidfd, nullptr, thread_id);
#endif
  if (pid == 0) {
    become_worker(*wanted);
    return 0;
  }
  answer(wanted->socket, pid < 0 ? errno : 0, pidfd);
  if (pidfd >= 0) ::close(pidfd);
  return 1;
}
}
