#include "api/door.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/errors.h"
#include "base/identifier.h"

namespace seam::api {
namespace {

// "localhost:8080" and "[::1]" name this machine whatever the port.
bool loopback_authority(std::string_view authority) {
  std::string_view host = authority;
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos) return false;
    return host.substr(0, end + 1) == "[::1]" && (end + 1 == host.size() || host[end + 1] == ':');
  }
  host = host.substr(0, host.find(':'));
  std::string lower(host);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  });
  if (lower == "localhost") return true;
  // 127.0.0.0/8, and not a name such as 127.example.com
  return lower.starts_with("127.") && lower.find_first_not_of("0123456789.") == std::string::npos;
}

bool loopback_origin(std::string_view origin) {
  const std::size_t scheme = origin.find("://");
  return scheme != std::string_view::npos && loopback_authority(origin.substr(scheme + 3));
}

http::Response forbidden(const http::Request& request, std::string_view message) {
  return error_response(answer_id(request), {"FORBIDDEN", 403}, message, {});
}

}  // namespace

std::optional<std::string_view> client_request_id(const http::Request& request) {
  const auto id = request.header("X-Request-ID");
  if (!id || id->empty() || id->size() > 128) return std::nullopt;
  if (!std::ranges::all_of(*id, [](char c) { return c > ' ' && c < '\x7F'; })) return std::nullopt;
  return id;
}

std::string answer_id(const http::Request& request) {
  if (const auto id = client_request_id(request)) return std::string(*id);
  return random_uuid();
}

http::Response Door::refuse(const http::Request* request, const http::Refusal& refusal) {
  const std::string id = request != nullptr ? answer_id(*request) : random_uuid();
  http::Response response =
      error_response(id, public_code_of_status(refusal.status), refusal.message, {});
  if (!refusal.allow.empty()) response.headers.emplace_back("Allow", refusal.allow);
  return response;
}

std::optional<http::Response> Door::admit(const http::Request& request) {
  if (const auto host = request.header("Host"); !host || !loopback_authority(*host)) {
    return forbidden(request, fmt::format("the Host '{}' is not this machine's loopback: without "
                                          "tokens only localhost, 127.0.0.1 and "
                                          "[::1] are answered",
                                          host.value_or("").substr(0, 200)));
  }
  if (const auto origin = request.header("Origin"); origin && !loopback_origin(*origin)) {
    return forbidden(request, fmt::format("pages of the origin '{}' may not call this server",
                                          origin->substr(0, 200)));
  }
  for (const std::string_view name : {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Via"}) {
    if (request.header(name)) {
      return forbidden(
          request,
          fmt::format(
              "the request came through a proxy ({}): without tokens only direct requests of this "
              "machine are answered",
              name));
    }
  }
  return std::nullopt;
}

void Door::finish(const http::Request& request, http::Response& response) {
  if (const auto id = client_request_id(request))
    response.headers.emplace_back("X-Request-ID", *id);
}

}  // namespace seam::api
