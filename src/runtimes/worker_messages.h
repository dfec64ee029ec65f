#pragma once
// The words of the worker protocol (runtimes/worker_protocol.h), written and read, and what is said
// of a worker that has ended.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/clock.h"
#include "process/spawner.h"
#include "runtimes/runtime.h"

namespace seam::runtimes {

// The header of kLoad. `folder` is where the worker sees the program's, or empty.
[[nodiscard]] std::string load_header(const Program& program, std::string_view folder);

// A kFailure payload. `timed`: of a worker that gets kTimedCall, whose failure may be the host's.
// errors    kInvalidArgument   it is not what the protocol says
using Failure = std::variant<FunctionError, Error>;
[[nodiscard]] Result<Failure> parse_failure(std::string_view payload, bool timed);
// The payload for an error, as parse_failure() reads it, with long texts cut.
[[nodiscard]] std::string format_failure(const FunctionError& error);
// Of a call that kDeadlineExceeded ended, or that the host could not run.
[[nodiscard]] std::string format_host_failure(const Error& error);

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
