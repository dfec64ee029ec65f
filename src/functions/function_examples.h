#pragma once
// The examples of a function: calls with what they answer, for people to read and for
// `seam functions check` to run.
//
//   SEAM_ASSIGN_OR_RETURN(const std::vector<FunctionExample> examples, parse_examples(text,
//   schema));

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "functions/function_schema.h"

namespace seam::functions {

inline constexpr std::size_t kExamplesMax = 100;
inline constexpr std::size_t kExamplesBytesMax = 256U << 10U;

// {"name", "description", "params", "result"} or {"name", "description", "params", "error":
// {"code", "message"}}. All may be left out but params; without result and error the call has only
// to succeed.
struct FunctionExample {
  std::string name;  // "example 1" where it has none
  std::string description;
  std::string params;                 // JSON
  std::optional<std::string> result;  // JSON
  std::string error_code;             // "RUNTIME_ERROR"; empty: it succeeds
  std::string error_message;          // a part of the message
};

// Of a JSON array, or an empty text. Params and results are checked against the schema, but the
// params of an example that expects an error. errors    kInvalidArgument   the message begins with
// the place, as /0/params; details {"pointer"}
[[nodiscard]] Result<std::vector<FunctionExample>> parse_examples(std::string_view text,
                                                                  const FunctionSchema& schema);

}  // namespace seam::functions
