#pragma once
// A file of WebAssembly that somebody named on the command line.
//
//   SEAM_ASSIGN_OR_RETURN(const WasmFile file, read_wasm_file("add.wat"));
//   SEAM_ASSIGN_OR_RETURN(const std::string_view bytes, file.module());

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wasm/module_info.h"

namespace seam::cli {

inline constexpr std::size_t kWasmFileBytesMax = 256U << 20U;

struct WasmFile {
  std::string path;
  std::string bytes;    // as binary, where it was text
  wasm::FileKind kind;  // as it came
  wasm::FileKind binary_kind;

  // The bytes, for an engine.
  // errors    kInvalidArgument   no core module; the message says what it is and what to do
  [[nodiscard]] Result<std::string_view> module() const;
};

// Reads it, and turns text into a module. Whatever it holds is taken, up to kWasmFileBytesMax.
// errors    kInvalidArgument   text that is no module, with the place; or too large
//           else as the system says
[[nodiscard]] Result<WasmFile> read_wasm_file(const std::string& path);

}  // namespace seam::cli
