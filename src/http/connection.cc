#include "http/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace seam::http {
namespace {

constexpr std::size_t kOutMax = 64U << 10U;      // answers gathered before they are sent
constexpr std::size_t kBodyApart = 32U << 10U;   // a larger response body is not copied
constexpr std::size_t kBodyStep = 256U << 10U;   // room made for a large request body at a time
constexpr std::size_t kBodyRoomMin = 1U << 10U;  // room behind a head for reading its body
constexpr std::size_t kDiscardMax = 64U
                                    << 10U;  // of a body that nobody wants, to keep the connection
constexpr std::size_t kLingerBytesMax = 1U << 20U;  // read after the last answer, so that it is not
constexpr nanoseconds kLingerTime = seconds(2);     // lost to a reset
constexpr double kBodyBytesPerSecondMin = 1024;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

bool is_json(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (content_type.ends_with(' ') || content_type.ends_with('\t')) content_type.remove_suffix(1);
  return equal_ignoring_case(content_type, "application/json");
}

}  // namespace

Connection::Connection(std::shared_ptr<ConnectionLoop> loop, FileDescriptor socket,
                       std::string remote_address, bool overloaded)
    : loop_(std::move(loop)),
      socket_(std::move(socket)),
      remote_address_(std::move(remote_address)),
      phase_since_(MonotonicClock::now()) {
  if (!overloaded) return;
  exchange_ = loop_->take_exchange();
  refuse_and_close({.status = 503, .message = "too many connections are open: try again later"},
                   false);
}

Connection::~Connection() = default;

// ---- What wakes a connection.

void Connection::on_events(std::uint32_t events) {
  if (closed_) return;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) may_read_ = true;
  if ((events & (EPOLLRDHUP | EPOLLHUP)) != 0) peer_finished_ = true;
  // A reset: no answer can reach the peer.
  if ((events & (EPOLLHUP | EPOLLERR)) != 0 && handling_) return close();
  if (peer_finished_ && handling_) {
    // A copy: what the stop wakes may end the request, which gives its exchange a new one.
    std::stop_source stop = exchange_->stop;
    stop.request_stop();
    if (closed_ || handling_) return;  // the handler goes on, or has ended and advanced
  }
  advance();
}

void Connection::on_tick(MonotonicTime now) {
  const ServerOptions& options = loop_->shared().options;
  if (now - write_since_ > options.write_timeout) return close();
  const nanoseconds waited = now - phase_since_;
  switch (phase_) {
    case Phase::kHead:
      if (exchange_ == nullptr) {
        if (waited > options.idle_timeout) close();
        return;
      }
      if (exchange_->in.size() > 0 && waited > options.head_timeout) {
        refuse_and_close({.status = 408, .message = "the head of the request did not come in time"},
                         false);
        advance();
      }
      return;
    case Phase::kBody: {
      const auto earned = std::chrono::duration<double>(
          static_cast<double>(exchange_->decoded_body.size()) / kBodyBytesPerSecondMin);
      if (waited > options.body_timeout + std::chrono::duration_cast<nanoseconds>(earned)) {
        refuse_and_close({.status = 408, .message = "the body of the request did not come in time"},
                         true);
        advance();
      }
      return;
    }
    case Phase::kLingering:
      if (waited > kLingerTime) close();
      return;
    case Phase::kHandler:
    case Phase::kStream:
    case Phase::kClosing:
      return;
  }
}

void Connection::on_drain() {
  // What the peer sent before it could know is still answered.
  may_read_ = true;
  if (phase_ == Phase::kStream) {
    // What the stop wakes may end the stream, but goes on only below.
    advancing_ = true;
    exchange_->stop.request_stop();
    advancing_ = false;
  }
  advance();
}

void Connection::run_again() {
  queued_ = false;
  if (closed_) {
    if (!on_stack_or_awaited()) loop_->bury(this);
    return;
  }
  runs_again_ = true;
  advance();
}

// ---- The machine.

void Connection::advance() {
  if (advancing_ || queued_ || closed_) return;
  advancing_ = true;
  answered_in_turn_ = 0;
  while (!closed_ && step() == Step::kAgain) {
  }
  advancing_ = false;
  runs_again_ = false;
  if (closed_ && !on_stack_or_awaited()) loop_->bury(this);
}

