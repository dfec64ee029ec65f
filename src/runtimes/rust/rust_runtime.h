#pragma once
// Functions in Rust: the source is compiled once to WebAssembly (runtimes/rust/rust_compiler.h) and
// then runs as any module does, in the WebAssembly runtime.
//
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Runtime> rust,
//                         create_rust_runtime({.compiler = {.folder = data + "/rust",
//                                                           .toolchains = {"/usr"}}},
//                                             spawner, *wasm));
//
// A source defines `pub fn handler(context: serde_json::Map<String, Value>) -> Result<Value,
// String>`; docs/functions/rust.md says more.

#include <cstddef>
#include <memory>

#include "base/result.h"
#include "process/spawner.h"
#include "runtimes/runtime.h"
#include "runtimes/rust/rust_compiler.h"

namespace seam::runtimes {

struct RustOptions {
  RustCompilerOptions compiler;
  // Modules kept in memory beside the code that the WebAssembly runtime keeps of them; the longest
  // unused goes first, and is read from disk again.
  std::size_t modules_bytes_max = 128U << 20U;
};

// `wasm` runs the modules; it is borrowed, and shut down after this. Where there is no toolchain
// the runtime is made all the same: health() says so, and a source that is not compiled yet ends in
// kFailedPrecondition.
// errors    as RustCompiler::start()
[[nodiscard]] Result<std::unique_ptr<Runtime>> create_rust_runtime(RustOptions options,
                                                                   process::Spawner& spawner,
                                                                   Runtime& wasm);

}  // namespace seam::runtimes
