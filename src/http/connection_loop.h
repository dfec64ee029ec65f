#pragma once
// What the connections of one event loop share: the epoll descriptor that watches their sockets,
// a pool of exchanges, the tick that looks at their deadlines, and the listener on the first loop.
// Inside http only.
//
// Each socket is registered once, edge-triggered, with an epoll descriptor of http's own, which is
// itself watched by the event loop. So a turn of the loop serves every socket that is ready, and a
// request costs one recv and one send, with no call to arm or re-arm anything.
//
// thread    the loop's, but for what is marked.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "http/response_writer.h"
#include "http/routes.h"
#include "http/server.h"
#include "http/server_metrics.h"

namespace seam::http {

class Connection;
struct Exchange;

// What every connection of a server sees.
struct ServerShared {
  ServerOptions options;
  const RouteTable& routes;
  Voice& voice;
  std::atomic<std::size_t> connections{0};
  std::optional<ServerMetrics> metrics;  // made when the server listens, with all routes there
};

class ConnectionLoop : public std::enable_shared_from_this<ConnectionLoop> {
 public:
  // Any thread. `shared` is borrowed.
  ConnectionLoop(EventLoop& loop, ServerShared& shared, FileDescriptor epoll);
  ConnectionLoop(const ConnectionLoop&) = delete;
  ConnectionLoop& operator=(const ConnectionLoop&) = delete;
  ~ConnectionLoop();

  // Begins to watch. With a listener it accepts too, and gives each socket to the emptiest of
  // `all`.
  void start(FileDescriptor listener, std::vector<std::shared_ptr<ConnectionLoop>> all);
  void add(FileDescriptor socket, std::string remote_address, bool overloaded);
  // Stops accepting and closes what is idle; the others close after the answer in hand.
  void begin_drain();
  // Cuts every connection and stops watching. Handlers that still run have their request's `gone`
  // requested and end by themselves.
  void shut_down();

  // For Connection.
  [[nodiscard]] ServerShared& shared() { return shared_; }
  [[nodiscard]] bool draining() const { return draining_; }
  [[nodiscard]] std::string_view date() { return date_.now(); }
  [[nodiscard]] std::unique_ptr<Exchange> take_exchange();
  void give_back(std::unique_ptr<Exchange> exchange);
  // The connection is closed: it leaves the list, and is freed once it cannot be on the stack.
  void remove(Connection* connection);
  void bury(Connection* connection);
  // Runs `connection` again after the others had their turn, together with all that ask for it.
  void run_later(Connection* connection);

  EventLoop& loop;
  std::atomic<std::size_t> count{0};  // of connections given to this loop; any thread

 private:
  void watch();
  void run_queued();
  void on_ready();
  void accept_some();
  void pause_accepting(int error_number);
  void tick();
  void hand_over(FileDescriptor socket, std::string remote_address);

  ServerShared& shared_;
  FileDescriptor epoll_;
  FileDescriptor listener_;
  std::optional<Readiness> readiness_;
  std::optional<Timer> tick_timer_;
  std::optional<Timer> accept_timer_;
  bool ticking_ = false;
  bool draining_ = false;
  bool stopped_ = false;
  bool in_batch_ = false;
  nanoseconds tick_span_;
  DateField date_;
  std::vector<std::shared_ptr<ConnectionLoop>>
      all_;                               // shared with closures that are posted to them
  std::vector<Connection*> connections_;  // owned; each knows its place
  std::vector<Connection*> graveyard_;    // owned
  std::vector<Connection*> queued_;       // for run_queued()
  std::vector<std::unique_ptr<Exchange>> free_;
};

}  // namespace seam::http
