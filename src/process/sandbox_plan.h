#pragma once
// Everything that a process must know to shut itself into its sandbox, decided beforehand by the
// spawner. Travels to a zygote's children as bytes.

#include <cerrno>
#include <cstdint>
#include <expected>
#include <string>
#include <utility>
#include <vector>

#include "process/wire.h"

namespace seam::process {

// What went wrong and where: {ENOENT, "bind /srv/harness"}.
struct SandboxFailure {
  int error_number = 0;
  std::string what;
};
using SandboxResult = std::expected<void, SandboxFailure>;

// What the system call that just failed says of itself in errno.
[[nodiscard]] inline std::unexpected<SandboxFailure> failure(std::string what) {
  return std::unexpected(SandboxFailure{errno, std::move(what)});
}

struct SandboxBind {
  std::string source;  // as seen by the process before it has shut itself in
  std::string target;
};

struct SandboxPlan {
  bool isolated = true;         // false: rlimits, session and parent's death only
  bool user_namespace = false;  // an ordinary user's way to all the others
  bool landlock = true;
  bool zero_device = true;      // not without a memory cgroup: a shared mapping of it is uncounted
  std::uint32_t uid = 0;        // and gid, of the worker; never 0 when isolated
  std::uint32_t outer_uid = 0;  // of the spawner, which the user namespace maps `uid` to
  std::uint32_t outer_gid = 0;
  std::vector<SandboxBind> binds;
  std::uint64_t disk_bytes_max = 0;
  std::uint32_t open_files_max = 0;
  std::uint32_t processes_max = 0;
  std::uint64_t data_bytes_max = 0;  // RLIMIT_DATA; 0: the cgroup counts memory
  std::string seccomp_filter;        // an array of sock_filter
};

inline void write_plan(WireWriter& out, const SandboxPlan& plan) {
  out.u32((plan.isolated ? 1U : 0U) | (plan.user_namespace ? 2U : 0U) | (plan.landlock ? 4U : 0U) |
          (plan.zero_device ? 8U : 0U));
  out.u32(plan.uid);
  out.u32(plan.outer_uid);
  out.u32(plan.outer_gid);
  out.u32(static_cast<std::uint32_t>(plan.binds.size()));
  for (const SandboxBind& bind : plan.binds) {
    out.text(bind.source);
    out.text(bind.target);
  }
  out.u64(plan.disk_bytes_max);
  out.u32(plan.open_files_max);
  out.u32(plan.processes_max);
  out.u64(plan.data_bytes_max);
  out.text(plan.seccomp_filter);
}

inline SandboxPlan read_plan(WireReader& in) {
  SandboxPlan plan;
  const std::uint32_t flags = in.u32();
  plan.isolated = (flags & 1U) != 0;
  plan.user_namespace = (flags & 2U) != 0;
  plan.landlock = (flags & 4U) != 0;
  plan.zero_device = (flags & 8U) != 0;
  plan.uid = in.u32();
  plan.outer_uid = in.u32();
  plan.outer_gid = in.u32();
  const std::uint32_t binds = in.u32();
  for (std::uint32_t index = 0; index < binds && !in.failed(); ++index) {
    std::string source = in.text();
    std::string target = in.text();
    plan.binds.push_back({std::move(source), std::move(target)});
  }
  plan.disk_bytes_max = in.u64();
  plan.open_files_max = in.u32();
  plan.processes_max = in.u32();
  plan.data_bytes_max = in.u64();
  plan.seccomp_filter = in.text();
  return plan;
}

}  // namespace seam::process
