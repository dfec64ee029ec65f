#include "cli/server_engines.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <thread>

#include "cli/build_commit.h"
#include "cli/wasm_engines.h"
#include "process/sandbox.h"
#include "runtimes/wasm/engine_worker.h"

namespace seam::cli {

namespace {

std::filesystem::path engine_folder(const WasmSettings& settings) {
  return settings.engines.empty() ? engine_library_folder()
                                  : std::filesystem::path(settings.engines);
}

std::string mode_of(const WasmSettings& settings, std::string_view engine) {
  const auto found = settings.modes.find(std::string(engine));
  return found == settings.modes.end() ? std::string() : found->second;
}

Check check_engine(const WasmSettings& settings, const std::string& engine) {
  const wasm::EngineAdapter& adapter = *wasm_engines().find(engine);
  Check check{.name = engine, .ok = false, .essential = true, .detail = {}};
  const std::string mode = mode_of(settings, engine);
  const wasm::EngineOptions options{.mode = mode, .library_folder = engine_folder(settings)};
  const wasm::Outcome<std::string> version = adapter.version(options);
  if (!version) {
    check.detail = fmt::format("cannot be loaded: {}", version.error().message);
    check.remedy = fmt::format("without it {} run in WebAssembly",
                               settings.fallback.empty() ? "no function that names no engine can"
                                                         : "its fallback takes over: functions");
    return check;
  }
  const bool apart = settings.own_process || adapter.capabilities(mode).own_process;
  check.ok = true;
  check.detail = fmt::format("{}{}{}{}", *version, mode.empty() ? "" : ", ", mode,
                             apart ? ", in processes of its own" : "");
  return check;
}

}  // namespace

runtimes::EngineRouterOptions engine_options(const Settings& settings) {
  const WasmSettings& wasm = settings.wasm;
  runtimes::EngineRouterOptions options;
  for (const wasm::EngineAdapter& adapter : wasm_engines().all())
    options.engines.push_back({.adapter = adapter, .mode = mode_of(wasm, adapter.name)});
  options.engine = wasm.engine;
  options.fallback = wasm.fallback;
  options.own_process = wasm.own_process;
  options.library_folder = engine_folder(wasm);
  const std::size_t compute_threads =
      wasm.threads != 0 ? wasm.threads : std::max(1U, std::thread::hardware_concurrency());
  options.in_process = {.cache_folder = settings.data / "wasm-cache",
                        .compute_threads = static_cast<unsigned>(compute_threads)};
  std::error_code error;
  options.processes.program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  options.processes.build = build_commit();
  options.processes.limits = {.workers_max = wasm.workers_max,
                              .warm_per_loop = wasm.warm_workers,
                              .idle_max = settings.worker_idle,
                              .calls_max = settings.worker_calls_max};
  options.processes.worker = {.memory_bytes_max = settings.limits.memory_bytes_max,
                              .processes_max = settings.limits.processes_max,
                              .disk_bytes_max = settings.limits.disk_bytes_max};
  return options;
}

std::vector<Check> check_engines(const WasmSettings& settings) {
  std::vector<Check> checks = {check_engine(settings, settings.engine)};
  if (settings.fallback.empty()) return checks;
  checks.push_back(check_engine(settings, settings.fallback));
  // One of the two is enough.
  for (Check& check : checks)
    check.essential = std::ranges::none_of(checks, [](const Check& each) { return each.ok; });
  return checks;
}

int run_engine_worker(std::span<const std::string> arguments) {
  const auto refuse = [](int code, const std::string& why) {
    fmt::print("{}\n", why);
    std::fflush(stdout);
    return code;
  };
  const Result<runtimes::EngineTaskArguments> wanted = runtimes::read_engine_arguments(arguments);
  if (!wanted) return refuse(kUsage, wanted.error().message);
  if (!wanted->build.empty() && wanted->build != build_commit()) {
    return refuse(runtimes::kEngineNotLoaded,
                  fmt::format("{} has been replaced since the server was started, by build {}: "
                              "start the server again",
                              "seam", build_commit()));
  }
  const wasm::EngineAdapter* const adapter = wasm_engines().find(wanted->engine);
  if (adapter == nullptr)
    return refuse(kUsage, fmt::format("this build has no engine {}", wanted->engine));
  const wasm::EngineOptions options{.mode = wanted->mode,
                                    .instances_max = runtimes::kEngineWorkerInstancesMax,
                                    .library_folder = wanted->library_folder};
  const wasm::Outcome<std::string> version = adapter->version(options);
  if (!version) return refuse(runtimes::kEngineNotLoaded, version.error().message);
  wasm::Outcome<std::unique_ptr<wasm::Runtime>> engine = adapter->make(options);
  if (!engine) return refuse(runtimes::kEngineNotLoaded, engine.error().message);
  if (wanted->task == runtimes::EngineTask::kVersion) return refuse(kOk, *version);
  return runtimes::serve_engine(process::kSocketDescriptor, **engine);
}

}  // namespace seam::cli
