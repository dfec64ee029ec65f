#include "http/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/file_descriptor.h"
#include "base/log.h"
#include "http/connection_loop.h"

namespace seam::http {
namespace {

constexpr int kBacklog = 4096;
constexpr nanoseconds kDrainLook =
    milliseconds(5);  // how often drain() looks whether all is closed

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Result<Address> parse_address(const std::string& host, std::uint16_t port) {
  std::string text = host == "localhost" ? "127.0.0.1" : host;
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.size = sizeof(sockaddr_in);
  } else if (::inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.size = sizeof(sockaddr_in6);
  } else {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not an address to listen on: give an IPv4 or IPv6 address, "
                            "0.0.0.0 for all, or localhost",
                            host));
  }
  return address;
}

std::unexpected<Error> fail_bind(const ServerOptions& options, int error_number) {
  switch (error_number) {
    case EADDRINUSE:
      return fail(ErrorCode::kAlreadyExists,
                  fmt::format("port {} of {} is taken by another program: stop that program, or "
                              "choose another port (0 takes any free one)",
                              options.port, options.host));
    case EACCES:
      return fail(ErrorCode::kPermissionDenied,
                  fmt::format("port {} needs privileges to listen on: choose one above 1023",
                              options.port));
    case EADDRNOTAVAIL:
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} is not an address of this machine", options.host));
    default:
      return fail_errno(fmt::format("listen on {}:{}", options.host, options.port), error_number);
  }
}

}  // namespace

struct Server::Impl {
  ServerShared shared;
  std::vector<EventLoop*> loops;
  std::vector<std::shared_ptr<ConnectionLoop>> connection_loops;  // shared with what is posted
  std::uint16_t port = 0;
  bool drained = false;
};

Server::Server(ServerOptions options, const RouteTable& routes, Voice& voice,
               std::span<EventLoop* const> loops)
    : impl_(new Impl{.shared = {.options = std::move(options),
                                .routes = routes,
                                .voice = voice,
                                .metrics = {}},
                     .loops = {loops.begin(), loops.end()},
                     .connection_loops = {}}) {
  CHECK(!impl_->loops.empty());
}

Server::~Server() {
  if (impl_->drained) return;
  for (const auto& connection_loop : impl_->connection_loops) connection_loop->shut_down();
}

Result<void> Server::listen() {
  CHECK(impl_->connection_loops.empty());
  const ServerOptions& options = impl_->shared.options;
  SEAM_ASSIGN_OR_RETURN(Address address, parse_address(options.host, options.port));
  FileDescriptor listener(
      ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!listener) return fail_errno("make a socket to listen on", errno);
  // So that a restart need not wait for old connections to be forgotten. SO_REUSEPORT is left off:
  // with it, a second server could start on the same port unnoticed.
  const int on = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto* const name = reinterpret_cast<sockaddr*>(&address.storage);
  if (::bind(listener.get(), name, address.size) != 0 || ::listen(listener.get(), kBacklog) != 0)
    return fail_bind(options, errno);
  if (::getsockname(listener.get(), name, &address.size) != 0)
    return fail_errno("read the port listened on", errno);
  impl_->port = ntohs(address.storage.ss_family == AF_INET
                          ? reinterpret_cast<sockaddr_in*>(name)->sin_port
                          : reinterpret_cast<sockaddr_in6*>(name)->sin6_port);
  std::vector<std::shared_ptr<ConnectionLoop>> made;
  for (EventLoop* loop : impl_->loops) {
    FileDescriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) return fail_errno("make an epoll descriptor", errno);
    made.push_back(std::make_shared<ConnectionLoop>(*loop, impl_->shared, std::move(epoll)));
  }
  if (options.metrics != nullptr)
    impl_->shared.metrics.emplace(*options.metrics, impl_->shared.routes);
  impl_->connection_loops = made;
  for (std::size_t i = 1; i < made.size(); ++i) {
    made[i]->loop.post(
        [self = made[i], all = made]() mutable { self->start(FileDescriptor(), std::move(all)); });
  }
  // The listener's loop last: by then the others are ready for what it hands over.
  made.front()->loop.post(
      [self = made.front(), all = made, socket = std::move(listener)]() mutable {
        self->start(std::move(socket), std::move(all));
      });
  return {};
}

std::uint16_t Server::port() const { return impl_->port; }
std::size_t Server::connections() const { return impl_->shared.connections; }

Task<> Server::drain(Deadline deadline) {
  EventLoop* const caller = EventLoop::current();
  CHECK(caller != nullptr);
  // The first loop first: it accepts, and what it has handed over reaches the others before this.
  for (std::size_t i = 0; i < impl_->connection_loops.size(); ++i) {
    co_await impl_->connection_loops[i]->loop.schedule();
    impl_->connection_loops[i]->begin_drain();
  }
  co_await caller->schedule();
  while (connections() > 0 && !deadline.passed(MonotonicClock::now()))
    co_await caller->sleep(Deadline::after(kDrainLook));
  if (connections() > 0)
    log_warning("cutting {} connections that did not end in time", connections());
  for (std::size_t i = 0; i < impl_->connection_loops.size(); ++i) {
    co_await impl_->connection_loops[i]->loop.yield();
    impl_->connection_loops[i]->shut_down();
  }
  co_await caller->schedule();
  impl_->drained = true;
}

}  // namespace seam::http
