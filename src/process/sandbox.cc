// The order of the steps, each of which needs what the later ones take away:
//
//   cgroup          while the descriptors of its files are open, so that all later memory counts
//   user namespace  its maps first: without them the process is nobody and may do nothing
//   mounts          while it is root; needs CAP_SYS_ADMIN
//   rlimits         before the uid changes; RLIMIT_NPROC counts for the new uid
//   capabilities    the bounding set while CAP_SETPCAP is there
//   uid             and with it the capabilities
//   parent's death  after the uid, since a change of credentials clears the signal
//   session         no controlling terminal, a process group of its own
//   no_new_privs    before Landlock and seccomp, which ask for it
//   Landlock        after the mounts: its rules name files of the new root
//   RLIMIT_DATA     near the end: it may be below what the launcher has, and nothing after it
//                   allocates
//   seccomp         last, by the caller: it forbids all of the above

#include "process/sandbox.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/file_descriptor.h"
#include "process/landlock.h"
#include "process/mount_view.h"

namespace seam::process {

namespace {

SandboxResult write_text(const char* path, const std::string& text) {
  const FileDescriptor file(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) < 0)
    return failure(std::string("write ") + path);
  return {};
}

SandboxResult enter_cgroups(std::span<const int> files) {
  for (const int file : files) {
    if (::write(file, "0", 1) != 1) return failure("enter the cgroup");
    ::close(file);
  }
  return {};
}

struct Ids {
  std::uint32_t uid;
  std::uint32_t gid;
};

// The ids of the new namespace are the ones that run us, under the names `inside`.
SandboxResult map_user(Ids inside, Ids outside) {
  if (SandboxResult done = write_text("/proc/self/setgroups", "deny"); !done) return done;
  const auto map = [](const char* path, std::uint32_t in, std::uint32_t out) {
    return write_text(path, std::to_string(in) + " " + std::to_string(out) + " 1");
  };
  if (SandboxResult done = map("/proc/self/uid_map", inside.uid, outside.uid); !done) return done;
  return map("/proc/self/gid_map", inside.gid, outside.gid);
}

SandboxResult limit(__rlimit_resource resource, std::uint64_t value) {
  // Where the server's own hard limit is lower, that one holds.
  rlimit now{};
  if (::getrlimit(resource, &now) != 0) return failure("getrlimit");
  const rlim_t wanted = std::min<rlim_t>(value, now.rlim_max);
  const rlimit lowered{wanted, wanted};
  if (::setrlimit(resource, &lowered) != 0) return failure("setrlimit");
  return {};
}

SandboxResult set_limits(const SandboxPlan& plan) {
  struct Limit {
    __rlimit_resource resource;
    std::uint64_t value;
  };
  for (const Limit& each : {Limit{RLIMIT_CORE, 0}, Limit{RLIMIT_NOFILE, plan.open_files_max},
                            Limit{RLIMIT_FSIZE, plan.disk_bytes_max}, Limit{RLIMIT_MEMLOCK, 0},
                            Limit{RLIMIT_MSGQUEUE, 0}, Limit{RLIMIT_SIGPENDING, 64}}) {
    if (SandboxResult done = limit(each.resource, each.value); !done) return done;
  }
  // Counted over all processes of a user: of the worker's own uid or user namespace, but without
  // isolation of everything that the operator runs.
  if (plan.isolated) {
    if (SandboxResult done = limit(RLIMIT_NPROC, plan.processes_max); !done) return done;
  }
  return {};
}

SandboxResult limit_data(std::uint64_t bytes_max) {
  // The hard limit stays, so that the spawner can raise it again; a worker cannot set either.
  rlimit now{};
  if (::getrlimit(RLIMIT_DATA, &now) != 0) return failure("getrlimit");
  now.rlim_cur = std::min<rlim_t>(bytes_max, now.rlim_max);
  if (::setrlimit(RLIMIT_DATA, &now) != 0) return failure("setrlimit");
  return {};
}

// Takes from the bounding set every capability that `kept` does not name.
SandboxResult bound_capabilities(std::uint64_t kept) {
  for (unsigned long capability = 0; capability < 64; ++capability) {
    if (((kept >> capability) & 1U) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // the kernel knows no more
    return failure("drop capabilities");
  }
  return {};
}

SandboxResult drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) return failure("drop capabilities");
  return {};
}

SandboxResult change_user(std::uint32_t uid) {
  if (::setgroups(0, nullptr) != 0) return failure("setgroups");
  if (::setresgid(uid, uid, uid) != 0) return failure("setresgid");
  if (::setresuid(uid, uid, uid) != 0) return failure("setresuid");
  return {};
}

SandboxResult tie_to_parent() {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return failure("PR_SET_PDEATHSIG");
  return {};
}

SandboxResult restrict_worker_files(const SandboxPlan& plan) {
  FileRights rights;
  rights.executable = {"/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin"};
  rights.readable = {"/etc", "/proc"};
  rights.writable = {"/tmp"};
  rights.devices = {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"};
  for (const SandboxBind& bind : plan.binds) rights.executable.push_back(bind.target);
  return restrict_files(rights);
}

}  // namespace

unsigned long sandbox_clone_flags(const SandboxPlan& plan) {
  if (!plan.isolated) return 0;
  unsigned long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  if (plan.user_namespace) flags |= CLONE_NEWUSER;
  return flags;
}

