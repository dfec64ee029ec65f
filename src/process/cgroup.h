#pragma once
// Control groups: what bounds a worker's memory, processes and share of the processor. Both
// versions of the interface, whichever carries the controllers; none on a machine that gives us no
// group to write to.
//
//   CgroupTree tree = CgroupTree::open("seam-4711");
//   Result<Cgroup> group = tree.create("node-17", limits);
//   // the worker writes "0" into each of group->open_entries()
//   group->remove();

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "process/spawner.h"

namespace seam::process {

enum class CgroupVersion { kNone, kV1, kV2 };

// The group of one worker. Does nothing when the machine has none.
class Cgroup {
 public:
  Cgroup() = default;

  // One a hierarchy; writing "0" moves the writer in.
  [[nodiscard]] Result<std::vector<FileDescriptor>> open_entries() const;
  [[nodiscard]] Result<void> set_memory_limit(std::uint64_t bytes_max) const;
  // Anonymous memory of all in the group.
  [[nodiscard]] Result<std::uint64_t> memory_bytes() const;
  // Processes that the group's out-of-memory killer has ended.
  [[nodiscard]] std::uint64_t out_of_memory_kills() const;
  // False: something in it has not gone yet, try again.
  [[nodiscard]] bool remove() const;

 private:
  friend class CgroupTree;
  CgroupVersion version_ = CgroupVersion::kNone;
  std::vector<std::string> directories_;  // one a hierarchy
  std::string memory_;                    // the one with the memory controller, or empty
  std::string pids_;
  std::string cpu_;
};

// The server's group of groups. Its workers together weigh as much as the server's own group (v2)
// or as one of its threads (v1), so that busy workers do not starve the server.
class CgroupTree {
 public:
  // Finds the controllers below the group that this process is in, makes a group `name` there, and
  // removes what servers that have ended left behind. With version 2, which allows a group to have
  // processes or groups but not both, this process and its parent first move into a group "server"
  // beside it, if nobody else is in theirs.
  [[nodiscard]] static CgroupTree open(const std::string& name);
  // Says what open() would find. Changes nothing.
  [[nodiscard]] static CgroupTree probe();

  [[nodiscard]] CgroupVersion version() const { return version_; }
  [[nodiscard]] bool has_memory() const { return !base_[kMemory].empty(); }
  [[nodiscard]] bool has_processes() const { return !base_[kPids].empty(); }
  [[nodiscard]] bool has_cpu() const { return !base_[kCpu].empty(); }
  // Where the groups are, or why there are none.
  [[nodiscard]] const std::string& detail() const { return detail_; }

  [[nodiscard]] Result<Cgroup> create(const std::string& name, const WorkerLimits& limits) const;
  // The group of groups and the empty ones in it. False: something in them has not gone yet.
  [[nodiscard]] bool remove() const;
  // The same for the tree `name` of a spawner that was killed, whose workers are ending.
  static void remove_leftovers(const std::string& name);

 private:
  enum Controller : std::size_t { kMemory, kPids, kCpu, kControllers };
  void find_v1();
  void find_v2();
  bool enable_v2();
  std::array<std::string, kControllers> base_;  // the directory to make groups in; empty: none
  std::string name_;
  CgroupVersion version_ = CgroupVersion::kNone;
  std::string detail_;
};

}  // namespace seam::process
