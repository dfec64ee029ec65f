// Compiles whatever bytes come, and runs every export that takes no parameters, under small limits:
// on wasmtime, and on wasmi where its library is there. A module must be refused, trap, run out of
// time or end; it must never harm the host.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "wasm/wasi.h"
#include "wasm/wasmi/wasmi.h"
#include "wasm/wasmtime/wasmtime.h"

using namespace seam;

namespace {

void run_all(wasm::Runtime& runtime, std::string_view bytes) {
  static const wasm::HostModule host = [] {
    wasm::HostModule made;
    wasm::add_wasi(made);
    return made;
  }();
  const auto module = runtime.compile(bytes);
  if (!module) return;
  const auto context = runtime.link(**module, host);
  if (!context) return;
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
    if (!instance) return;
    const auto execution = (*instance)->function(item.name)->start(soon, {});
    if (execution) static_cast<void>(wasm::run_to_end(**execution));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<wasm::Runtime> wasmtime = *wasm::make_wasmtime({.instances_max = 8});
  static const auto wasmi = wasm::make_wasmi({.library_folder = SEAM_ENGINE_LIBRARIES});
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  run_all(*wasmtime, bytes);
  if (wasmi) run_all(**wasmi, bytes);
  return 0;
}
