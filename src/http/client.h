#pragma once
// A small blocking HTTP/1.1 client for the command line: one request, one answer.
//
//   Result<ClientResponse> answer = fetch({.method = Method::kGet, .url =
//   "http://127.0.0.1:8080/health"});

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"

namespace seam::http {

struct ClientRequest {
  Method method = Method::kGet;
  std::string url = {};  // "http://host[:port]/path?query"
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  nanoseconds timeout = seconds(60);
  // Where it is set, the body of a 200 goes here as it comes and not into the response, however
  // long it goes on: `timeout` then ends with the head, which an empty part announces. False: no
  // more is wanted.
  std::function<bool(std::string_view part)> on_body = {};
  int stop_fd = -1;  // readable: the request is given up (a signalfd, say); borrowed
};

struct ClientResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
};

// Whether fetch() could ask there at all: for who has much to do before. Asks nobody.
// errors    kInvalidArgument   not an http:// URL; the message has it, and what is wrong
[[nodiscard]] Result<void> check_url(std::string_view url);

// Blocks the calling thread.
// errors    kUnavailable        nothing listens there, or the connection broke; kDeadlineExceeded
// no answer in time
//           kInvalidArgument    not an http:// URL
//           kCancelled          stop_fd was readable
[[nodiscard]] Result<ClientResponse> fetch(const ClientRequest& request);

}  // namespace seam::http
