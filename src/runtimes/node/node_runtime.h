#pragma once
// JavaScript in sandboxed Node.js processes: guests/node/worker.js under /usr/bin/node. Node has
// nothing to fork a warm process from, so empty workers are started ahead.
//
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Runtime> nodejs,
//                         create_node_runtime({.harness_folder = data + "/harness"}, spawner,
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

struct NodeOptions {
  std::string harness_folder;                 // worker.js is written under it
  std::string interpreter = "/usr/bin/node";  // under /usr; Node 18 or newer
  std::vector<std::string> flags = {};        // for the interpreter, beside those it needs
  PoolLimits limits = {};
  process::WorkerLimits worker = {};  // a program's own memory limit takes the place of this one's
};

// Before or while the loops run. Where the interpreter is missing the runtime is made all the same:
// health() says so, and a call ends in kFailedPrecondition.
// errors    as write_harness()
[[nodiscard]] Result<std::unique_ptr<Runtime>> create_node_runtime(
    NodeOptions options, process::Spawner& spawner, std::span<EventLoop* const> loops);

}  // namespace seam::runtimes
