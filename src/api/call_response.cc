#include "api/call_response.h"

#include <fmt/format.h>

#include "api/errors.h"

namespace seam::api {

http::Response CallResponse::render(const functions::CallAnswer& answer,
                                    std::string_view request_id) {
  if (const auto* error = std::get_if<runtimes::FunctionError>(&answer.outcome.value)) {
    return error_response(request_id, answer.call_id, *error);
  }
  if (const auto* error = std::get_if<Error>(&answer.outcome.value)) {
    if (answer.params_refused)
      return error_response(request_id, {"INVALID_PARAMS", 400}, error->message, error->details);
    return error_response(request_id, *error);
  }
  // All that goes in beside the result is made of characters that JSON needs no escape for.
  fmt::format_to(
      std::back_inserter(result_),
      R"(,"request_id":"{}","call_id":"{}","language_title":"{}","execution_time":{:.3f},"cached":{}}})",
      request_id, answer.call_id, answer.language_title,
      std::chrono::duration<double, std::milli>(answer.duration).count(), answer.cached);
  http::Response response = http::Response::json(200, std::move(result_));
  if (answer.cached) response.headers.emplace_back("Age", fmt::to_string(answer.age.count()));
  return response;
}

http::Response CallResponse::finish(functions::CallAnswer& answer, functions::Executor& executor) {
  http::Response response = render(answer, request_id_.empty() ? answer.call_id : request_id_);
  if (answer.ran) {
    answer.record.status_code = static_cast<std::uint16_t>(response.status);
    if (const auto* error = std::get_if<Error>(&answer.outcome.value)) {
      answer.record.error_code = public_code(error->code).name;
    } else if (std::holds_alternative<runtimes::FunctionError>(answer.outcome.value)) {
      answer.record.error_code = "RUNTIME_ERROR";
    }
    if (!executor.record(answer.record)) {
      return error_response(
          answer.record.request_id,
          Error{ErrorCode::kUnavailable,
                "the call has run, but its record cannot be kept: the journal is full",
                {}});
    }
  }
  executor.ended(answer, response.status);
  return response;
}

}  // namespace seam::api