Connection::Step Connection::step() {
  switch (phase_) {
    case Phase::kHead:
      return read_head();
    case Phase::kBody:
      return read_body();
    case Phase::kHandler:
      if (output_pending()) static_cast<void>(flush());
      return Step::kWait;
    case Phase::kStream:
      return continue_stream();
    case Phase::kClosing:
      if (!flush()) return Step::kWait;
      if (!linger_) {
        close();
        return Step::kWait;
      }
      ::shutdown(socket_.get(), SHUT_WR);
      phase_ = Phase::kLingering;
      phase_since_ = MonotonicClock::now();
      return Step::kAgain;
    case Phase::kLingering:
      return linger();
  }
  return Step::kWait;
}

Connection::Step Connection::read_head() {
  if (exchange_ != nullptr) {
    ReceiveBuffer& in = exchange_->in;
    if (exchange_->out.size() > kOutMax || !exchange_->out_body.empty())
      if (!flush()) return Step::kWait;
    if (answered_in_turn_ >= loop_->shared().options.pipelined_max && in.size() > 0) {
      if (!flush()) return Step::kWait;
      if (closed_) return Step::kWait;
      queue();
      return Step::kWait;
    }
    // RFC 9112, section 2.2: empty lines before a request are passed over.
    while (in.view().starts_with("\r\n")) in.begin += 2;
    const bool only_cr = in.view() == "\r";
    if (in.size() > 0 && !only_cr) {
      const std::size_t most = loop_->shared().options.head_bytes_max;
      const std::size_t length = find_head_end(in.view(), scanned_);
      if (length > most || (length == 0 && in.size() > most)) {
        refuse_and_close({.status = 431,
                          .message = "the head of the request is longer than " +
                                     std::to_string(most) + " bytes"},
                         false);
        return Step::kAgain;
      }
      if (length > 0) return begin_request(length);
    }
  }
  if (flush_later() || !flush()) return Step::kWait;
  const bool fresh = exchange_ == nullptr || exchange_->in.size() == 0;
  if (receive()) {
    if (fresh) phase_since_ = MonotonicClock::now();
    return Step::kAgain;
  }
  if (closed_) return Step::kWait;
  if (at_end_ || (loop_->draining() && fresh)) {
    close();
  } else if (fresh) {
    become_idle();
  }
  return Step::kWait;
}

Connection::Step Connection::begin_request(std::size_t head_bytes) {
  Exchange& exchange = *exchange_;
  const ServerOptions& options = loop_->shared().options;
  scanned_ = 0;
  const std::string_view bytes = exchange.in.view().substr(0, head_bytes);
  if (const auto refusal = parse_head(bytes, options.fields_max, exchange.head)) {
    refuse_and_close(*refusal, false);
    return Step::kAgain;
  }
  // The views into the buffer have to stay while the body comes in behind the head.
  if (exchange.head.chunked || exchange.head.content_length > exchange.in.size() - head_bytes) {
    if (exchange.in.capacity - exchange.in.begin - head_bytes < kBodyRoomMin) {
      ReceiveBuffer& in = exchange.in;
      auto grown = std::make_unique_for_overwrite<char[]>(in.size() + ReceiveBuffer::kStart);
      std::memcpy(grown.get(), in.data.get() + in.begin, in.size());
      in = {std::move(grown), in.size() + ReceiveBuffer::kStart, 0, in.size()};
      CHECK(!parse_head(in.view().substr(0, head_bytes), options.fields_max, exchange.head));
    }
  }
  const Head& head = exchange.head;
  exchange.method = head.method;
  exchange.target = head.target;
  exchange.path = head.path;
  exchange.query = head.query;
  exchange.body = {};
  exchange.remote_address = remote_address_;
  exchange.received_at = MonotonicClock::now();
  exchange.gone = {};
  exchange.in.begin += head_bytes;
  head_end_ = exchange.in.begin;
  phase_since_ = exchange.received_at;
  close_after_ = !head.keep_alive;

  if (std::optional<Response> answer = loop_->shared().voice.admit(exchange)) {
    answer_without_body(*std::move(answer));
    return Step::kAgain;
  }
  match_ = loop_->shared().routes.find(head.method, head.path);
  if (match_.route == nullptr && head.method == Method::kOptions &&
      (!match_.allow.empty() || head.path == "*")) {
    Response options_answer = Response::empty(204);
    options_answer.headers.emplace_back(
        "Allow", match_.allow.empty() ? "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
                                      : std::move(match_.allow));
    answer_without_body(std::move(options_answer));
    return Step::kAgain;
  }
  if (const auto refusal = check_route(match_)) {
    Response answer = loop_->shared().voice.refuse(&exchange, *refusal);
    if (!refusal->allow.empty()) answer.headers.emplace_back("Allow", refusal->allow);
    if (refusal->status == 413) close_after_ = true;
    answer_without_body(std::move(answer));
    return Step::kAgain;
  }
  if (!head.chunked && head.content_length <= exchange.in.size()) {
    if (!discard_body_)
      exchange.body = exchange.in.view().substr(0, static_cast<std::size_t>(head.content_length));
    exchange.in.begin += static_cast<std::size_t>(head.content_length);
    return run_handler();
  }
  if (head.chunked) {
    body_.start_chunked();
  } else {
    body_.start_length(head.content_length);
  }
  exchange.decoded_body.clear();
  if (head.expects_continue && exchange.in.size() == 0) exchange.out += kContinue;
  phase_ = Phase::kBody;
  return Step::kAgain;
}

