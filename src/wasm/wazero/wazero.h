#pragma once
// wazero behind wasm/runtime.h: an engine in Go, in a shared library of its own that is opened when
// the first runtime is made. It compiles fast and needs little, or interprets where no code may be
// generated.
//
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Runtime> runtime,
//                         make_wazero({.library_folder = "/usr/lib/seam/engines"}));
//
// The library brings Go's runtime: its threads, its collector, and handlers for signals, which pass
// on whatever is not Go's. None of that ends before the process does, and a fault of its own ends
// the process: a server keeps it in a process apart. A process that has opened it must not fork
// without exec.

#include <filesystem>
#include <memory>

#include "wasm/engines.h"
#include "wasm/runtime.h"

namespace seam::wasm {

struct WazeroOptions {
  enum class Mode : std::uint8_t { kCompiled, kInterpreter };
  Mode mode = Mode::kCompiled;
  bool parallel_compilation = false;          // compile one module on all cores
  std::filesystem::path library_folder = {};  // where libseam_wazero.so is; absolute
};

// errors    kRuntimeNotFound        the library is missing, cannot be loaded or is of another
//                                   version
//           kInvalidConfiguration   this processor is none that wazero compiles for
[[nodiscard]] Outcome<std::unique_ptr<Runtime>> make_wazero(const WazeroOptions& options);

// runtime_config.wazero.mode: compiled (default) | interpreter.
[[nodiscard]] EngineAdapter wazero_adapter();

}  // namespace seam::wasm
