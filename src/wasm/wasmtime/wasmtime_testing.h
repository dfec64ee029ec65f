#pragma once
// What the tests of this adapter share.

#include <memory>

#include "wasm/wasmtime/wasmtime.h"

namespace seam::wasm {

// One runtime serves them all, for each maps its pool.
inline Runtime& wasmtime_for_test() {
  static const std::unique_ptr<Runtime> made = *make_wasmtime({.instances_max = 16});
  return *made;
}

}  // namespace seam::wasm
