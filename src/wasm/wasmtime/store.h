#pragma once
// A store: what one instance runs in, or several that are linked with each other. How a guest is
// interrupted and sliced is told here.
//
// A store's epoch deadline is never more than one tick ahead. Once the ticker has advanced the
// epoch, the guest's next loop or call enters on_epoch(), which looks at the caller's deadline and
// cancellation, and then either lets the guest go on for another tick or, on a fiber whose slice is
// over, yields to whoever resumed it. So a guest that spins is noticed within about two
// milliseconds, and of calls that take less than a tick one in a tick pays.

#include <wasmtime.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "wasm/runtime.h"
#include "wasm/wasmtime/engine.h"

namespace seam::wasm {

// What the host functions of one instance see of their caller: one object for all calls, of which
// one goes on at a time.
class HostSide final : public HostCall {
 public:
  // `alone` in its store: nobody else calls its host functions.
  HostSide(void* state, bool alone) : HostCall(state), alone_(alone) {}

  std::span<std::byte> memory() override;
  void begin(wasmtime_caller_t* caller) { caller_ = caller; }
  // What the call that has ended waits for.
  std::optional<Deadline> take_wait() {
    const std::optional<Deadline> until = waits_until();
    forget_wait();
    return until;
  }
  // The memory that the instance exports as "memory", so that it need not be looked for.
  void set_memory(const wasmtime_memory_t& memory) {
    memory_ = memory;
    has_memory_ = true;
  }

 private:
  wasmtime_caller_t* caller_ = nullptr;
  wasmtime_memory_t memory_{};
  bool has_memory_ = false;  // it has been found
  bool alone_;
};

// A host function as the engine knows it: what its callbacks get as `env`.
struct Bound {
  HostFunction function;
  HostSide* side = nullptr;  // of a linked instance; else the store's own
};

// Adds `function` to the linker; `bound` must outlive what is instantiated by it.
[[nodiscard]] wasmtime_error_t* define(wasmtime_linker_t* linker, Bound& bound);

// Used by one thread at a time.
class Store {
 public:
  Store(Engine& engine, const InstanceOptions& options);
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();

  // A run begins, which `by` can end.
  void begin(Interruption by) {
    kept = std::move(by);
    run = {.bounds = kept.bounds()};
  }
  // Puts whatever ended the run in one Error; run.failure first, for it is the cause.
  Error take_failure(wasmtime_error_t* error, wasm_trap_t* trap);

  static constexpr std::uint64_t kTicksBetweenLooks = 1;

  Engine& engine;
  EpochTicker& ticker;
  wasmtime_store_t* store;
  wasmtime_context_t* context;
  bool has_fuel;
  bool waits = false;  // an import may wait: guests can only run on fibers

  HostSide own;
  // Of linked instances: they stay as long as what was made of them can be called.
  std::vector<std::unique_ptr<HostSide>> sides;
  std::vector<std::unique_ptr<Bound>> bound;

  // Of the run in progress.
  Interruption kept;  // of an Execution
  GuestRun run;
  bool counted = false;  // by the ticker, as a run of more than a tick
  std::optional<MonotonicTime> waits_until;
  bool sliced = false;
  MonotonicTime slice_end;

 private:
  static wasmtime_error_t* on_epoch(wasmtime_context_t* context, void* data, std::uint64_t* delta,
                                    wasmtime_update_deadline_kind_t* kind);
};

// The store whose guest runs on this thread: asking the engine for it costs a host call more.
inline constinit thread_local Store* running_store = nullptr;

// While the guest runs.
class Running {
 public:
  explicit Running(Store& store) : store_(store) {
    running_store = &store;
    store.ticker.enter();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (!store_.counted) return;
    store_.counted = false;
    store_.ticker.leave_long();
  }

 private:
  Store& store_;
};

}  // namespace seam::wasm
