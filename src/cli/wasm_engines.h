#pragma once
// The WebAssembly engines of this program: the one place that lists them. A new engine is one
// folder below src/wasm and one line in wasm_engines.cc: docs/adding-an-engine.md.
//
//   const wasm::Engines& engines = wasm_engines();
//   SEAM_ASSIGN_OR_RETURN(const wasm::EngineChoice choice, engines.choose("wazero"));
//   engines.make(choice, {.library_folder = engine_library_folder()});

#include <filesystem>

#include "wasm/engines.h"

namespace seam::cli {

// Lives as long as the process. The first is the one that is used where none is named. Loads
// nothing.
[[nodiscard]] const wasm::Engines& wasm_engines();

// Where engines lie that are shared libraries: lib/seam/engines beside the folder that the program
// lies in (/opt/seam/bin/seam: /opt/seam/lib/seam/engines).
[[nodiscard]] std::filesystem::path engine_library_folder();

}  // namespace seam::cli
