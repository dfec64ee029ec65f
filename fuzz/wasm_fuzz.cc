// Compiles whatever bytes come, and runs every export that takes no parameters, under small limits.
// A module must be refused, trap, run out of time or end; it must never harm the host.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wasm/wasi.h"
#include "wasm/wasmtime/wasmtime.h"

using namespace seam;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<wasm::Runtime> runtime = *wasm::make_wasmtime({.instances_max = 8});
  static const wasm::HostModule host = [] {
    wasm::HostModule made;
    wasm::add_wasi(made);
    return made;
  }();
  const auto module = runtime->compile({reinterpret_cast<const char*>(data), size});
  if (!module) return 0;
  const auto context = runtime->link(**module, host);
  if (!context) return 0;
  wasm::WasiState state;
  state.stdin_bytes = "{}";
  state.standard_output.bytes_max = 4096;
  state.standard_error.bytes_max = 4096;
  for (const wasm::ExternType& item : (*module)->exports()) {
    if (item.kind != wasm::ExternKind::kFunction || !item.function.params.empty()) continue;
    const wasm::InstanceOptions options{
        .limits = {.memory_bytes_max = 4U << 20U, .table_elements_max = 100}, .state = &state};
    const wasm::Interruption soon{.deadline = Deadline::after(milliseconds(20))};
    const auto instance = (*context)->instantiate(options, soon);
    if (!instance) return 0;
    const auto execution = (*instance)->function(item.name)->start(soon, {});
    if (execution) static_cast<void>(wasm::run_to_end(**execution));
  }
  return 0;
}
