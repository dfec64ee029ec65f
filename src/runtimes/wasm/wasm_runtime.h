#pragma once
// Runs WebAssembly functions: any engine behind wasm/runtime.h, both guest forms of
// docs/functions/wasm.md.
//
//   std::unique_ptr<runtimes::Runtime> wasm = make_wasm_runtime(std::move(engine), {.cache_folder =
//   data / "wasm"});
//
// Each call gets a fresh instance. Its first slice runs on the caller's loop; what runs longer goes
// on on a few compute threads, which also compile. So a loop is held by a guest for about a
// millisecond at most.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "runtimes/runtime.h"
#include "wasm/runtime.h"

namespace seam::runtimes {

struct WasmOptions {
  std::string engine = {};  // its name, for the record of its calls
  std::filesystem::path cache_folder =
      {};  // of compiled code; empty for none. Made with mode 0700.
  // Of compiled code on disk, counted whenever a module is added; the longest written goes first.
  std::uint64_t cache_bytes_max = 2ULL << 30U;
  unsigned compute_threads = 2;  // guests past their first slice, and compilations
  std::size_t modules_bytes_max =
      512U << 20U;  // compiled code kept in memory; the longest unused goes first
  std::uint32_t instances_max =
      96;              // alive at once over all programs; below the engine's own number
  bool slices = true;  // the engine gives a thread back; else no guest runs on a loop
  milliseconds first_slice{1};
  milliseconds slice{5};
};

// The engine is owned from here on.
[[nodiscard]] std::unique_ptr<Runtime> make_wasm_runtime(
    std::unique_ptr<seam::wasm::Runtime> engine, WasmOptions options);

}  // namespace seam::runtimes
