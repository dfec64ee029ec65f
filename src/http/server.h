#pragma once
// The HTTP/1.1 server: one listener, and connections that each stay on the loop they were given to.
//
//   Server server(options, routes, voice, loops);
//   SEAM_RETURN_IF_ERROR(server.listen());
//   …
//   co_await server.drain(Deadline::after(seconds(30)));
//
// source    RFC 9110, RFC 9112.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/result.h"
#include "http/message.h"
#include "http/routes.h"
#include "metrics/registry.h"

namespace seam::http {

struct ServerOptions {
  std::string host = "127.0.0.1";           // an IPv4 or IPv6 address, or "localhost"
  std::uint16_t port = 8080;                // 0: any free one, see Server::port()
  std::size_t connections_max = 20'000;     // more are accepted, answered 503 and closed
  std::size_t head_bytes_max = 32U << 10U;  // request line and fields; 431 above it
  std::size_t fields_max = 100;             // 431 above it
  std::size_t pipelined_max = 32;           // read ahead on one connection
  nanoseconds head_timeout =
      seconds(10);  // from the first byte of a request to the end of its head; 408
  nanoseconds body_timeout =
      seconds(30);  // without progress of at least 1 KiB/s on average beyond it; 408
  nanoseconds idle_timeout = seconds(75);   // between requests; closed
  nanoseconds write_timeout = seconds(30);  // without progress in a response; closed
  metrics::Registry* metrics = nullptr;     // borrowed; null: nothing is counted
};

class Server {
 public:
  // Borrows all but the options until it is gone. Connections are spread over `loops` to the one
  // that has fewest.
  Server(ServerOptions options, const RouteTable& routes, Voice& voice,
         std::span<EventLoop* const> loops);
  ~Server();  // after drain(), or when the loops have stopped

  // Binds and listens; refuses a port that another process serves.
  // errors    kAlreadyExists      the port is taken; kInvalidArgument   not an address;
  // kPermissionDenied   a port below 1024
  [[nodiscard]] Result<void> listen();
  [[nodiscard]] std::uint16_t port() const;
  [[nodiscard]] std::size_t connections() const;  // open now; any thread

  // Stops accepting, answers what has been received with `Connection: close`, closes idle
  // connections, and returns when all are closed or the deadline has passed, when the rest are cut.
  // Any loop; resumes on it.
  [[nodiscard]] Task<> drain(Deadline deadline);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace seam::http