// What to refuse the request with before its body is read.
std::optional<Refusal> Connection::check_route(const RouteTable::Match& match) {
  const Exchange& exchange = *exchange_;
  const Head& head = exchange.head;
  if (match.route == nullptr) {
    if (match.allow.empty())
      return Refusal{.status = 404, .message = "nothing is at " + std::string(head.path)};
    return Refusal{.status = 405,
                   .message = std::string(to_string(head.method)) + " is not allowed at " +
                              std::string(head.path) + ": use one of " + match.allow,
                   .allow = match.allow};
  }
  const bool has_body = head.chunked || head.content_length > 0;
  discard_body_ = match.route->info.body_bytes_max == 0;
  body_bytes_max_ = discard_body_ ? kDiscardMax : match.route->info.body_bytes_max;
  if (!has_body) return std::nullopt;
  if (discard_body_ && head.expects_continue)
    return Refusal{.status = 417, .message = std::string(head.path) + " takes no body"};
  if (head.content_length > body_bytes_max_)
    return Refusal{.status = 413,
                   .message = "the body has " + std::to_string(head.content_length) +
                              " bytes and the limit is " +
                              std::to_string(match.route->info.body_bytes_max)};
  if (match.route->takes_json) {
    const std::optional<std::string_view> type = exchange.header("Content-Type");
    const std::string right =
        match.route->takes_form ? "application/json or multipart/form-data" : "application/json";
    if (!type)
      return Refusal{.status = 415, .message = "the request has no Content-Type: send " + right};
    if (!is_json(*type) && !(match.route->takes_form && is_form(*type)))
      return Refusal{.status = 415,
                     .message = "the Content-Type is '" + std::string(*type) + "': send " + right};
  }
  return std::nullopt;
}

Connection::Step Connection::read_body() {
  Exchange& exchange = *exchange_;
  ReceiveBuffer& in = exchange.in;
  in.begin += body_.feed(in.view(), body_bytes_max_, exchange.decoded_body);
  switch (body_.state()) {
    case BodyDecoder::State::kDone:
      if (!discard_body_) exchange.body = exchange.decoded_body;
      phase_since_ = MonotonicClock::now();
      return run_handler();
    case BodyDecoder::State::kMalformed:
      refuse_and_close({.status = 400, .message = "the chunked coding of the body is malformed"},
                       true);
      return Step::kAgain;
    case BodyDecoder::State::kTooLong:
      refuse_and_close({.status = 413,
                        .message = "the body is longer than the limit of " +
                                   std::to_string(match_.route->info.body_bytes_max) + " bytes"},
                       true);
      return Step::kAgain;
    case BodyDecoder::State::kMore:
      break;
  }
  if (!flush()) return Step::kWait;  // 100 Continue, and the answers before it
  // All that came is used, so the room behind the head is free again; the head stays where it is.
  in.begin = in.end = head_end_;
  const bool came = body_.length_left() > in.capacity - in.end ? receive_into_body() : receive();
  if (came) return Step::kAgain;
  if (at_end_) close();
  return Step::kWait;
}

