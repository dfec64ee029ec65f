#include "process/isolation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <system_error>

#include "process/isolation_means.h"
#include "process/landlock.h"
#include "process/sandbox.h"
#include "process/seccomp_filter.h"
#include "process/seccomp_install.h"

namespace seam::process {

namespace {

// Runs `attempt` in a child cloned with `flags` and returns what it failed with.
SandboxResult try_in_child(unsigned long flags, const std::function<SandboxResult()>& attempt) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return std::unexpected(SandboxFailure{errno, "make a pipe"});
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  const long pid = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) return std::unexpected(SandboxFailure{errno, "clone"});
  if (pid == 0) {
    const SandboxResult result = attempt();
    WireWriter out;
    out.u32(result ? 0 : static_cast<std::uint32_t>(result.error().error_number));
    out.text(result ? "" : result.error().what);
    const ssize_t written = ::write(writer.get(), out.bytes().data(), out.bytes().size());
    ::_exit(written > 0 ? 0 : 1);
  }
  writer.reset();
  std::array<char, 1024> buffer{};
  const ssize_t size = ::read(reader.get(), buffer.data(), buffer.size());
  while (::waitpid(static_cast<pid_t>(pid), nullptr, 0) < 0 && errno == EINTR) {
  }
  WireReader in({buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))});
  const auto error_number = static_cast<int>(in.u32());
  std::string what = in.text();
  if (!in.done()) return std::unexpected(SandboxFailure{EIO, "the attempt was ended"});
  if (error_number != 0) return std::unexpected(SandboxFailure{error_number, std::move(what)});
  return {};
}

std::string describe(const SandboxFailure& failure) {
  return fmt::format("{}: {}", failure.what, std::generic_category().message(failure.error_number));
}

bool can_change_user() {
  if (::geteuid() != 0) return false;
  return try_in_child(0,
                      []() -> SandboxResult {
                        const uid_t uid = kWorkerUidFirst + kWorkersMax;
                        if (::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0)
                          return std::unexpected(SandboxFailure{errno, "setresuid"});
                        return {};
                      })
      .has_value();
}

struct Namespace {
  const char* name;
  unsigned long flag;
  const char* meaning;
};
constexpr std::array kNamespaces{
    Namespace{"user namespace", CLONE_NEWUSER, "an ordinary user cannot make the other namespaces"},
    Namespace{"mount namespace", CLONE_NEWNS, "a worker could see the files of the machine"},
    Namespace{"pid namespace", CLONE_NEWPID, "a worker could see and signal other processes"},
    Namespace{"network namespace", CLONE_NEWNET, "a worker could reach the network"},
    Namespace{"ipc namespace", CLONE_NEWIPC, "a worker could use shared memory of others"},
    Namespace{"uts namespace", CLONE_NEWUTS, "a worker could learn the machine's name"},
};

// The whole sandbox in one attempt, as a worker enters it.
SandboxResult try_whole(const SandboxPlan& plan) {
  return try_in_child(sandbox_clone_flags(plan), [&]() -> SandboxResult {
    if (SandboxResult done = enter_sandbox(plan, {}); !done) return done;
    return forbid_exec_and_filter(plan.seccomp_filter);
  });
}

void add_namespaces(IsolationReport& report, const SandboxPlan& plan, bool whole) {
  for (const Namespace& each : kNamespaces) {
    const bool is_user = each.flag == CLONE_NEWUSER;
    if (is_user && !plan.user_namespace) continue;
    IsolationLayer layer{each.name, whole, true, whole ? "own of each worker" : "", each.meaning};
    if (!whole) {
      const unsigned long flags = each.flag | (plan.user_namespace ? CLONE_NEWUSER : 0UL);
      const SandboxResult alone = try_in_child(flags, [] { return SandboxResult(); });
      layer.in_force = alone.has_value();
      if (!alone)
        layer.detail = fmt::format(
            "{}; {}", describe(alone.error()),
            is_user
                ? "allow them (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
                  "kernel.apparmor_restrict_unprivileged_userns) or start as root"
                : "the kernel or the container must allow it (CAP_SYS_ADMIN)");
    }
    report.layers.push_back(std::move(layer));
  }
}

