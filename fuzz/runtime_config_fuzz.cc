// Reads whatever text comes as a `runtime_config`. It must be refused with a message, or name an
// engine and a mode that there are.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wasm/engines.h"

using namespace seam;

namespace {

wasm::Outcome<std::unique_ptr<wasm::Runtime>> none(const wasm::EngineOptions&) {
  return wasm::fail(wasm::ErrorCode::kRuntimeNotFound, "none is made here");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const wasm::Engines engines(
      {{.name = "wasmtime", .mode_key = "strategy", .modes = {"cranelift", "winch"}, .make = none},
       {.name = "wazero", .mode_key = "mode", .modes = {"compiled", "interpreter"}, .make = none},
       {.name = "wasmi", .mode_key = "", .modes = {}, .make = none}},
      "wazero");
  const auto choice = engines.read({reinterpret_cast<const char*>(data), size});
  if (!choice) {
    if (choice.error().message.empty()) __builtin_trap();
    return 0;
  }
  const auto right = [&](const std::string& engine, const std::string& mode) {
    const wasm::EngineAdapter* adapter = engines.find(engine);
    return adapter != nullptr &&
           (adapter->modes.empty()
                ? mode.empty()
                : std::ranges::find(adapter->modes, mode) != adapter->modes.end());
  };
  if (!right(choice->engine, choice->mode)) __builtin_trap();
  if (!choice->fallback.empty() && !right(choice->fallback, choice->fallback_mode))
    __builtin_trap();
  return 0;
}