unsigned long zygote_clone_flags(const SandboxPlan& plan) {
  if (!plan.isolated) return 0;
  return plan.user_namespace ? CLONE_NEWNS | CLONE_NEWUSER : CLONE_NEWNS;
}

SandboxResult enter_sandbox(const SandboxPlan& plan, std::span<const int> cgroup_files) {
  if (SandboxResult done = enter_cgroups(cgroup_files); !done) return done;
  if (plan.isolated) {
    if (plan.user_namespace) {
      const Ids inside{.uid = plan.uid, .gid = plan.uid};
      const Ids outside{.uid = plan.outer_uid, .gid = plan.outer_gid};
      if (SandboxResult done = map_user(inside, outside); !done) return done;
    }
    // A container's system call filter may forbid it; then workers see the container's name.
    if (::sethostname("seam", 4) != 0 && errno != EPERM) return failure("sethostname");
    const MountView view{.binds = plan.binds,
                         .tmp_bytes = plan.disk_bytes_max,
                         .uid = plan.uid,
                         .zero_device = plan.zero_device,
                         .proc = MountView::Proc::kOwn};
    if (SandboxResult done = build_mount_view(view); !done) return done;
  } else if (::chdir("/tmp") != 0) {
    return failure("enter /tmp");
  }
  if (SandboxResult done = set_limits(plan); !done) return done;
  if (plan.isolated) {
    if (SandboxResult done = bound_capabilities(0); !done) return done;
    if (!plan.user_namespace) {
      if (SandboxResult done = change_user(plan.uid); !done) return done;
    }
    if (SandboxResult done = drop_capabilities(); !done) return done;
  }
  if (SandboxResult done = tie_to_parent(); !done) return done;
  if (::setsid() < 0 && errno != EPERM) return failure("setsid");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failure("no_new_privs");
  ::umask(022);
  if (plan.isolated && plan.landlock) {
    if (SandboxResult done = restrict_worker_files(plan); !done) return done;
  }
  return plan.data_bytes_max == 0 ? SandboxResult() : limit_data(plan.data_bytes_max);
}

SandboxResult enter_zygote_view(const SandboxPlan& plan) {
  if (plan.isolated) {
    if (plan.user_namespace) {
      // Each by its own name: the workers forked here map them once more.
      const Ids same{.uid = plan.outer_uid, .gid = plan.outer_gid};
      if (SandboxResult done = map_user(same, same); !done) return done;
    }
    const MountView view{.binds = plan.binds,
                         .tmp_bytes = 1U << 20U,
                         .uid = plan.outer_uid,
                         .zero_device = plan.zero_device,
                         .proc = MountView::Proc::kOuter};
    if (SandboxResult done = build_mount_view(view); !done) return done;
    if (!plan.user_namespace) {
      const std::uint64_t kept = (1ULL << CAP_SYS_ADMIN) | (1ULL << CAP_SETUID) |
                                 (1ULL << CAP_SETGID) | (1ULL << CAP_SETPCAP) |
                                 (1ULL << CAP_DAC_OVERRIDE);
      if (SandboxResult done = bound_capabilities(kept); !done) return done;
    }
  }
  if (SandboxResult done = limit(RLIMIT_CORE, 0); !done) return done;
  if (SandboxResult done = tie_to_parent(); !done) return done;
  if (::setsid() < 0 && errno != EPERM) return failure("setsid");
  return {};
}

void reset_signals() {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &action, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void schedule_as_batch() {
  const sched_param parameters{};
  static_cast<void>(::sched_setscheduler(0, SCHED_BATCH, &parameters));  // only a matter of speed
}

SandboxResult arrange_descriptors(const WorkerDescriptors& descriptors) {
  // First all of them up, out of the way of the places they go to.
  const auto lift = [](int fd) { return ::fcntl(fd, F_DUPFD_CLOEXEC, 64); };
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int lifted_null = lift(null);
  const int socket = lift(descriptors.socket);
  const int output = lift(descriptors.output);
  const int start = lift(descriptors.start);
  if (null < 0 || lifted_null < 0 || socket < 0 || output < 0 || start < 0)
    return failure("arrange descriptors");
  for (int& fd : descriptors.kept) {
    fd = lift(fd);
    if (fd < 0) return failure("arrange descriptors");
  }
  ::dup2(lifted_null, 0);
  ::dup2(output, 1);
  ::dup2(output, 2);
  ::dup2(socket, kSocketDescriptor);
  ::dup3(start, kStartDescriptor, O_CLOEXEC);
  int next = kStartDescriptor + 1;
  for (int& fd : descriptors.kept) {
    ::dup3(fd, next, O_CLOEXEC);
    fd = next++;
  }
  if (::syscall(SYS_close_range, static_cast<unsigned>(next), ~0U, 0U) != 0)
    return failure("close_range");
  return {};
}

bool tell_started() { return ::write(kStartDescriptor, "+", 1) == 1; }

void tell_failed(const SandboxFailure& failed) {
  WireWriter out;
  out.u32(static_cast<std::uint32_t>(failed.error_number));
  out.text(failed.what.substr(0, 1024));
  // Nothing to be done if the spawner has gone.
  [[maybe_unused]] const ssize_t written =
      ::write(kStartDescriptor, out.bytes().data(), out.bytes().size());
}

}  // namespace seam::process
