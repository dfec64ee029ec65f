#pragma once
// wasmtime behind wasm/runtime.h: Cranelift, fibers (guests run in slices), copy-on-write memories
// out of a pool, interruption by epochs.
//
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Runtime> runtime, make_wasmtime({.instances_max = 64}));
//
// It installs handlers for SIGSEGV, SIGILL, SIGFPE and SIGBUS when it is made, and passes on
// whatever is not a guest's.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "wasm/engines.h"
#include "wasm/runtime.h"

namespace seam::wasm {

enum class WasmtimeStrategy : std::uint8_t {
  kCranelift,  // code that runs fast
  kWinch,      // one pass over the module: compiles fast; where the library was built with it
};

struct WasmtimeOptions {
  WasmtimeStrategy strategy = WasmtimeStrategy::kCranelift;
  // Instances that may live at once. Each takes 4 GiB of address space (no memory); a machine that
  // lends less gets fewer, and below 8 each memory is mapped when it is needed.
  std::uint32_t instances_max = 128;
  bool fuel = false;                  // count instructions: costs 10 to 30 % of speed
  bool parallel_compilation = false;  // compile one module on all cores
};

// errors    kInvalidConfiguration   instances_max is 0; a strategy that the library lacks
[[nodiscard]] Outcome<std::unique_ptr<Runtime>> make_wasmtime(const WasmtimeOptions& options);

// `strategy` in configuration: cranelift, and winch where the library was built with it.
[[nodiscard]] EngineAdapter wasmtime_adapter();

// The text format as a module, for tests and tools.
// errors    kModuleCompileFailed   with the place in the text
[[nodiscard]] Outcome<std::string> wasm_from_text(std::string_view text);

}  // namespace seam::wasm
