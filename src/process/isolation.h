#pragma once
// What stands between a worker and the machine, and how much of it this machine can give. `seam
// doctor`, /health and the start of the server read the same report.

#include <string>
#include <vector>

#include "base/result.h"

namespace seam::process {

enum class Isolation {
  kRequired,  // refuse to start workers unless every essential layer is in force
  kOff,       // plain processes with rlimits only; the operator has said so
};

// One layer: "user namespace", "mount namespace", "pid namespace", "network namespace", "seccomp",
// "Landlock", "own uid", "cgroup memory", "cgroup pids", "cgroup cpu", "rlimits", …
struct IsolationLayer {
  std::string name;
  bool in_force = false;
  bool essential = false;  // a server that requires isolation does not start without it
  std::string
      detail;  // in force: how ("cgroup v1 at /sys/fs/cgroup/memory"); not: why, and what to do
  std::string meaning;  // what a worker could do without it
};

struct IsolationReport {
  bool as_root = false;
  std::string cgroup_version;  // "v1", "v2" or "none"
  std::vector<IsolationLayer> layers;
  [[nodiscard]] bool complete() const;  // every essential layer is in force
};

// Tries each layer in a child process and says what is in force. Leaves nothing behind. Call before
// any thread exists, or in a process of one thread.
[[nodiscard]] IsolationReport probe_isolation();

}  // namespace seam::process
