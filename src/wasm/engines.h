#pragma once
// Which engines there are, and how one is chosen by configuration. An adapter offers itself as an
// EngineAdapter; the program's wiring lists the adapters; nothing else names an engine.
//
//   runtime_config:
//     type: wazero            # wasmtime (default) | wazero | wasmi
//     wazero: { mode: compiled }
//
//   const Engines engines({wasmtime_adapter(), wasmi_adapter(), wazero_adapter()});
//   SEAM_ASSIGN_OR_RETURN(EngineChoice choice, engines.choose("wazero", "compiled"));
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Runtime> runtime, engines.make(choice, {}));

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wasm/error.h"
#include "wasm/runtime.h"

namespace seam::wasm {

// What an engine is made with. An engine ignores what it has no use for.
struct EngineOptions {
  std::string mode = {};              // one of EngineAdapter::modes; empty for the first of them
  bool fuel = false;                  // count instructions, so that Limits::fuel may be asked for
  std::uint32_t instances_max = 128;  // that may live at once, where the engine sets room aside
  bool parallel_compilation = false;  // compile one module on all cores
  // Where an engine that is a shared library of its own is looked for.
  std::filesystem::path library_folder = {};
};

// What an engine can do, for `seam wasm engines` and for tests that leave out what it lacks.
struct EngineCapabilities {
  bool fuel = false;            // Limits::fuel
  bool slices = false;          // Execution::resume() comes back before the guest has ended
  bool code_cache = false;      // CompiledModule::serialise() and Runtime::load()
  bool generates_code = false;  // needs a machine that lets a program write its own code
  bool own_process = false;     // a fatal error of its own ends the process: kept apart under serve
  std::vector<std::string> proposals =
      {};  // beyond WebAssembly 2.0: "tail-call", "multi-memory", …
};

// One engine. Copyable; the functions are any thread's.
struct EngineAdapter {
  std::string_view name;                // "wasmtime", as in runtime_config.type
  std::string_view mode_key;            // "strategy", as in runtime_config.wasmtime.strategy
  std::vector<std::string_view> modes;  // the values of that key; the first is the default
  EngineCapabilities (*capabilities)(std::string_view mode) = nullptr;
  // "48.0.8".
  // errors    kRuntimeNotFound   its library is missing or cannot be loaded; the message says what
  //                              to do
  Outcome<std::string> (*version)(const EngineOptions& options) = nullptr;
  // errors    kRuntimeNotFound        as version()'s
  //           kInvalidConfiguration   an option out of its range
  Outcome<std::unique_ptr<Runtime>> (*make)(const EngineOptions& options) = nullptr;
};

}  // namespace seam::wasm