Connection::Step Connection::run_handler() {
  Exchange& exchange = *exchange_;
  phase_ = Phase::kHandler;
  exchange.gone = exchange.stop.get_token();
  if (peer_finished_) exchange.stop.request_stop();
  std::expected<Task<Response>, Refusal> task = match_.route->handler(exchange, match_.path_values);
  if (!task) {
    respond(loop_->shared().voice.refuse(&exchange, task.error()));
    return Step::kAgain;
  }
  handling_ = true;
  start(*std::move(task), [this](Response response) { finish_handler(std::move(response)); });
  return Step::kAgain;  // where the answer is there, or the ones before it are sent
}

void Connection::finish_handler(Response response) {
  handling_ = false;
  if (closed_) {
    if (!on_stack_or_awaited()) loop_->bury(this);
    return;
  }
  respond(std::move(response));
  if (advancing_) return;
  phase_since_ = MonotonicClock::now();
  advance();
}

// ---- Answers.

bool Connection::closes_after_this() const {
  return close_after_ || (loop_->draining() && exchange_->in.size() == 0);
}

// Puts the answer to the request in hand among those to send, and ends the request.
void Connection::respond(Response response) {
  Exchange& exchange = *exchange_;
  loop_->shared().voice.finish(exchange, response);
  if (response.stream != nullptr) return begin_stream(std::move(response));
  const bool closes = closes_after_this();
  const bool without_body = exchange.head.method == Method::kHead;
  const bool apart = !without_body && response.body.size() > kBodyApart;
  append_response(exchange.out, response,
                  {.date = loop_->date(),
                   .without_body = without_body,
                   .close = closes,
                   .keep_alive_named = exchange.head.version_1_0},
                  apart);
  if (apart && response.status != 204 && response.status != 304)
    exchange.out_body = std::move(response.body);
  ++answered_in_turn_;
  if (closes) {
    start_closing(linger_ || loop_->draining() || exchange.in.size() > 0);
  } else {
    end_request();
  }
}

void Connection::end_request() {
  Exchange& exchange = *exchange_;
  phase_ = Phase::kHead;
  scanned_ = 0;
  if (exchange.in.size() > 0) phase_since_ = MonotonicClock::now();  // the next head has begun
  if (exchange.decoded_body.capacity() > Exchange::kStringKept)
    Exchange::keep_small(exchange.decoded_body);
  if (exchange.stop.stop_requested()) exchange.stop = {};
}

// Answers a request whose body is not read. A small one is passed over, so that the connection can
// go on; otherwise it closes.
void Connection::answer_without_body(Response response) {
  Exchange& exchange = *exchange_;
  const Head& head = exchange.head;
  const bool passable = !head.chunked && head.content_length <= exchange.in.size() &&
                        head.content_length <= kDiscardMax;
  if (passable) {
    exchange.in.begin += static_cast<std::size_t>(head.content_length);
  } else {
    close_after_ = true;
    linger_ = true;
  }
  respond(std::move(response));
}

// Refuses what was read so far and closes, since nobody knows where the next request begins.
void Connection::refuse_and_close(const Refusal& refusal, bool head_known) {
  Exchange& exchange = *exchange_;
  close_after_ = true;
  linger_ = true;
  Response answer = loop_->shared().voice.refuse(head_known ? &exchange : nullptr, refusal);
  if (head_known) return respond(std::move(answer));
  append_response(exchange.out, answer, {.date = loop_->date(), .close = true});
  start_closing(true);
}

void Connection::start_closing(bool lingering) {
  phase_ = Phase::kClosing;
  linger_ = lingering;
}

// Reads on after the last answer until the peer has closed: closing with unread bytes would reset
// the connection, and the peer could lose the answer.
Connection::Step Connection::linger() {
  ReceiveBuffer& in = exchange_->in;
  in.begin = in.end = 0;
  if (receive()) {
    lingered_bytes_ += in.size();
    if (lingered_bytes_ <= kLingerBytesMax) return Step::kAgain;
    at_end_ = true;
  }
  if (at_end_) close();
  return Step::kWait;
}

// ---- The socket.

