#pragma once
// What the parts of the wasmi adapter share.

#include <seam_wasmi.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "wasm/runtime.h"
#include "wasm/wasmi/coarse_clock.h"

namespace seam::wasm {

// The library and what its guests share. Any thread.
struct WasmiEngine {
  const seam_wasmi_api& api;
  bool fuel = false;
  CoarseClock clock = {};
};

struct WasmiStore;

// A host function as it was linked; the guest's side points to it.
struct WasmiBound {
  HostFunction function;
  // Of a linked instance: its own. Else the store's counts, for the function serves many.
  std::optional<void*> state = {};
};

// One wasmi store: an instance, or several that are linked. One thread at a time.
struct WasmiStore {
  WasmiStore(std::shared_ptr<WasmiEngine> engine, const seam_wasmi_module* module,
             const InstanceOptions& options);
  ~WasmiStore();
  WasmiStore(const WasmiStore&) = delete;
  WasmiStore& operator=(const WasmiStore&) = delete;

  [[nodiscard]] const seam_wasmi_api& api() const { return engine->api; }
  // run.interrupted(), a tick late and nearly for nothing.
  [[nodiscard]] bool interrupted_about_now() {
    if (run.bounds.none()) return false;
    if (!run.bounds.deadline.passed(engine->clock.now()) &&
        (run.bounds.cancelled == nullptr || !run.bounds.cancelled->stop_requested()))
      return false;
    return run.interrupted();
  }
  // How much fuel to give a guest that needs `needed` to go on and has `left`; 0 to stop it.
  [[nodiscard]] std::uint64_t refill(std::uint64_t needed, std::uint64_t left);
  [[nodiscard]] std::optional<std::uint64_t> fuel_left() const;
  // Why a guest ended. Frees `error`.
  [[nodiscard]] Error take_failure(seam_wasmi_status status, seam_wasmi_error& error);

  GuestRun run = {};  // first, so that the path of a host call needs no address but the store's
  std::shared_ptr<WasmiEngine> engine;  // shared by all that it made
  seam_wasmi_store* store;
  void* state;
  bool has_fuel = false;
  std::uint64_t fuel_reserve = 0;  // what Limits::fuel still grants and the guest was not given yet
  bool sliced = false;             // a guest that waits may leave the thread
  std::optional<MonotonicTime> waits_until = {};
  std::vector<std::unique_ptr<WasmiBound>> bound = {};  // of linked instances
};

// Takes it apart and frees it.
[[nodiscard]] Error take_error(const seam_wasmi_api& api, seam_wasmi_error& error);

seam_wasmi_status on_host_call(const void* function, void* context, seam_wasmi_caller* caller,
                               seam_wasmi_value* slots);

[[nodiscard]] Outcome<std::unique_ptr<Context>> make_context(std::shared_ptr<WasmiEngine> engine,
                                                             const seam_wasmi_module* module,
                                                             const CompiledModule& compiled,
                                                             const HostModule& host);

[[nodiscard]] Outcome<std::unique_ptr<ModuleInstance>> make_linked(
    std::shared_ptr<WasmiEngine> engine, const seam_wasmi_module* module,
    const CompiledModule& compiled, const HostModule& host, std::span<const LinkedInstance> linked,
    const InstanceOptions& options, const Interruption& interruption);

}  // namespace seam::wasm
