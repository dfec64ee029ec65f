#include "process/seccomp_filter.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/file_descriptor.h"

namespace seam::process {

namespace {

// What Node, CPython, the native loader and their standard libraries use for computing, their own
// files, threads and the descriptors they were given. Everything else fails with EPERM: no sockets,
// processes, mounts, keys, tracing, and nothing that newer kernels add.
constexpr int kAllowed[] = {
    // bytes
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
    SCMP_SYS(pwrite64), SCMP_SYS(preadv), SCMP_SYS(pwritev), SCMP_SYS(lseek), SCMP_SYS(sendfile),
    SCMP_SYS(copy_file_range), SCMP_SYS(splice), SCMP_SYS(fadvise64), SCMP_SYS(fsync),
    SCMP_SYS(fdatasync), SCMP_SYS(ftruncate), SCMP_SYS(truncate), SCMP_SYS(fallocate),
    // descriptors
    SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(fcntl), SCMP_SYS(flock), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(select),
    SCMP_SYS(pselect6), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd), SCMP_SYS(eventfd2), SCMP_SYS(signalfd4),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
    SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch), SCMP_SYS(inotify_rm_watch),
    // messages over the sockets it has
    SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
    SCMP_SYS(shutdown), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    // files
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
    SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(chdir),
    SCMP_SYS(fchdir), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(rename),
    SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(link),
    SCMP_SYS(linkat), SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(utime),
    SCMP_SYS(utimes), SCMP_SYS(utimensat), SCMP_SYS(umask),
    // memory; mmap is below
    SCMP_SYS(mprotect), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise),
    SCMP_SYS(mincore), SCMP_SYS(msync), SCMP_SYS(membarrier), SCMP_SYS(pkey_alloc),
    SCMP_SYS(pkey_free), SCMP_SYS(pkey_mprotect),
    // signals to itself; its pid namespace holds nobody else
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(sigaltstack), SCMP_SYS(tgkill), SCMP_SYS(pause), SCMP_SYS(restart_syscall),
    // time
    SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(alarm), SCMP_SYS(setitimer),
    SCMP_SYS(getitimer), SCMP_SYS(timer_create), SCMP_SYS(timer_settime), SCMP_SYS(timer_gettime),
    SCMP_SYS(timer_delete),
    // what it may know
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getresuid), SCMP_SYS(getresgid),
    SCMP_SYS(getgroups), SCMP_SYS(getpgrp), SCMP_SYS(getpgid), SCMP_SYS(getsid),
    SCMP_SYS(getpriority), SCMP_SYS(capget), SCMP_SYS(uname), SCMP_SYS(sysinfo),
    SCMP_SYS(getrusage), SCMP_SYS(getrlimit), SCMP_SYS(getrandom), SCMP_SYS(getcpu),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_get_priority_max),
    SCMP_SYS(sched_get_priority_min),
    // threads and the end; execve is closed by the filter that the launcher puts before this one
    SCMP_SYS(arch_prctl), SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address),
    SCMP_SYS(rseq), SCMP_SYS(wait4), SCMP_SYS(waitid), SCMP_SYS(exit), SCMP_SYS(exit_group),
    SCMP_SYS(execve)};

// Newer calls that libraries try first and do without when the kernel has none: the answer must be
// the one of such a kernel. futex_waitv also keeps the surface small; memory of memfd_create (which
// wasmtime would use) is not counted as a process's own.
constexpr int kAbsent[] = {
    SCMP_SYS(clone3),         SCMP_SYS(openat2),           SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(futex_waitv),
    SCMP_SYS(memfd_secret),   SCMP_SYS(memfd_create)};

// Copying a file tries these and expects to hear that the file system has none.
constexpr int kUnsupported[] = {SCMP_SYS(getxattr),  SCMP_SYS(lgetxattr),  SCMP_SYS(fgetxattr),
                                SCMP_SYS(listxattr), SCMP_SYS(llistxattr), SCMP_SYS(flistxattr),
                                SCMP_SYS(setxattr),  SCMP_SYS(lsetxattr),  SCMP_SYS(fsetxattr)};