void add_cgroups(IsolationReport& report, const CgroupTree& cgroups) {
  const auto add = [&](const char* name, bool in_force, const char* meaning) {
    report.layers.push_back(
        {name, in_force, false,
         in_force ? cgroups.detail()
                  : fmt::format("{}; start as root, or delegate a group of version 2",
                                cgroups.version() == CgroupVersion::kNone
                                    ? cgroups.detail()
                                    : std::string("no such controller")),
         meaning});
  };
  report.cgroup_version = cgroups.version() == CgroupVersion::kV1   ? "v1"
                          : cgroups.version() == CgroupVersion::kV2 ? "v2"
                                                                    : "none";
  add("cgroup memory", cgroups.has_memory(),
      "memory is bounded by RLIMIT_DATA alone, and a worker over it fails instead of being named");
  add("cgroup pids", cgroups.has_processes(), "threads are bounded by RLIMIT_NPROC alone");
  add("cgroup cpu", cgroups.has_cpu(), "busy workers share the processor as equals of the server");
}

}  // namespace

bool IsolationReport::complete() const {
  return std::ranges::all_of(
      layers, [](const IsolationLayer& layer) { return layer.in_force || !layer.essential; });
}

SandboxPlan plan_by(const IsolationMeans& means, bool counts_memory) {
  SandboxPlan plan;
  plan.user_namespace = means.user_namespace;
  plan.landlock = means.landlock;
  plan.zero_device = counts_memory;
  plan.outer_uid = ::geteuid();
  plan.outer_gid = ::getegid();
  plan.seccomp_filter = means.seccomp_filter;
  return plan;
}

IsolationProbe try_isolation(const CgroupTree& cgroups) {
  IsolationProbe probe;
  IsolationReport& report = probe.report;
  IsolationMeans& means = probe.means;
  const bool own_uid = can_change_user();
  report.as_root = own_uid;
  means.user_namespace = !own_uid;
  means.landlock = landlock_abi() > 0;
  Result<std::string> filter =
      build_seccomp_filter({.shared_anonymous_memory = cgroups.has_memory()});
  if (filter) means.seccomp_filter = *filter;
  Result<std::string> processes =
      build_seccomp_filter({.shared_anonymous_memory = cgroups.has_memory(), .processes = true});
  if (processes) means.seccomp_filter_of_processes = *std::move(processes);

  SandboxPlan plan = plan_by(means, cgroups.has_memory());
  plan.uid = kWorkerUidFirst;
  const WorkerLimits limits;
  plan.disk_bytes_max = limits.disk_bytes_max;
  plan.open_files_max = limits.open_files_max;
  plan.processes_max = limits.processes_max;
  const SandboxResult whole = try_whole(plan);
  const bool good = whole.has_value();
  const std::string why = good ? "" : describe(whole.error());
  const bool filters = good || !why.starts_with("seccomp");
  means.seccomp = filter.has_value() && filters;

  add_namespaces(report, plan, good);
  report.layers.push_back(
      {"own root", good, true,
       good ? "a small read-only tmpfs with /usr, a private /tmp and /proc"
            : why + "; Linux 5.12 or later is needed, and in a container a system call filter "
                    "that lets it mount (docs/installing.md)",
       "a worker could see the files of the machine"});
  report.layers.push_back(
      {"own uid", own_uid, false,
       own_uid ? fmt::format("from {}", kWorkerUidFirst)
               : "all workers run as the server's user; start as root to give each its own",
       "the namespaces alone stand between a worker and other processes of the server's user"});
  report.layers.push_back({"seccomp", means.seccomp, true,
                           means.seccomp ? "a list of allowed system calls, execve closed"
                           : filter      ? why
                                         : filter.error().message,
                           "a worker could use every system call: sockets, programs, io_uring"});
  report.layers.push_back(
      {"Landlock", means.landlock, false,
       means.landlock
           ? fmt::format("version {}", landlock_abi())
           : "the kernel has none; boot a kernel with CONFIG_SECURITY_LANDLOCK, lsm=landlock",
       "the mounts alone decide which files a worker reaches"});
  report.layers.push_back({"rlimits", true, true, "set before the program starts",
                           "a worker could open files and write without end"});
  add_cgroups(report, cgroups);
  return probe;
}

IsolationReport probe_isolation() { return try_isolation(CgroupTree::probe()).report; }

std::string missing_layers(const IsolationReport& report) {
  std::string text;
  for (const IsolationLayer& layer : report.layers) {
    if (layer.in_force || !layer.essential) continue;
    if (!text.empty()) text += "; ";
    text += fmt::format("no {} ({})", layer.name, layer.detail);
  }
  return text;
}

}  // namespace seam::process
