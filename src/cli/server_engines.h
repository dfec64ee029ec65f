#pragma once
// The WebAssembly engines of a server: what its settings make of those that this program has.
//
//   runtimes::EngineRouter wasm(engine_options(settings), spawner, loops);
//   std::vector<Check> checks = check_engines(settings.wasm);       // `seam doctor`
//   if (argv[1] is runtimes::kEngineWorkerCommand) return run_engine_worker(…);   // first in
//   main()

#include <span>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/settings.h"
#include "runtimes/wasm/engine_router.h"

namespace seam::cli {

[[nodiscard]] runtimes::EngineRouterOptions engine_options(const Settings& settings);

// Whether the engine that the settings choose, and its fallback, can be loaded here. Loads them
// into this process.
[[nodiscard]] std::vector<Check> check_engines(const WasmSettings& settings);

// `seam engine-worker …`: this program as the process of one engine. Returns what it is to end
// with.
[[nodiscard]] int run_engine_worker(std::span<const std::string> arguments);

}  // namespace seam::cli
