#include "endurance/engines.h"

#include "wasm/wasmi/wasmi.h"
#include "wasm/wasmtime/wasmtime.h"
#include "wasm/wazero/wazero.h"

namespace seam::endurance {

std::vector<wasm::EngineAdapter> engines() {
  return {wasm::wasmtime_adapter(), wasm::wasmi_adapter(), wasm::wazero_adapter()};
}

std::filesystem::path library_folder() { return SEAM_ENGINE_LIBRARIES; }

}  // namespace seam::endurance
