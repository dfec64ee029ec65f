#pragma once
// Puts the filters on: the list of allowed system calls, and before it the one that ends execve.
// Uses libc alone.

#include <string>
#include <string_view>
#include <vector>

#include "process/sandbox_plan.h"

namespace seam::process {

// Installs `filter` for ever; execve goes on working. Needs no_new_privs.
[[nodiscard]] SandboxResult install_filter(std::string_view filter);

// Installs `filter` for ever, and one more by which execve fails with EPERM. Needs no_new_privs.
[[nodiscard]] SandboxResult forbid_exec_and_filter(std::string_view filter);

// A program to run, laid out in memory at three random addresses, for an execve that works once.
class ExecOnce {
 public:
  // Copies `argv` and `environment`; argv[0] is the program.
  [[nodiscard]] static std::expected<ExecOnce, SandboxFailure> prepare(
      const std::vector<std::string>& argv, const std::vector<std::string>& environment);

  // Installs `filter` for ever, and one more that allows execve with exactly these three addresses.
  [[nodiscard]] SandboxResult filter(std::string_view filter) const;
  // Returns only on failure, with the errno.
  [[nodiscard]] int run() const;

 private:
  char* path_ = nullptr;
  char** argv_ = nullptr;
  char** environment_ = nullptr;
};

}  // namespace seam::process
