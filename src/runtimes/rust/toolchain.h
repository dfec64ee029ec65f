#pragma once
// Where Rust's compiler for WebAssembly is on this machine.
//
//   Result<RustToolchain> toolchain = find_rust_toolchain({"/opt/seam/lib/seam/rust", "/usr"});
//
// A toolchain is a folder as rustup and distributions lay it out: bin/rustc, and lib/rustlib with
// the standard library of wasm32-wasip1, or of wasm32-wasi, its name before Rust 1.78.

#include <span>
#include <string>

#include "base/result.h"

namespace seam::runtimes {

struct RustToolchain {
  std::string folder;  // absolute
  std::string target;  // "wasm32-wasip1" or "wasm32-wasi"
  std::string linker;  // absolute: the toolchain's own rust-lld, else a wasm-ld of /usr/bin

  friend bool operator==(const RustToolchain&, const RustToolchain&) = default;
};

// The first of `folders` that holds one. Looks at names of files only; blocks for some of them. Any
// thread.
// errors    kNotFound   none does; the message says of each what is missing, and what to install
[[nodiscard]] Result<RustToolchain> find_rust_toolchain(std::span<const std::string> folders);

}  // namespace seam::runtimes
