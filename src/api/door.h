#pragma once
// What every request meets first and every answer passes last: who may come in while there are no
// tokens, and how the server's own refusals look.
//
//   Door door;
//   http::Server server(options, routes, door, loops);

#include <atomic>
#include <optional>
#include <string>

#include "http/message.h"
#include "http/routes.h"

namespace seam::api {

// Without tokens the server trusts its own machine alone, so a browser must not be made to speak
// for a stranger: Host must name the loopback, an Origin must be of it, and what a proxy forwarded
// is refused. Any of the server's loops. source    RFC 9110, section 7.2 (Host); RFC 6454 (Origin);
// RFC 7239 (Forwarded).
class Door final : public http::Voice {
 public:
  [[nodiscard]] http::Response refuse(const http::Request* request,
                                      const http::Refusal& refusal) override;
  [[nodiscard]] std::optional<http::Response> admit(const http::Request& request) override;
  void finish(const http::Request& request, http::Response& response) override;
};

// The id that a client gave its request, where it can be echoed: at most 128 visible ASCII
// characters.
[[nodiscard]] std::optional<std::string_view> client_request_id(const http::Request& request);

// The id in the body of an answer that belongs to no session: the client's own, or a fresh one.
[[nodiscard]] std::string answer_id(const http::Request& request);

}  // namespace seam::api
