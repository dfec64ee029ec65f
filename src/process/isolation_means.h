#pragma once
// How the spawner isolates on this machine, as its probe found it. Not for other modules: they read
// IsolationReport.

#include <cstdint>
#include <string>

#include "process/cgroup.h"
#include "process/isolation.h"
#include "process/sandbox_plan.h"

namespace seam::process {

inline constexpr std::uint32_t kWorkerUidFirst = 2'000'000;  // above what systems give to people
inline constexpr std::uint32_t kWorkersMax = 65'536;         // uids of one server, and its workers

struct IsolationMeans {
  bool user_namespace = false;
  bool landlock = false;
  bool seccomp = false;
  std::string seccomp_filter;
  std::string seccomp_filter_of_processes;  // for a worker that starts programs
};

struct IsolationProbe {
  IsolationReport report;
  IsolationMeans means;
};

// Tries with the groups that `cgroups` found.
[[nodiscard]] IsolationProbe try_isolation(const CgroupTree& cgroups);

// The plan of a worker by these means, without what differs from worker to worker.
[[nodiscard]] SandboxPlan plan_by(const IsolationMeans& means, bool counts_memory);

// "what is missing, and what to do", of all essential layers that are not in force.
[[nodiscard]] std::string missing_layers(const IsolationReport& report);

}  // namespace seam::process
