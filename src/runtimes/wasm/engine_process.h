#pragma once
// Engines in processes of their own: the program `seam` itself, started through the spawner in the
// sandbox that every worker has, with one engine in it, for one program's guests
// (runtimes/wasm/engine_worker.h is the other side). What a guest breaks out of, or what an engine
// crashes with, ends that process and the call in it.
//
//   const EngineProcess process{.engine = "wazero", .mode = "compiled", .library_folder = folder,
//                               .options = {.program = "/usr/bin/seam"}};
//   SEAM_CO_ASSIGN_OR_RETURN(std::string version, co_await engine_version(process, spawner));
//   std::unique_ptr<Runtime> wazero = make_engine_processes(process, spawner, loops);

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/event_loop.h"
#include "base/task.h"
#include "process/spawner.h"
#include "runtimes/limits.h"
#include "runtimes/runtime.h"

namespace seam::runtimes {

// What an engine itself may take in its process, beside the memory that a program's guest may have:
// its code, the compiler, and the modules that it has compiled.
inline constexpr std::uint64_t kEngineMemoryBytes = 256U << 20U;

// The first argument of `seam` as an engine's process.
inline constexpr std::string_view kEngineWorkerCommand = "engine-worker";

struct EngineProcessOptions {
  std::string program = {};  // `seam`: an absolute path outside the sandbox
  // The build of this program. One of another build, put in its place while the server runs, is
  // told apart by it; empty: not looked at.
  std::string build = {};
  PoolLimits limits = {};
  process::WorkerLimits worker = {};  // a program's own memory limit takes the place of this one's
};

struct EngineProcess {
  std::string engine;               // its name
  std::string mode = {};            // one of its modes; empty where it has none
  std::string library_folder = {};  // outside the sandbox; need not be there
  EngineProcessOptions options = {};
};

// Loads the engine in a process that says its version and ends. Any loop; resumes on it.
// errors    kFailedPrecondition   it cannot be loaded there; the message has why and what to do
//           else as the spawner's
[[nodiscard]] Task<Result<std::string>> engine_version(EngineProcess process,
                                                       process::Spawner& spawner);

// The runtime of these processes. Before or while the loops run; starts none yet but the warm ones
// of the pool's limits.
[[nodiscard]] std::unique_ptr<Runtime> make_engine_processes(const EngineProcess& process,
                                                             process::Spawner& spawner,
                                                             std::span<EventLoop* const> loops);

}  // namespace seam::runtimes
