#include "http/client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>

#include "base/file_descriptor.h"
#include "http/request_parser.h"

namespace seam::http {
namespace {

constexpr std::size_t kHeadMax = 256U << 10U;
constexpr std::size_t kBodyMax = 64U << 20U;

struct Url {
  std::string host;       // without brackets
  std::string authority;  // as written
  std::string port = "80";
  std::string target = "/";
};

Result<Url> parse_url(std::string_view text) {
  const auto bad = [text](std::string_view why) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not a URL to fetch: {}", text, why));
  };
  std::string_view rest = text;
  if (!rest.starts_with("http://")) return bad("it must begin with http://");
  rest.remove_prefix(7);
  if (std::ranges::any_of(rest, [](char c) { return c <= ' ' || c == 0x7f; }))
    return bad("it holds a space or a control character");
  rest = rest.substr(0, rest.find('#'));
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  Url url;
  url.authority = rest.substr(0, end);
  if (end < rest.size()) url.target = rest.substr(end);
  if (url.target.starts_with('?')) url.target.insert(0, "/");
  std::string_view host = url.authority;
  if (host.find('@') != std::string_view::npos) return bad("it holds a user name");
  const std::size_t bracket = host.starts_with('[') ? host.find(']') : 0;
  if (bracket == std::string_view::npos) return bad("a bracket is not closed");
  if (const std::size_t colon = host.find(':', bracket); colon != std::string_view::npos) {
    url.port = host.substr(colon + 1);
    host = host.substr(0, colon);
    unsigned number = 0;
    const char* const last = url.port.data() + url.port.size();
    const auto [stop, error] = std::from_chars(url.port.data(), last, number);
    if (error != std::errc() || stop != last || number == 0 || number > 65535)
      return bad("the port is not a number from 1 to 65535");
  }
  if (bracket > 0) host = host.substr(1, bracket - 1);
  if (host.empty()) return bad("it names no host");
  url.host = host;
  return url;
}

std::unexpected<Error> late(const ClientRequest& request) {
  return fail(ErrorCode::kDeadlineExceeded,
              fmt::format("{} did not answer within {} s", request.url,
                          std::chrono::duration<double>(request.timeout).count()));
}

std::unexpected<Error> broke(const ClientRequest& request, std::string_view how) {
  return fail(ErrorCode::kUnavailable, fmt::format("{}: {}", request.url, how));
}

std::string error_text(int error_number) { return std::generic_category().message(error_number); }

// One connection for one request, with one deadline for all it does.
class Exchanger {
 public:
  Exchanger(const ClientRequest& request, Deadline deadline)
      : request_(request), deadline_(deadline) {}

  Result<void> connect(const Url& url);
  Result<void> send(std::string_view bytes);
  // Appends what comes to `bytes`; false at the end.
  Result<bool> receive(std::string& bytes);
  void wait_for_ever() { deadline_ = Deadline::never(); }

 private:
  Result<void> wait(short events);

  const ClientRequest& request_;
  Deadline deadline_;
  FileDescriptor socket_;
};

Result<void> Exchanger::wait(short events) {
  for (;;) {
    const nanoseconds left = deadline_.remaining(MonotonicClock::now());
    if (left <= nanoseconds(0)) return late(request_);
    const auto left_ms = std::chrono::ceil<milliseconds>(left).count();
    // poll() passes over a descriptor of -1.
    std::array<pollfd, 2> polled{{{.fd = socket_.get(), .events = events, .revents = 0},
                                  {.fd = request_.stop_fd, .events = POLLIN, .revents = 0}}};
    const int ready = ::poll(polled.data(), polled.size(),
                             static_cast<int>(std::min<std::int64_t>(left_ms, 60'000)));
    if (ready > 0 && polled[1].revents != 0)
      return fail(ErrorCode::kCancelled, fmt::format("{}: given up", request_.url));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail_errno("wait for a connection", errno);
  }
}

Result<void> Exchanger::connect(const Url& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &found);
      error != 0)
    return broke(request_,
                 fmt::format("cannot find the host '{}': {}", url.host, ::gai_strerror(error)));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  int last_error = 0;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    socket_.reset(::socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_) return fail_errno("make a socket", errno);
    if (::connect(socket_.get(), one->ai_addr, one->ai_addrlen) == 0) return {};
    last_error = errno;
    if (last_error != EINPROGRESS) continue;
    SEAM_RETURN_IF_ERROR(wait(POLLOUT));
    socklen_t size = sizeof last_error;
    ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &last_error, &size);
    if (last_error == 0) return {};
  }
  return broke(request_, fmt::format("cannot connect: {}", error_text(last_error)));
}

Result<void> Exchanger::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      SEAM_RETURN_IF_ERROR(wait(POLLOUT));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return {};  // the server may have answered already, a refusal of the body say: read it
    } else if (errno != EINTR) {
      return broke(request_, fmt::format("cannot send: {}", error_text(errno)));
    }
  }
  return {};
}

Result<bool> Exchanger::receive(std::string& bytes) {
  std::array<char, 64U << 10U> part;
  for (;;) {
    const ssize_t count = ::recv(socket_.get(), part.data(), part.size(), 0);
    if (count > 0) {
      bytes.append(part.data(), static_cast<std::size_t>(count));
      return true;
    }
    if (count == 0) return false;
    if (errno == EAGAIN) {
      SEAM_RETURN_IF_ERROR(wait(POLLIN));
    } else if (errno != EINTR) {
      return broke(request_, fmt::format("the connection broke: {}", error_text(errno)));
    }
  }
}

struct AnswerHead {
  ClientResponse response;
  bool chunked = false;
  std::optional<std::uint64_t> length;
};

