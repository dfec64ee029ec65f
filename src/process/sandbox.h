#pragma once
// Shuts a process in. Called by the process itself, between its clone and the first line of code
// that it does not trust.
//
//   pid_t child = clone(sandbox_clone_flags(plan) | SIGCHLD);
//   if (child == 0) { enter_sandbox(plan, cgroup_files); … ExecOnce::filter(); ExecOnce::run(); }

#include <span>

#include "process/sandbox_plan.h"

namespace seam::process {

// The CLONE_NEW… flags that a worker's process is cloned with.
[[nodiscard]] unsigned long sandbox_clone_flags(const SandboxPlan& plan);

// Everything but the seccomp filters, after which little works: see process/seccomp_install.h.
// `cgroup_files` are open cgroup.procs of the groups to enter.
[[nodiscard]] SandboxResult enter_sandbox(const SandboxPlan& plan,
                                          std::span<const int> cgroup_files);

// What a zygote gets: the mounts with its binds, to see the files its children will see, and only
// the capabilities that isolating them takes.
[[nodiscard]] SandboxResult enter_zygote_view(const SandboxPlan& plan);
[[nodiscard]] unsigned long zygote_clone_flags(const SandboxPlan& plan);

// Default signal handlers and an empty mask, whatever was inherited.
void reset_signals();

// A process that is woken does not put off who woke it, so the server hands out all calls that it
// has before the first worker runs on its core. Kept by what is forked; sched(7), SCHED_BATCH.
void schedule_as_batch();

// Makes descriptors 0 (/dev/null), 1 and 2 (`output`), 3 (`socket`) and 4 (`start`, closed on exec)
// and closes every other but `kept`, which it returns moved to 5 and up.
struct WorkerDescriptors {
  int socket = -1;
  int output = -1;
  int start = -1;
  std::span<int> kept;
};
inline constexpr int kSocketDescriptor = 3;
inline constexpr int kStartDescriptor = 4;
[[nodiscard]] SandboxResult arrange_descriptors(const WorkerDescriptors& descriptors);

// Tells the spawner how the start went, over descriptor 4. started() returns false when the spawner
// has gone.
[[nodiscard]] bool tell_started();
void tell_failed(const SandboxFailure& failure);

}  // namespace seam::process
