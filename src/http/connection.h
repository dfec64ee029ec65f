#pragma once
// One connection: a state machine that reads requests, runs their handlers and writes the answers
// in order. Inside http only.
//
// Bytes come into its exchange's buffer; each complete request there is answered in turn, the
// answers gather in one string, and one send writes them when no further request is complete or a
// handler waits. An idle connection holds no exchange, so it costs a socket and some 200 bytes.
//
// thread    its loop's.

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "http/connection_loop.h"
#include "http/exchange.h"
#include "http/message.h"
#include "http/request_parser.h"

namespace seam::http {

class Connection {
 public:
  Connection(std::shared_ptr<ConnectionLoop> loop, FileDescriptor socket,
             std::string remote_address, bool overloaded);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  [[nodiscard]] int fd() const { return socket_.get(); }
  void on_events(std::uint32_t events);
  void advance();
  void on_tick(MonotonicTime now);
  void on_drain();
  void cut() { close(); }
  void run_again();

  std::size_t place = 0;  // in ConnectionLoop's list

 private:
  enum class Phase : std::uint8_t { kHead, kBody, kHandler, kStream, kClosing, kLingering };
  enum class Step : std::uint8_t { kAgain, kWait };

  [[nodiscard]] bool on_stack_or_awaited() const { return advancing_ || handling_ || queued_; }
  Step step();
  Step read_head();
  Step begin_request(std::size_t head_bytes);
  std::optional<Refusal> check_route(const RouteTable::Match& match);
  Step read_body();
  Step run_handler();
  void finish_handler(Response response);
  void respond(Response response);
  void begin_stream(Response response);
  Step continue_stream();
  void take_part(std::string part);
  void end_stream();
  void refuse_and_close(const Refusal& refusal, bool head_known);
  void answer_without_body(Response response);
  void end_request();
  [[nodiscard]] bool closes_after_this() const;
  [[nodiscard]] bool receive();
  [[nodiscard]] bool receive_into_body();
  [[nodiscard]] bool received(std::ptrdiff_t count, std::size_t room);
  [[nodiscard]] bool output_pending() const;
  [[nodiscard]] bool flush();
  bool flush_later();
  void queue();
  Step linger();
  void start_closing(bool lingering);
  void become_idle();
  void close();

  std::shared_ptr<ConnectionLoop> loop_;  // shared: a handler may end after the server is gone
  FileDescriptor socket_;
  std::string remote_address_;
  std::unique_ptr<Exchange> exchange_;
  RouteTable::Match match_;
  BodyDecoder body_;
  std::size_t body_bytes_max_ = 0;
  std::size_t head_end_ = 0;  // of the request in hand, in the buffer
  std::size_t scanned_ = 0;
  std::size_t answered_in_turn_ = 0;
  std::size_t lingered_bytes_ = 0;
  MonotonicTime phase_since_;
  MonotonicTime write_since_ = MonotonicTime::max();  // last progress of a send that has to wait
  Phase phase_ = Phase::kHead;
  bool may_read_ = true;        // the socket may hold bytes
  bool peer_finished_ = false;  // the peer has shut down its side
  bool at_end_ = false;         // and all its bytes are read
  bool advancing_ = false;
  bool handling_ = false;
  bool queued_ = false;      // in run_later()
  bool runs_again_ = false;  // from there: what is gathered goes out now
  bool closed_ = false;
  bool close_after_ = false;  // after the response in hand
  bool linger_ = false;
  bool discard_body_ = false;  // the route takes none
  bool chunked_ = false;       // how the stream in hand is coded
};

}  // namespace seam::http