// Not PR_SET_PDEATHSIG: a worker ends with its spawner.
constexpr scmp_datum_t kPrctl[] = {
    PR_SET_NAME,    PR_GET_NAME,       PR_GET_DUMPABLE, PR_CAPBSET_READ, PR_GET_NO_NEW_PRIVS,
    PR_GET_SECCOMP, PR_SET_TIMERSLACK, 0x53564d41};  // PR_SET_VMA: names for mappings

constexpr scmp_datum_t kIoctl[] = {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX};

constexpr scmp_datum_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                         CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |
                                         CLONE_NEWNET | 0x80U;  // TIME

// The library's macros for these are C.
scmp_arg_cmp equals(unsigned argument, scmp_datum_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
scmp_arg_cmp masked_equals(unsigned argument, scmp_datum_t mask, scmp_datum_t value) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, value};
}

using Filter = std::unique_ptr<void, void (*)(scmp_filter_ctx)>;

// Adds rules and remembers the first failure.
class Rules {
 public:
  explicit Rules(scmp_filter_ctx context) : context_(context) {}

  template <class... Conditions>
  void add(std::uint32_t action, int call, Conditions... conditions) {
    const int result =
        seccomp_rule_add(context_, action, call, sizeof...(conditions), conditions...);
    // A call that this processor does not have cannot be made either.
    const bool missing = call < 0 && (result == -EDOM || result == -EINVAL);
    if (result != 0 && !missing && result_ == 0) result_ = -result;
  }
  [[nodiscard]] int result() const { return result_; }

 private:
  scmp_filter_ctx context_;
  int result_ = 0;
};

void add_rules(Rules& rules, const SeccompOptions& options) {
  for (const int call : kAllowed) rules.add(SCMP_ACT_ALLOW, call);
  for (const int call : kAbsent) rules.add(SCMP_ACT_ERRNO(ENOSYS), call);
  for (const int call : kUnsupported) rules.add(SCMP_ACT_ERRNO(ENOTSUP), call);

  if (options.shared_anonymous_memory) {
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(mmap));
  } else {
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(mmap), masked_equals(3, MAP_SHARED, 0));
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(mmap), masked_equals(3, MAP_ANONYMOUS, 0));
  }
  // Threads, and where asked for processes. The kernel itself refuses a thread with namespaces of
  // its own; a process may not have any either.
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(clone), masked_equals(0, CLONE_THREAD, CLONE_THREAD));
  if (options.processes) {
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(clone), masked_equals(0, kNamespaceFlags | CLONE_THREAD, 0));
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(fork));
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(vfork));
  }
  for (const scmp_datum_t option : kPrctl)
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(prctl), equals(0, option));
  // Reading its own limits, not setting any.
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), equals(0, 0), equals(2, 0));
  // The kernel looks at 32 bits of the request, so the comparison must too.
  for (const scmp_datum_t request : kIoctl)
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(ioctl), masked_equals(1, 0xffffffffU, request));
  // A pair is connected to itself alone; event loops wake themselves by one.
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(socketpair), masked_equals(0, 0xffffffffU, AF_UNIX));
  rules.add(SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket));
}

// libseccomp writes to a descriptor only.
Result<std::string> export_program(scmp_filter_ctx context) {
  FileDescriptor file(::memfd_create("seam-seccomp", MFD_CLOEXEC));
  if (!file) return fail_errno("memfd_create", errno);
  if (const int result = seccomp_export_bpf(context, file.get()); result != 0)
    return fail_errno("seccomp_export_bpf", -result);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail_errno("fstat", errno);
  std::string program(static_cast<std::size_t>(status.st_size), '\0');
  if (::pread(file.get(), program.data(), program.size(), 0) != status.st_size)
    return fail_errno("read the seccomp program", errno);
  return program;
}

}  // namespace

Result<std::string> build_seccomp_filter(const SeccompOptions& options) {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release);
  if (filter == nullptr)
    return fail(ErrorCode::kUnimplemented, "libseccomp does not know this processor");
  // Calls by another door of the same processor (32-bit, x32) end the process.
  seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a binary tree, not a list
  Rules rules(filter.get());
  add_rules(rules, options);
  if (rules.result() != 0) return fail_errno("build the seccomp filter", rules.result());
  return export_program(filter.get());
}

}  // namespace seam::process