bool Connection::receive() {
  if (!may_read_) return false;
  if (exchange_ == nullptr) exchange_ = loop_->take_exchange();
  ReceiveBuffer& in = exchange_->in;
  if (phase_ != Phase::kBody) in.make_room();
  const std::size_t room = in.capacity - in.end;
  const ssize_t count = ::recv(socket_.get(), in.data.get() + in.end, room, 0);
  if (count > 0) in.end += static_cast<std::size_t>(count);
  return received(count, room);
}

// A large body by length goes where it will be read.
bool Connection::receive_into_body() {
  if (!may_read_) return false;
  std::string& body = exchange_->decoded_body;
  const std::size_t before = body.size();
  const auto room =
      static_cast<std::size_t>(std::min<std::uint64_t>(body_.length_left(), kBodyStep));
  ssize_t count = 0;
  body.resize_and_overwrite(before + room, [&](char* data, std::size_t) {
    count = ::recv(socket_.get(), data + before, room, 0);
    return before + (count > 0 ? static_cast<std::size_t>(count) : 0);
  });
  if (count > 0) body_.took(static_cast<std::uint64_t>(count));
  return received(count, room);
}

bool Connection::received(std::ptrdiff_t count, std::size_t room) {
  if (count > 0) {
    // Fewer bytes than there was room for: the socket is empty, and the next ones are an event.
    if (static_cast<std::size_t>(count) < room && !peer_finished_) may_read_ = false;
    return true;
  }
  if (count < 0 && errno == EINTR) return received(1, 1);
  may_read_ = false;
  if (count == 0) {
    at_end_ = true;
  } else if (errno != EAGAIN) {
    close();
  }
  return false;
}

bool Connection::output_pending() const {
  return exchange_ != nullptr && (!exchange_->out.empty() || !exchange_->out_body.empty());
}

// Sends what there is. False while some is left, or when the connection broke.
bool Connection::flush() {
  if (!output_pending()) return true;
  Exchange& exchange = *exchange_;
  const std::size_t total = exchange.out.size() + exchange.out_body.size();
  while (exchange.out_sent < total) {
    std::array<iovec, 2> parts{};
    std::size_t used = 0;
    if (exchange.out_sent < exchange.out.size())
      parts[used++] = {exchange.out.data() + exchange.out_sent,
                       exchange.out.size() - exchange.out_sent};
    if (!exchange.out_body.empty()) {
      const std::size_t sent = exchange.out_sent - std::min(exchange.out_sent, exchange.out.size());
      parts[used++] = {exchange.out_body.data() + sent, exchange.out_body.size() - sent};
    }
    ssize_t count = 0;
    if (used == 1) {
      count = ::send(socket_.get(), parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = parts.data();
      message.msg_iovlen = used;
      count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    }
    if (count > 0) {
      exchange.out_sent += static_cast<std::size_t>(count);
      write_since_ = MonotonicTime::max();
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      if (write_since_ == MonotonicTime::max()) write_since_ = MonotonicClock::now();
      return false;
    }
    close();
    return false;
  }
  exchange.out_sent = 0;
  Exchange::keep_small(exchange.out);
  exchange.out_body = {};
  return true;
}

// Small answers of one turn of the loop go out at its end, one after the other: a peer on another
// core is then woken once for all of them. True: they will.
bool Connection::flush_later() {
  if (runs_again_ || !output_pending() || !exchange_->out_body.empty()) return false;
  queue();
  return true;
}

void Connection::queue() {
  queued_ = true;
  loop_->run_later(this);
}

void Connection::become_idle() {
  if (exchange_ == nullptr) return;
  loop_->give_back(std::move(exchange_));
}

// Gives the socket up. The object goes too, but for what still stands on it: advance() or a
// handler, which then frees it.
void Connection::close() {
  if (closed_) return;
  closed_ = true;
  socket_.reset();
  loop_->remove(this);
  if (handling_) {
    // What the stop wakes may end the handler, and with it this object, before the call returns.
    std::stop_source stop = exchange_->stop;
    stop.request_stop();
    return;
  }
  if (exchange_ != nullptr) loop_->give_back(std::move(exchange_));
  if (!on_stack_or_awaited()) loop_->bury(this);
}

}  // namespace seam::http
