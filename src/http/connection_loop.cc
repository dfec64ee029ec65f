#include "http/connection_loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/log.h"
#include "http/connection.h"

namespace seam::http {
namespace {

constexpr int kBatch = 128;                    // sockets served by one turn of the loop
constexpr int kAcceptsInTurn = 64;             // connections accepted by one
constexpr std::size_t kExchangesKept = 256;    // about 10 KiB each
constexpr std::size_t kOverloadAnswers = 128;  // connections above the limit that are told so
constexpr nanoseconds kAcceptPause = milliseconds(100);
constexpr nanoseconds kTickMax = milliseconds(250);
constexpr nanoseconds kTickMin = milliseconds(5);

// Often enough to be at most a quarter late.
nanoseconds tick_span(const ServerOptions& options) {
  return std::clamp<nanoseconds>(std::min({options.head_timeout, options.body_timeout,
                                           options.idle_timeout, options.write_timeout}) /
                                     4,
                                 kTickMin, kTickMax);
}

std::string address_text(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
  } else if (address.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
      ::inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text.data(), text.size());
    } else {
      ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    }
  }
  return text.data();
}

}  // namespace

ConnectionLoop::ConnectionLoop(EventLoop& event_loop, ServerShared& shared, FileDescriptor epoll)
    : loop(event_loop),
      shared_(shared),
      epoll_(std::move(epoll)),
      tick_span_(tick_span(shared.options)) {}

ConnectionLoop::~ConnectionLoop() {
  for (Connection* connection : graveyard_) delete connection;
}

void ConnectionLoop::start(FileDescriptor listener,
                           std::vector<std::shared_ptr<ConnectionLoop>> all) {
  if (stopped_) return;
  all_ = std::move(all);
  readiness_.emplace(loop, epoll_.get());
  tick_timer_.emplace(loop);
  accept_timer_.emplace(loop);
  if (listener && !draining_) {
    listener_ = std::move(listener);
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &event) == 0);
  }
  watch();
}

void ConnectionLoop::watch() {
  readiness_->when_readable([this] { on_ready(); });
}

void ConnectionLoop::on_ready() {
  const std::shared_ptr<ConnectionLoop> self = shared_from_this();  // a handler may shut us down
  std::array<epoll_event, kBatch> events;
  const int ready = ::epoll_wait(epoll_.get(), events.data(), kBatch, 0);
  in_batch_ = true;
  for (int i = 0; i < ready && !stopped_; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      accept_some();
    } else {
      static_cast<Connection*>(event.data.ptr)->on_events(event.events);
    }
  }
  in_batch_ = false;
  for (Connection* connection : std::exchange(graveyard_, {})) delete connection;
  if (!stopped_) watch();
}

void ConnectionLoop::accept_some() {
  for (int i = 0; i < kAcceptsInTurn && listener_; ++i) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    FileDescriptor socket(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size,
                                    SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      hand_over(std::move(socket), address_text(address));
      continue;
    }
    if (errno == EAGAIN) return;
    // These say that there is no room now; the others, that one connection failed before it began.
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
      return pause_accepting(errno);
  }
}

void ConnectionLoop::pause_accepting(int error_number) {
  log_warning("cannot accept connections for a moment: {} ({} are open)",
              std::strerror(error_number), shared_.connections.load());
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_.get(), nullptr);
  accept_timer_->start(Deadline::after(kAcceptPause), [this] {
    if (!listener_) return;
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &event);
  });
}

void ConnectionLoop::hand_over(FileDescriptor socket, std::string remote_address) {
  const std::size_t open = shared_.connections.load(std::memory_order_relaxed);
  const std::size_t most = shared_.options.connections_max;
  const bool overloaded = open >= most;
  if (shared_.metrics)
    (overloaded ? shared_.metrics->connections_refused : shared_.metrics->connections_accepted)
        .add();
  if (open >= most + kOverloadAnswers) return;
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const std::shared_ptr<ConnectionLoop>& emptiest =
      *std::ranges::min_element(all_, {}, [](const auto& one) { return one->count.load(); });
  ++emptiest->count;
  ++shared_.connections;
  if (emptiest.get() == this) return add(std::move(socket), std::move(remote_address), overloaded);
  emptiest->loop.post(
      [to = emptiest, socket = std::move(socket), address = std::move(remote_address),
       overloaded]() mutable { to->add(std::move(socket), std::move(address), overloaded); });
}

void ConnectionLoop::add(FileDescriptor socket, std::string remote_address, bool overloaded) {
  if (stopped_) return;
  auto connection = std::make_unique<Connection>(shared_from_this(), std::move(socket),
                                                 std::move(remote_address), overloaded);
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                    .data = {.ptr = connection.get()}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection->fd(), &event) != 0) {
    log_warning("cannot watch a connection: {}", std::strerror(errno));
    --count;
    --shared_.connections;
    return;
  }
  if (shared_.metrics) shared_.metrics->connections_open.add(1);
  Connection* const added = connection.release();
  added->place = connections_.size();
  connections_.push_back(added);
  if (!ticking_) {
    ticking_ = true;
    tick_timer_->start(Deadline::after(tick_span_), [this] { tick(); });
  }
  added->advance();
}

void ConnectionLoop::tick() {
  const std::shared_ptr<ConnectionLoop> self = shared_from_this();  // a handler may shut us down
  const MonotonicTime now = MonotonicClock::now();
  // From the back: a connection that closes puts the last one in its place.
  for (std::size_t i = connections_.size(); i-- > 0;)
    if (i < connections_.size()) connections_[i]->on_tick(now);
  ticking_ = !connections_.empty();
  if (ticking_ && !stopped_) tick_timer_->start(Deadline::after(tick_span_), [this] { tick(); });
}

void ConnectionLoop::begin_drain() {
  draining_ = true;
  listener_.reset();
  for (std::size_t i = connections_.size(); i-- > 0;)
    if (i < connections_.size()) connections_[i]->on_drain();
}

void ConnectionLoop::shut_down() {
  draining_ = true;
  listener_.reset();
  while (!connections_.empty()) connections_.back()->cut();
  stopped_ = true;
  readiness_.reset();
  tick_timer_.reset();
  accept_timer_.reset();
  all_.clear();
}

std::unique_ptr<Exchange> ConnectionLoop::take_exchange() {
  if (free_.empty()) return std::make_unique<Exchange>();
  std::unique_ptr<Exchange> exchange = std::move(free_.back());
  free_.pop_back();
  return exchange;
}

void ConnectionLoop::give_back(std::unique_ptr<Exchange> exchange) {
  if (free_.size() == kExchangesKept) return;
  exchange->reset();
  free_.push_back(std::move(exchange));
}

void ConnectionLoop::remove(Connection* connection) {
  Connection* const last = connections_.back();
  last->place = connection->place;
  connections_[connection->place] = last;
  connections_.pop_back();
  if (shared_.metrics) shared_.metrics->connections_open.add(-1);
  --count;
  --shared_.connections;
}

void ConnectionLoop::bury(Connection* connection) {
  // A later event of the batch may still name it.
  if (in_batch_) {
    graveyard_.push_back(connection);
  } else {
    delete connection;
  }
}

void ConnectionLoop::run_later(Connection* connection) {
  queued_.push_back(connection);
  if (queued_.size() == 1) loop.post([self = shared_from_this()] { self->run_queued(); });
}

// None of them is freed before it had its turn.
void ConnectionLoop::run_queued() {
  for (Connection* connection : std::exchange(queued_, {})) connection->run_again();
}

}  // namespace seam::http
