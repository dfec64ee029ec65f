#pragma once
// What the parts of the wazero adapter share: an engine, a module, its links.

#include <cstdint>
#include <memory>
#include <vector>

#include "wasm/runtime.h"
#include "wasm/wazero/library.h"
#include "wasm/wazero/watch.h"

namespace seam::wasm {

// One engine and its watch. Shared by the runtime and all that was made by it, which may go in any
// order.
struct WazeroEngine {
  seam_wazero_api api{};
  std::uintptr_t runtime = 0;
  std::unique_ptr<Watch> watch;

  WazeroEngine() = default;
  WazeroEngine(const WazeroEngine&) = delete;
  WazeroEngine& operator=(const WazeroEngine&) = delete;
  ~WazeroEngine();
};

// A compiled module. Shared by its CompiledModule and the instances.
struct WazeroCode {
  std::shared_ptr<WazeroEngine> engine;
  std::uintptr_t module = 0;
  WazeroModuleInfo info;

  WazeroCode() = default;
  WazeroCode(const WazeroCode&) = delete;
  WazeroCode& operator=(const WazeroCode&) = delete;
  ~WazeroCode();
};

// What the library calls.
[[nodiscard]] seam_wazero_callbacks wazero_callbacks();

[[nodiscard]] Outcome<std::unique_ptr<Context>> make_context(
    const std::shared_ptr<const WazeroCode>& code, const HostModule& host);

[[nodiscard]] Outcome<std::unique_ptr<ModuleInstance>> make_linked(
    const std::shared_ptr<const WazeroCode>& code, const HostModule& host,
    std::span<const LinkedInstance> linked, const InstanceOptions& options,
    const Interruption& interruption);

}  // namespace seam::wasm
