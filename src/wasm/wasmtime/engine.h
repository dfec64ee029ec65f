#pragma once
// What the parts of the wasmtime adapter share.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

#include "wasm/runtime.h"

struct wasm_engine_t;
struct wasmtime_error;
struct wasmtime_module;
struct wasm_trap_t;

namespace seam::wasm {

// Advances the engine's epoch every millisecond while a guest runs, and sleeps when none has for a
// while. Any thread.
class EpochTicker {
 public:
  explicit EpochTicker(wasm_engine_t* engine);
  ~EpochTicker();
  EpochTicker(const EpochTicker&) = delete;
  EpochTicker& operator=(const EpochTicker&) = delete;

  // A guest begins or ends to run.
  void enter() {
    running_.fetch_add(1);
    if (asleep_.load()) wake();
  }
  void leave() { running_.fetch_sub(1); }

 private:
  void wake();
  void tick();

  wasm_engine_t* engine_;
  std::atomic<std::int64_t> running_{0};
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;  // held only to sleep and to wake
  std::condition_variable wakened_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// One engine and its ticker. Shared by the runtime and by each context, which may outlive it in
// either order.
struct Engine {
  wasm_engine_t* engine = nullptr;
  bool fuel = false;
  std::unique_ptr<EpochTicker> ticker;

  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();
};

// Take the engine's error or trap apart and free it.
[[nodiscard]] Error take_error(wasmtime_error* error, ErrorCode code);
[[nodiscard]] Error take_trap(wasm_trap_t* trap);

[[nodiscard]] Outcome<std::unique_ptr<Context>> make_context(std::shared_ptr<Engine> engine,
                                                             const wasmtime_module* module,
                                                             const std::vector<ExternType>& imports,
                                                             const std::vector<ExternType>& exports,
                                                             const HostModule& host);
// As Runtime::instantiate_linked(); `described` tells of `module`.
[[nodiscard]] Outcome<std::unique_ptr<ModuleInstance>> make_linked(
    Engine& engine, const wasmtime_module* module, const CompiledModule& described,
    const HostModule& host, std::span<const LinkedInstance> linked, const InstanceOptions& options,
    const Interruption& interruption);

}  // namespace seam::wasm
