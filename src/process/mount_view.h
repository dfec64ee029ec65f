#pragma once
// The file system that a worker sees: a small read-only tmpfs as root, with /usr and its links, the
// binds it was given, four devices, a private /tmp and a /proc of its own processes.
//
//   // in a process alone in its mount namespace, with CAP_SYS_ADMIN over it
//   build_mount_view({.binds = {{"/srv/harness", "/harness"}}, .tmp_bytes = 32 << 20, .uid = 7});
//
// Needs Linux 5.12 (mount_setattr).

#include <cstdint>
#include <string>
#include <vector>

#include "process/sandbox_plan.h"

namespace seam::process {

struct MountView {
  enum class Proc {
    kOwn,    // a new one for the pid namespace of the caller, showing only processes of its user
    kOuter,  // the one that is there: a zygote's, whose children mount theirs under its sight
  };
  std::vector<SandboxBind> binds;
  std::uint64_t tmp_bytes = 0;
  std::uint32_t uid = 0;  // owner of /tmp, and the line in /etc/passwd
  bool zero_device = true;
  Proc proc = Proc::kOwn;
};

// Ends in directory /tmp of the new root; nothing of the old root can be reached.
[[nodiscard]] SandboxResult build_mount_view(const MountView& view);

}  // namespace seam::process
