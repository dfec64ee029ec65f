#include "api/errors.h"

#include <fmt/format.h>

#include "base/identifier.h"
#include "base/json_text.h"
#include "base/log_format.h"

namespace seam::api {
namespace {

std::string_view kind_name(runtimes::FunctionError::Kind kind) {
  using Kind = runtimes::FunctionError::Kind;
  switch (kind) {
    case Kind::kThrew:
      return "threw";
    case Kind::kBadResult:
      return "bad_result";
    case Kind::kLoadFailed:
      return "load_failed";
    case Kind::kWorkerDied:
      return "worker_died";
    case Kind::kMemoryExceeded:
      return "memory_exceeded";
    case Kind::kProtocol:
      return "protocol";
  }
  return "threw";
}

}  // namespace

PublicCode public_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kOutOfRange:
      return {"INVALID_REQUEST", 400};
    case ErrorCode::kNotFound:
      return {"NOT_FOUND", 404};
    case ErrorCode::kAborted:
    case ErrorCode::kAlreadyExists:
      return {"INVALID_REQUEST", 409};
    case ErrorCode::kResourceExhausted:
      return {"INVALID_REQUEST", 413};
    case ErrorCode::kPermissionDenied:
      return {"FORBIDDEN", 403};
    case ErrorCode::kUnauthenticated:
      return {"UNAUTHORIZED", 401};
    case ErrorCode::kDeadlineExceeded:
      return {"TIMEOUT", 504};
    // A runtime that cannot work here may work again: an interpreter is installed, a limit raised.
    case ErrorCode::kUnavailable:
    case ErrorCode::kFailedPrecondition:
      return {"UNAVAILABLE", 503};
    // The client is gone; nobody reads this but the record.
    case ErrorCode::kCancelled:
      return {"UNAVAILABLE", 499};
    case ErrorCode::kUnknown:
    case ErrorCode::kInternal:
    case ErrorCode::kDataLoss:
    case ErrorCode::kUnimplemented:
      break;
  }
  return {"INTERNAL_ERROR", 500};
}

PublicCode public_code_of_status(int status) {
  switch (status) {
    case 403:
      return {"FORBIDDEN", status};
    case 404:
      return {"NOT_FOUND", status};
    case 500:
      return {"INTERNAL_ERROR", status};
    case 503:
      return {"UNAVAILABLE", status};
    default:
      return {"INVALID_REQUEST", status};
  }
}

http::Response error_response(std::string_view request_id, PublicCode code,
                              std::string_view message, std::string_view details_json) {
  std::string body = R"({"request_id":)";
  append_json_string(body, request_id);
  body.append(R"(,"error":{"code":")").append(code.name).append(R"(","message":)");
  append_json_string(body, message);
  body.append(R"(,"details":)").append(details_json.empty() ? "{}" : details_json).append("}}");
  http::Response response = http::Response::json(code.status, std::move(body));
  if (code.status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

http::Response error_response(std::string_view request_id, const Error& error) {
  const PublicCode code = public_code(error.code);
  if (code.status != 500) return error_response(request_id, code, error.message, error.details);
  const std::string id = random_uuid();
  log_line(LogLevel::kError, {.request_id = request_id},
           fmt::format("internal error {}: {}: {}", id, to_string(error.code), error.message));
  return error_response(request_id, code,
                        fmt::format("an error of the server itself: look for {} in its log", id),
                        {});
}

http::Response error_response(std::string_view request_id, std::string_view call_id,
                              const runtimes::FunctionError& error) {
  std::string details = R"({"call_id":)";
  append_json_string(details, call_id);
  details.append(R"(,"kind":")").append(kind_name(error.kind)).push_back('"');
  if (!error.type.empty()) {
    details.append(R"(,"type":)");
    append_json_string(details, error.type);
  }
  if (error.line) details.append(fmt::format(R"(,"line":{})", *error.line));
  if (error.column) details.append(fmt::format(R"(,"column":{})", *error.column));
  if (!error.stack_trace.empty()) {
    details.append(R"(,"stack_trace":)");
    append_json_string(details, error.stack_trace);
  }
  details.push_back('}');
  return error_response(request_id, {"RUNTIME_ERROR", 500}, error.message, details);
}

}  // namespace seam::api
