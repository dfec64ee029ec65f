#include "cli/wasm_engines.h"

#include <system_error>

#include "wasm/wasmi/wasmi.h"
#include "wasm/wasmtime/wasmtime.h"
#include "wasm/wazero/wazero.h"

namespace seam::cli {

const wasm::Engines& wasm_engines() {
  static const wasm::Engines engines(
      {wasm::wasmtime_adapter(), wasm::wazero_adapter(), wasm::wasmi_adapter()},
      /*older_form=*/"wazero");
  return engines;
}

std::filesystem::path engine_library_folder() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  return program.parent_path().parent_path() / "lib/seam/engines";
}

}  // namespace seam::cli
