// The part of a connection that sends a body which comes over time.
//
// A part is asked for when the socket has taken the ones before it; then the handler's stream is
// awaited as a handler is (handling_), so whatever ends a waiting handler ends it too. An exchange
// that goes with its connection takes its stream along.

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "http/connection.h"

namespace seam::http {
namespace {

// Parts sent before the other connections of the loop have their turn.
constexpr std::size_t kPartsInTurn = 16;

// A stream may be silent for hours, so that nothing else would tell of a client that has vanished:
// after a minute it is asked, and is gone after three unanswered questions.
void watch_silent_client(int socket) {
  constexpr int kOn = 1;
  constexpr int kSilentSeconds = 60;
  constexpr int kBetweenSeconds = 20;
  constexpr int kQuestions = 3;
  ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &kOn, sizeof kOn);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPIDLE, &kSilentSeconds, sizeof kSilentSeconds);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPINTVL, &kBetweenSeconds, sizeof kBetweenSeconds);
  ::setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &kQuestions, sizeof kQuestions);
}

}  // namespace

void Connection::begin_stream(Response response) {
  Exchange& exchange = *exchange_;
  chunked_ = !exchange.head.version_1_0;
  // Without chunks, only the end of the connection can end the body.
  if (!chunked_ || closes_after_this()) close_after_ = true;
  const bool without_body = exchange.head.method == Method::kHead;
  response.body.clear();
  append_response(exchange.out, response,
                  {.date = loop_->date(),
                   .without_body = true,
                   .close = close_after_,
                   .chunked = chunked_,
                   .until_close = !chunked_});
  ++answered_in_turn_;
  if (without_body) return end_stream();
  exchange.stream = std::move(response.stream);
  phase_ = Phase::kStream;
  watch_silent_client(socket_.get());
}

Connection::Step Connection::continue_stream() {
  if (handling_ || !flush()) return Step::kWait;
  if (answered_in_turn_ >= kPartsInTurn) {
    queue();
    return Step::kWait;
  }
  if (peer_finished_ || loop_->draining()) exchange_->stop.request_stop();
  handling_ = true;
  start(exchange_->stream->next(), [this](std::string part) { take_part(std::move(part)); });
  return handling_ ? Step::kWait : Step::kAgain;
}

void Connection::take_part(std::string part) {
  handling_ = false;
  if (closed_) {
    if (!on_stack_or_awaited()) loop_->bury(this);
    return;
  }
  Exchange& exchange = *exchange_;
  ++answered_in_turn_;
  if (part.empty()) {
    if (chunked_) exchange.out += "0\r\n\r\n";
    exchange.stream.reset();
    end_stream();
  } else if (chunked_) {
    fmt::format_to(std::back_inserter(exchange.out), "{:x}\r\n{}\r\n", part.size(), part);
  } else {
    exchange.out += part;
  }
  if (!advancing_) advance();
}

// Ends the request whose answer was a stream.
void Connection::end_stream() {
  if (close_after_ || (loop_->draining() && exchange_->in.size() == 0)) {
    start_closing(loop_->draining() || exchange_->in.size() > 0);
  } else {
    phase_since_ = MonotonicClock::now();
    end_request();
  }
}

}  // namespace seam::http
