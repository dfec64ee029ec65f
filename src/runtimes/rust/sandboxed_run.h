#pragma once
// One program in a sandbox of its own: bytes in, bytes out, and then its end.
//
//   Result<SandboxedRun> run = co_await run_sandboxed(loop, spawner, spec, source, limits, stop);

#include <cstddef>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/result.h"
#include "base/task.h"
#include "process/spawner.h"

namespace seam::runtimes {

struct SandboxedRun {
  std::string answer;        // what it wrote to descriptor 3 until it closed it
  std::string tail;          // the end of what it wrote to descriptors 1 and 2
  process::WorkerExit exit;  // it is killed once it has closed descriptor 3
};

struct SandboxedRunLimits {
  nanoseconds time_max{0};
  std::size_t answer_bytes_max = 0;
};

// Starts `spec`, gives it `input` on descriptor 3 with an end, and reads to the end. Whatever the
// outcome, nothing of it is alive afterwards. On `loop`; resumes on it.
// errors    kDeadlineExceeded    it took longer
//           kResourceExhausted   it answered more
//           kCancelled           `stop`
//           else as process::Spawner::spawn()
[[nodiscard]] Task<Result<SandboxedRun>> run_sandboxed(EventLoop& loop, process::Spawner& spawner,
                                                       process::WorkerSpec spec, std::string input,
                                                       SandboxedRunLimits limits,
                                                       std::stop_token stop);

}  // namespace seam::runtimes
