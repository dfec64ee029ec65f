#include <array>

#include "cli/wasm_commands.h"

namespace seam::cli {

CommandResult run_wasm(const Arguments& arguments, const CommandLineOptions& options) {
  const std::array<Command, 4> commands{
      {{"engines", "show the engines, what each can do, and whether it can be loaded",
        wasm_engines_command},
       {"inspect", "show what a module holds, and which engines take it", wasm_inspect},
       {"run", "run a module with limits, on any engine", wasm_run},
       {"compare", "run a module on every engine, side by side", wasm_compare}}};
  return run_group("wasm", "WebAssembly modules, and the engines that run them.", commands,
                   arguments, options);
}

}  // namespace seam::cli
