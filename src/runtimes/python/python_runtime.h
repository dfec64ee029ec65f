#pragma once
// Python in sandboxed processes: guests/python/worker.py. A zygote that has the interpreter and
// what most programs import already loaded forks each worker in some 3 ms.
//
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Runtime> python,
//                         create_python_runtime({.harness_folder = data + "/harness"}, spawner,
//                         loops));

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "process/spawner.h"
#include "runtimes/limits.h"
#include "runtimes/runtime.h"

namespace seam::runtimes {

struct PythonOptions {
  std::string harness_folder;  // worker.py, zygote.py and its library go there
  std::string folders = {};    // an absolute path that programs' folders lie in, there; empty: none
  std::string interpreter = "/usr/bin/python3";  // under /usr; Python 3.11 or newer
  std::vector<std::string> flags = {};           // for the interpreter, beside those it needs
  PoolLimits limits = {};
  process::WorkerLimits worker = {};  // a program's own memory limit takes the place of this one's
};

// Before or while the loops run; the first of them looks after the zygote. Where the interpreter is
// missing the runtime is made all the same: health() says so, and a call ends in
// kFailedPrecondition.
// errors    as write_harness()
[[nodiscard]] Result<std::unique_ptr<Runtime>> create_python_runtime(
    PythonOptions options, process::Spawner& spawner, std::span<EventLoop* const> loops);

}  // namespace seam::runtimes
