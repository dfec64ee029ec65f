#pragma once
// Landlock: the kernel's own list of what a process may do with files, which no later mount, link
// or descriptor of a directory gets round, and which keeps abstract sockets, signals and TCP
// inside.
//
//   if (landlock_abi() > 0) restrict_files({.executable = {"/usr"}, .writable = {"/tmp"}});

#include <string>
#include <vector>

#include "process/sandbox_plan.h"

namespace seam::process {

// The version of the interface; 0: the kernel has none or it is switched off.
[[nodiscard]] int landlock_abi();

struct FileRights {
  std::vector<std::string> executable;  // read, list, run
  std::vector<std::string> readable;    // read, list
  std::vector<std::string> writable;  // read, list, write, make, remove; not run, not special files
  std::vector<std::string> devices;   // read and write one file
};

// For this process from now on and for ever. Paths that do not exist are left out. Needs
// no_new_privs.
[[nodiscard]] SandboxResult restrict_files(const FileRights& rights);

}  // namespace seam::process
