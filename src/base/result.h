#pragma once
// What a call that can fail returns. Anything the world can cause is a Result; a bug is a CHECK
// (base/check.h).
//
//   Result<Port> parse_port(std::string_view text);
//   SEAM_ASSIGN_OR_RETURN(const Port port, parse_port(text));

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace seam {

// The canonical codes of google.rpc.Code, so that `api` can map them to HTTP today and to gRPC
// without loss later. A code tells the caller what to do next; `message` tells a person.
enum class ErrorCode : std::uint8_t {
  kCancelled = 1,           // the caller gave up; nothing to do
  kUnknown = 2,             // an error from outside that carries no better code
  kInvalidArgument = 3,     // the input is wrong whatever the state: change it
  kDeadlineExceeded = 4,    // out of time; may have run
  kNotFound = 5,            // no such thing
  kAlreadyExists = 6,       // such a thing exists already
  kPermissionDenied = 7,    // the caller may not
  kResourceExhausted = 8,   // a limit is reached: shrink the request
  kFailedPrecondition = 9,  // the state forbids it: change the state first
  kAborted = 10,            // it changed meanwhile: read again, then retry
  kOutOfRange = 11,         // past the end
  kUnimplemented = 12,      // this build or machine cannot
  kInternal = 13,           // a broken promise of ours or of a part under us
  kUnavailable = 14,        // not now: retry later
  kDataLoss = 15,           // stored bytes are damaged
  kUnauthenticated = 16,    // who are you?
};

// The code as google.rpc.Code spells it: "INVALID_ARGUMENT". Static text.
[[nodiscard]] std::string_view to_string(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kUnknown;
  std::string message;  // one sentence for a person: the key, the value, the remedy
  std::string details;  // empty, or a JSON object for a program

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T = void>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string message,
                                                 std::string details = {}) {
  return std::unexpected(Error{code, std::move(message), std::move(details)});
}

// kInternal (or the code that fits, e.g. kNotFound for ENOENT) with "<what>: <strerror>".
[[nodiscard]] std::unexpected<Error> fail_errno(std::string_view what, int error_number);

}  // namespace seam

#define SEAM_CONCAT_INNER(a, b) a##b
#define SEAM_CONCAT(a, b) SEAM_CONCAT_INNER(a, b)

// Returns the error of `expression`, if it has one, from the enclosing function.
#define SEAM_RETURN_IF_ERROR(expression)                             \
  do {                                                               \
    if (auto seam_result = (expression); !seam_result.has_value()) { \
      return std::unexpected(std::move(seam_result).error());        \
    }                                                                \
  } while (false)
#define SEAM_CO_RETURN_IF_ERROR(expression)                      \
  do {                                                           \
    auto seam_result = (expression);                             \
    if (!seam_result.has_value()) {                              \
      co_return std::unexpected(std::move(seam_result).error()); \
    }                                                            \
  } while (false)

// Declares `declaration` with the value of `expression`, or returns its error.
#define SEAM_ASSIGN_OR_RETURN(declaration, expression) \
  SEAM_ASSIGN_OR_RETURN_INNER(SEAM_CONCAT(seam_result_, __LINE__), declaration, expression, return)
#define SEAM_CO_ASSIGN_OR_RETURN(declaration, expression)                                   \
  SEAM_ASSIGN_OR_RETURN_INNER(SEAM_CONCAT(seam_result_, __LINE__), declaration, expression, \
                              co_return)
#define SEAM_ASSIGN_OR_RETURN_INNER(temporary, declaration, expression, leave)     \
  auto temporary = (expression);                                                   \
  if (!temporary.has_value()) leave std::unexpected(std::move(temporary).error()); \
  declaration = *std::move(temporary)
