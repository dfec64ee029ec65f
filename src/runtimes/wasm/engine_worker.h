#pragma once
// The inside of an engine's process (runtimes/wasm/engine_process.h): speaks the worker protocol on
// descriptor 3, compiles its one program, and runs each call in a fresh instance, as the server
// itself does. One thread for all of it, beside the engine's own.
//
//   SEAM_ASSIGN_OR_RETURN(const EngineTaskArguments wanted, read_engine_arguments(arguments));
//   … make the engine …
//   return serve_engine(3, *engine);          // until the server closes its end

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "wasm/runtime.h"

namespace seam::runtimes {

enum class EngineTask : std::uint8_t {
  kServe,    // calls
  kVersion,  // print the engine's version, once it has been loaded, and end
};

// What `seam engine-worker` is told.
struct EngineTaskArguments {
  std::string engine;
  std::string mode;            // may be empty
  std::string library_folder;  // may be empty
  std::string build;           // may be empty
  EngineTask task = EngineTask::kServe;
};

// As arguments of a process, and back.
[[nodiscard]] std::vector<std::string> engine_arguments(const EngineTaskArguments& wanted);
// errors    kInvalidArgument   not what engine_arguments() writes
[[nodiscard]] Result<EngineTaskArguments> read_engine_arguments(
    std::span<const std::string> arguments);

// What the process ends with where the engine cannot be loaded; why is on its standard output.
inline constexpr int kEngineNotLoaded = 69;

// Instances that live at once in such a process: its calls come one after the other. wasmtime
// reserves room for no fewer.
inline constexpr std::uint32_t kEngineWorkerInstancesMax = 8;

// Blocks. Returns what the process is to end with: 0 when the other side has closed the socket,
// and 70 when it speaks nonsense.
[[nodiscard]] int serve_engine(int socket, wasm::Runtime& engine);

}  // namespace seam::runtimes
