#pragma once
// Reads and writes an implementation's options: the JSON object that a `PUT` sends and the store
// keeps.
//
//   SEAM_ASSIGN_OR_RETURN(ImplementationOptions options, parse_options(json, defaults));

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "functions/catalogue.h"

namespace seam::functions {

// The keys entry, concurrency, cacheable, idempotent, environment, engine, fallback, isolation and
// limits {memory_bytes_max, disk_bytes_max, processes_max, log_bytes_max, result_bytes_max,
// workers_max, queue_max, timeout_ms}; what is left out is as in `defaults`.
// errors    kInvalidArgument   a key that is not known, a value of the wrong type or out of its
//                              range; the message names the key, the value and what would be right
[[nodiscard]] Result<ImplementationOptions> parse_options(std::string_view json,
                                                          const ImplementationOptions& defaults);

// A JSON object of variable names and string values.
// errors    kInvalidArgument   as above; at most 256 variables of 64 KiB
[[nodiscard]] Result<std::map<std::string, std::string>> parse_environment(std::string_view json);

// The keys engine, fallback and isolation of a JSON object; others are passed over. Which engines
// there are is the runtime's to say (runtimes::Runtime::check_wish).
// errors    kInvalidArgument   as above
[[nodiscard]] Result<runtimes::EngineWish> parse_wish(std::string_view json);

// All options but the engine, which the store keeps beside them, so that a later server with other
// defaults runs the version as it was put.
[[nodiscard]] std::string format_options(const ImplementationOptions& options);

inline constexpr std::int64_t kTimeoutMsMax = 900'000;

}  // namespace seam::functions
