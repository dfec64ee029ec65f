#pragma once
// How errors look to a client: the one place that turns codes into statuses.
//
//   co_return error_response(request_id, error);

#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"
#include "runtimes/runtime.h"

namespace seam::api {

// A code of the public contract with its HTTP status. `name` is static text.
struct PublicCode {
  std::string_view name;  // "INVALID_REQUEST"
  int status;
};

// What a client is told of a host error.
[[nodiscard]] PublicCode public_code(ErrorCode code);
// What a client is told of a status that the server answers by itself (404, 405, 413, …).
[[nodiscard]] PublicCode public_code_of_status(int status);

// {"request_id", "error": {"code", "message", "details"}}. An internal error's message is logged
// with a fresh id, and the client is given only that id.
[[nodiscard]] http::Response error_response(std::string_view request_id, const Error& error);
[[nodiscard]] http::Response error_response(std::string_view request_id, PublicCode code,
                                            std::string_view message,
                                            std::string_view details_json);
// RUNTIME_ERROR, with what the language tells of the place.
[[nodiscard]] http::Response error_response(std::string_view request_id, std::string_view call_id,
                                            const runtimes::FunctionError& error);

}  // namespace seam::api
