#pragma once
// The runtime `wasm` of a server: gives each program to the engine that it wishes for, or to the
// server's, or to the fallback where that one cannot be loaded; several engines side by side, each
// with its own compiled modules. An engine is loaded when it is first wanted, into the server, or
// into sandboxed processes where the program, the server's settings or the engine itself ask for
// it (runtimes/wasm/engine_process.h).
//
//   EngineRouter wasm({.engines = {{wasmtime_adapter()}, {wasmi_adapter()}}, .engine = "wasmtime"},
//                     spawner, loops);
//   co_await wasm.look_at({});          // loads the server's engine, or says why it cannot be
//   Outcome outcome = co_await wasm.run(program, call, sink);
//
// An engine that could not be loaded is tried again once kRetryAfter has passed, when it is wanted.

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "runtimes/runtime.h"
#include "runtimes/wasm/engine_process.h"
#include "runtimes/wasm/wasm_runtime.h"
#include "wasm/engines.h"

namespace seam::runtimes {

struct EngineRouterOptions {
  struct Engine {
    wasm::EngineAdapter adapter;
    std::string mode = {};  // one of its modes; empty: its first
  };
  std::vector<Engine> engines;
  std::string engine;         // of programs that name none
  std::string fallback = {};  // of those: where that one cannot be loaded; empty: none
  bool own_process = false;   // every program's guests run in processes of their own
  std::filesystem::path library_folder = {};  // of engines that are libraries of their own
  WasmOptions in_process = {};
  EngineProcessOptions processes = {};
};

class EngineRouter final : public Runtime {
 public:
  static constexpr seconds kRetryAfter{10};

  // The spawner and the loops are borrowed. Loads nothing yet.
  EngineRouter(EngineRouterOptions options, process::Spawner& spawner,
               std::span<EventLoop* const> loops);
  ~EngineRouter() override;

  // Loads what programs with this wish run on; where that cannot be, says so in the log, and from
  // then on health() does. Any loop; resumes on it.
  [[nodiscard]] Task<> look_at(EngineWish wish);

  [[nodiscard]] std::string_view name() const override { return "wasm"; }
  [[nodiscard]] Result<void> check_wish(const EngineWish& wish) const override;
  [[nodiscard]] Task<Result<void>> prepare(ProgramPtr program) override;
  // errors    kFailedPrecondition   neither the engine nor its fallback can be loaded
  //           else as the interface's
  [[nodiscard]] Task<Outcome> run(ProgramPtr program, const Call& call, CallSink& sink) override;
  void release(const std::string& program_id) override;
  [[nodiscard]] RuntimeHealth health() const override;
  [[nodiscard]] Task<RuntimeCounts> counts() override;
  [[nodiscard]] Task<> shut_down() override;

 private:
  struct Place;
  struct Engine;
  struct Route;

  [[nodiscard]] Engine* find(std::string_view name) const;
  [[nodiscard]] Route route_of(const EngineWish& wish) const;
  void note(const EngineWish& wish) const;
  [[nodiscard]] Place& place_of(Engine& engine, const Route& route) const;
  [[nodiscard]] Runtime* at_hand(const EngineWish& wish) const;
  [[nodiscard]] Task<Outcome> load_and_run(ProgramPtr program, const Call& call, CallSink& sink);
  [[nodiscard]] Task<Result<Runtime*>> loaded(EngineWish wish);
  [[nodiscard]] Task<Result<Runtime*>> loaded_one(Engine& engine, Place& place);
  void load_here(Engine& engine, Place& place);
  [[nodiscard]] Task<> load_apart(Engine& engine, Place& place);
  [[nodiscard]] std::vector<Runtime*> all_loaded() const;

  const EngineRouterOptions options_;
  process::Spawner& spawner_;
  const std::vector<EventLoop*> loops_;
  const std::vector<std::unique_ptr<Engine>> engines_;
  mutable std::mutex mutex_;  // guards what the places hold, but Place::ready
};

}  // namespace seam::runtimes
