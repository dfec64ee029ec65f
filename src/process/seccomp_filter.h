#pragma once
// The list of system calls that a worker may make, as a program for the kernel.
//
//   std::string filter = build_seccomp_filter({.shared_anonymous_memory = true}).value();
//
// Built once by the spawner with libseccomp; installed in each worker by plain system calls
// (process/seccomp_install.h), so that a zygote's children need no libseccomp.

#include <string>

#include "base/result.h"

namespace seam::process {

struct SeccompOptions {
  // Whether mmap(MAP_SHARED | MAP_ANONYMOUS) works: RLIMIT_DATA does not count it, a cgroup does.
  bool shared_anonymous_memory = false;
  // Whether fork and vfork work. Whether execve does is decided beside the list.
  bool processes = false;
};

// An array of sock_filter.
// errors    kUnimplemented   libseccomp does not know this processor
[[nodiscard]] Result<std::string> build_seccomp_filter(const SeccompOptions& options);

}  // namespace seam::process