// Reads a head that is complete; nothing where it is not HTTP.
std::optional<AnswerHead> parse_answer_head(std::string_view bytes) {
  AnswerHead head;
  if (!bytes.starts_with("HTTP/1.") || bytes.size() < 13 || bytes[8] != ' ') return std::nullopt;
  if (std::from_chars(bytes.data() + 9, bytes.data() + 12, head.response.status).ptr !=
          bytes.data() + 12 ||
      head.response.status < 100)
    return std::nullopt;
  bytes.remove_prefix(std::min(bytes.find('\n'), bytes.size() - 1) + 1);
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size() - 1);
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return std::nullopt;
    const std::string_view name = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
    while (value.ends_with(' ') || value.ends_with('\t')) value.remove_suffix(1);
    if (equal_ignoring_case(name, "transfer-encoding")) {
      if (!equal_ignoring_case(value, "chunked")) return std::nullopt;
      head.chunked = true;
    }
    if (equal_ignoring_case(name, "content-length")) {
      std::uint64_t length = 0;
      const char* const last = value.data() + value.size();
      const auto [stop, error] = std::from_chars(value.data(), last, length);
      if (error != std::errc() || stop != last || value.empty()) return std::nullopt;
      if (head.length && head.length != length) return std::nullopt;
      head.length = length;
    }
    head.response.headers.emplace_back(name, value);
  }
  return head;
}

Result<AnswerHead> receive_head(Exchanger& exchanger, const ClientRequest& request,
                                std::string& bytes) {
  std::size_t scanned = 0;
  for (;;) {
    if (const std::size_t end = find_head_end(bytes, scanned); end > 0) {
      std::optional<AnswerHead> head = parse_answer_head(std::string_view(bytes).substr(0, end));
      bytes.erase(0, end);
      scanned = 0;
      if (!head) return broke(request, "the answer is not HTTP/1.1");
      if (head->response.status < 200) continue;  // 100 Continue and its like
      return *std::move(head);
    }
    if (bytes.size() > kHeadMax)
      return fail(ErrorCode::kResourceExhausted,
                  fmt::format("{}: the head of the answer is longer than {} KiB", request.url,
                              kHeadMax >> 10U));
    SEAM_ASSIGN_OR_RETURN(const bool more, exchanger.receive(bytes));
    if (!more) return broke(request, "the connection was closed before an answer came");
  }
}

Result<void> receive_body(Exchanger& exchanger, const ClientRequest& request, AnswerHead& head,
                          std::string& bytes) {
  const int status = head.response.status;
  if (request.method == Method::kHead || status == 204 || status == 304) return {};
  std::string& body = head.response.body;
  const auto too_long = [&request] {
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("{}: the answer is longer than {} MiB", request.url, kBodyMax >> 20U));
  };
  if (!head.chunked && !head.length) {  // until the connection closes
    body = std::move(bytes);
    for (;;) {
      if (body.size() > kBodyMax) return too_long();
      SEAM_ASSIGN_OR_RETURN(const bool more, exchanger.receive(body));
      if (!more) return {};
    }
  }
  BodyDecoder decoder;
  const bool parts = request.on_body && status == 200;
  if (parts) {
    exchanger.wait_for_ever();
    if (!request.on_body({})) return {};
  }
  if (head.chunked) {
    decoder.start_chunked();
  } else {
    decoder.start_length(*head.length);
  }
  for (;;) {
    bytes.erase(0, decoder.feed(bytes, parts ? SIZE_MAX : kBodyMax, body));
    if (parts && !body.empty()) {
      if (!request.on_body(body)) return {};
      body.clear();
    }
    if (decoder.state() == BodyDecoder::State::kDone) return {};
    if (decoder.state() == BodyDecoder::State::kTooLong) return too_long();
    if (decoder.state() == BodyDecoder::State::kMalformed)
      return broke(request, "the chunked coding of the answer is malformed");
    SEAM_ASSIGN_OR_RETURN(const bool more, exchanger.receive(bytes));
    if (!more) return broke(request, "the connection was closed in the middle of the answer");
  }
}

std::string request_text(const ClientRequest& request, const Url& url) {
  std::string text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
                                 to_string(request.method), url.target, url.authority);
  for (const auto& [name, value] : request.headers) text += fmt::format("{}: {}\r\n", name, value);
  const bool carries = request.method == Method::kPost || request.method == Method::kPut ||
                       request.method == Method::kPatch;
  if (carries || !request.body.empty())
    text += fmt::format("Content-Length: {}\r\n", request.body.size());
  return text + "\r\n" + request.body;
}

}  // namespace

Result<void> check_url(std::string_view url) {
  SEAM_RETURN_IF_ERROR(parse_url(url));
  return {};
}

Result<ClientResponse> fetch(const ClientRequest& request) {
  SEAM_ASSIGN_OR_RETURN(const Url url, parse_url(request.url));
  for (const auto& [name, value] : request.headers)
    if (name.empty() || (name + value).find_first_of("\r\n") != std::string::npos ||
        name.find_first_of(": \t") != std::string::npos)
      return fail(ErrorCode::kInvalidArgument, fmt::format("'{}' is not a header field", name));
  Exchanger exchanger(request, Deadline::after(request.timeout));
  SEAM_RETURN_IF_ERROR(exchanger.connect(url));
  SEAM_RETURN_IF_ERROR(exchanger.send(request_text(request, url)));
  std::string bytes;
  SEAM_ASSIGN_OR_RETURN(AnswerHead head, receive_head(exchanger, request, bytes));
  SEAM_RETURN_IF_ERROR(receive_body(exchanger, request, head, bytes));
  return std::move(head.response);
}

}  // namespace seam::http
