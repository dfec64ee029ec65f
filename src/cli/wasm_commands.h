#pragma once
// `seam wasm …`: what the WebAssembly engines of this program can do, what a module holds, and
// running one without a server. Each reads its own flags and lives in a file of its own.

#include "cli/function_commands.h"

namespace seam::cli {

// Exit codes of `seam wasm run` beside the guest's own.
enum WasmExitCode : int {
  kGuestTimeUp = 124,       // --timeout-ms
  kGuestNotBegun = 125,     // a wrong flag, file or module, or no such engine: change the command
  kGuestTrapped = 134,      // as a shell says it of a program that aborted
  kGuestOverLimit = 137,    // fuel used up, or a memory or table that begins over its limit
  kGuestReaderGone = 141,   // nobody reads its output any more
  kGuestCodeOutside = 255,  // it ended with a code that no process can end with
};

[[nodiscard]] CommandResult wasm_engines_command(const Arguments&, const CommandLineOptions&);
[[nodiscard]] CommandResult wasm_inspect(const Arguments&, const CommandLineOptions&);
// The guest's streams are this process's, as it writes and reads them.
[[nodiscard]] CommandResult wasm_run(const Arguments&, const CommandLineOptions&);
// Starts this program once for each engine; exit code 1 where they do not end alike.
[[nodiscard]] CommandResult wasm_compare(const Arguments&, const CommandLineOptions&);

// The group.
[[nodiscard]] CommandResult run_wasm(const Arguments&, const CommandLineOptions&);

}  // namespace seam::cli
