#pragma once
// wasmi behind wasm/runtime.h: an interpreter that starts in microseconds and writes no machine
// code. For guests that run once, and for machines where no code may be generated; a long
// computation takes some ten times as long as compiled.
//
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Runtime> runtime,
//                         make_wasmi({.library_folder = "/usr/lib/seam/engines"}));
//
// It counts instructions to be able to interrupt a guest, so that fuel costs nothing more, a guest
// runs in slices without a stack of its own, and a guest that waits holds no thread. One
// instruction is one unit of fuel, and so are 64 bytes that an instruction copies or fills.
//
// A function is translated when it is first called. There is no backtrace, and no form in which
// code could be kept: Runtime::load() takes nothing. A bulk instruction and a memory that grows are
// not interrupted half-way: memory_bytes_max bounds them.

#include <filesystem>
#include <memory>

#include "wasm/engines.h"
#include "wasm/runtime.h"

namespace seam::wasm {

struct WasmiOptions {
  std::filesystem::path library_folder;  // that holds libseam_wasmi.so; absolute
  bool fuel = false;                     // whether Limits::fuel may be asked for
};

// errors    kRuntimeNotFound   the library is missing, cannot be loaded, or is of another version
[[nodiscard]] Outcome<std::unique_ptr<Runtime>> make_wasmi(const WasmiOptions& options);

[[nodiscard]] EngineAdapter wasmi_adapter();

}  // namespace seam::wasm
