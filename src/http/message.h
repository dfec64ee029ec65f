#pragma once
// A request as a handler sees it, and the response it returns.
//
//   Task<http::Response> hello(http::Request& request) { co_return http::Response::json(200,
//   R"({"hello":"world"})"); }

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/task.h"

namespace seam::http {

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete, kOptions };
[[nodiscard]] std::string_view to_string(Method method);

// Lives on its connection's loop from the moment its last body byte has come until its response is
// handed over. All views are valid for that long.
class Request {
 public:
  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  virtual ~Request() = default;

  Method method = Method::kGet;
  std::string_view target;          // as sent: "/api/v1/functions?page=2"
  std::string_view path;            // of the target, not yet percent-decoded
  std::string_view query;           // after '?', may be empty
  std::string_view body;            // whole; chunked coding undone
  std::string_view remote_address;  // "127.0.0.1"
  MonotonicTime received_at;        // when its head was complete
  std::stop_token
      gone;  // requested when the client closes the connection or the server stops waiting for it

  // The value of a field, its name compared without case; the first where there are several.
  [[nodiscard]] virtual std::optional<std::string_view> header(std::string_view name) const = 0;
  // Every field, in the order sent.
  [[nodiscard]] virtual std::vector<std::pair<std::string_view, std::string_view>> headers()
      const = 0;
};

// The body of a response that comes over time, such as a log that is followed.
//
//   class Ticks final : public BodyStream {
//     Task<std::string> next() override { co_await loop_.sleep(…); co_return "tick\n"; }
//   };
//
// thread    its connection's loop.
class BodyStream {
 public:
  virtual ~BodyStream() = default;
  // The next part of the body, or an empty one at its end. Asked for only once the socket has taken
  // all parts before, so a slow client holds one part and no more: keep it below 64 KiB or so.
  // Must end soon after Request::gone is requested: the client has gone, or the server drains; what
  // it gives then is still sent where it can be. Destroyed only while no next() is awaited.
  [[nodiscard]] virtual Task<std::string> next() = 0;
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;  // empty with status 204
  std::vector<std::pair<std::string, std::string>>
      headers;  // beside Content-Type, Content-Length, Date, Connection
  // Where there is one, the body is what it gives, in chunks to HTTP/1.1 and until the connection
  // closes to HTTP/1.0, and `body` is ignored. HEAD asks it for nothing. Of the Request, only
  // `gone` stays valid.
  std::unique_ptr<BodyStream> stream = nullptr;

  [[nodiscard]] static Response json(int status, std::string body) {
    return {.status = status,
            .content_type = "application/json",
            .body = std::move(body),
            .headers = {}};
  }
  [[nodiscard]] static Response empty(int status) {
    return {.status = status, .content_type = {}, .body = {}, .headers = {}};
  }
};

}  // namespace seam::http
