#pragma once
// The words of the worker protocol (runtimes/worker_protocol.h), written and read, and what is said
// of a worker that has ended.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "process/spawner.h"
#include "runtimes/runtime.h"

namespace seam::runtimes {

// The header of kLoad. `folder` is where the worker sees the program's, or empty.
[[nodiscard]] std::string load_header(const Program& program, std::string_view folder);

// A kFailure payload.
// errors    kInvalidArgument   it is not what the protocol says
[[nodiscard]] Result<FunctionError> parse_failure(std::string_view payload);

// The details of an error for a place in the source: {"line": 3, "column": 7, "stack_trace": "…"},
// without what is not known; empty where no line is.
[[nodiscard]] std::string place_details(const FunctionError& error);

// "ended with exit code 3", "was killed by signal 9 (SIGKILL)".
[[nodiscard]] std::string describe_exit(const process::WorkerExit& exit);

// Keeps the last kOutputTailBytes of what a worker wrote.
void append_tail(std::string& tail, std::string_view bytes);
// The tail as text for one message: control bytes as spaces; "nothing" where it is empty.
[[nodiscard]] std::string printable_tail(std::string_view tail);

// How long to wait after the nth failure in a row, from 1.
[[nodiscard]] milliseconds backoff_after(std::uint32_t failures);

}  // namespace seam::runtimes
