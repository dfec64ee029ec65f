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

// Advances the engine's epoch every millisecond while guests run, and sleeps when none has for a
// while. Any thread.
//
// A guest's call can be as short as two atomic increments, so a run that begins pays one load: it
// only looks whether the ticker knows already that there is work. Whoever looks and is then held up
// by the kernel may find the ticker asleep, but not before the epoch has passed the guest's own
// deadline, which was set before it looked: so the guest comes to on_epoch(), and there each run of
// more than a tick is counted. While one is counted the ticker does not sleep.
class EpochTicker {
 public:
  explicit EpochTicker(wasm_engine_t* engine);
  ~EpochTicker();
  EpochTicker(const EpochTicker&) = delete;
  EpochTicker& operator=(const EpochTicker&) = delete;

  // A guest begins to run, whose epoch deadline lies at most a tick ahead.
  void enter() {
    if (state_.load(std::memory_order_relaxed) != State::kBusy) wake();
  }
  // A guest has run for a tick and goes on; leave_long() when it ends or yields.
  void enter_long() {
    long_runs_.fetch_add(1);
    if (state_.load() != State::kBusy) wake();
  }
  void leave_long() { long_runs_.fetch_sub(1); }

 private:
  // kBusy: somebody has entered since the last tick.
  enum class State : std::uint8_t { kBusy, kIdle, kAsleep };

  void wake();
  void tick();
  void sleep();

  wasm_engine_t* engine_;
  std::atomic<State> state_{State::kIdle};
  std::atomic<std::int64_t> long_runs_{0};
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
