#pragma once
// What a function in Rust says to the host, in the words of guests/rust/seam.rs: its answer, and
// the end of a panic.

#include <optional>
#include <string>
#include <string_view>

#include "runtimes/runtime.h"

namespace seam::runtimes {

// What the answer to Err begins with. One that begins so may be a result all the same.
inline constexpr std::string_view kRustErrorBegin = R"({"seam_error":)";

// The failure in {"seam_error":"<text>","seam_error":true}, which no result is, since no object has
// a name twice. `answer` is checked JSON.
[[nodiscard]] std::optional<FunctionError> read_rust_error(std::string_view answer);

// Makes a panic out of how the WebAssembly runtime describes it: an exit with code 101 after
// "panicked at <file>:<line>:<column>:\n<message>" as the last of standard error. Every other
// failure stays what it is.
[[nodiscard]] FunctionError read_rust_failure(FunctionError failure);

}  // namespace seam::runtimes
