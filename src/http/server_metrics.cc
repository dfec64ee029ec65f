#include "http/server_metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace seam::http {
namespace {

constexpr std::string_view kNone = "(none)";

// The statuses that this server gives. Any other shares the last place, as "other".
constexpr std::array<int, 31> kKnown = {200, 201, 202, 204, 206, 301, 302, 304, 307, 308, 400,
                                        401, 403, 404, 405, 406, 408, 409, 413, 415, 416, 417,
                                        422, 429, 431, 499, 500, 501, 503, 504, 505};

std::size_t place_of(int status) {
  return static_cast<std::size_t>(std::ranges::find(kKnown, status) - kKnown.begin());
}

}  // namespace

ServerMetrics::ServerMetrics(metrics::Registry& registry, const RouteTable& routes)
    : connections_open(
          registry.gauges({.name = "seam_http_connections_open", .help = "Open connections."})
              .one()),
      connections_accepted(registry
                               .counters({.name = "seam_http_connections_accepted_total",
                                          .help = "Connections accepted."})
                               .one()),
      connections_refused(
          registry
              .counters({.name = "seam_http_connections_refused_total",
                         .help = "Connections answered 503 and closed, since too many were open."})
              .one()),
      bytes_received(registry
                         .counters({.name = "seam_http_received_bytes_total",
                                    .help = "Bytes read from connections."})
                         .one()),
      bytes_sent(registry
                     .counters({.name = "seam_http_sent_bytes_total",
                                .help = "Bytes written to connections."})
                     .one()),
      requests_(registry.counters({.name = "seam_http_requests_total",
                                   .help = "Requests answered.",
                                   .labels = {"operation", "method", "status"}})),
      durations_(registry.histograms(
          {.name = "seam_http_request_duration_seconds",
           .help = "From the end of a request's head to the beginning of its answer.",
           .labels = {"operation"}})) {
  for (const std::string_view operation : routes.operations()) {
    operations_.push_back(std::make_unique<Operation>());
    operations_.back()->name = operation;
  }
  operations_.push_back(std::make_unique<Operation>());
  operations_.back()->name = kNone;
}

const metrics::Counter& ServerMetrics::make_counter(Operation& operation, std::size_t place,
                                                    std::optional<Method> method, int status) {
  const std::scoped_lock lock(mutex_);
  if (const metrics::Counter* there = operation.requests[place].load(std::memory_order_acquire))
    return *there;
  const bool known = place % kStatuses < kKnown.size();
  counters_.push_back(std::make_unique<metrics::Counter>(
      requests_.with({operation.name, method ? to_string(*method) : kNone,
                      known ? fmt::format("{}", status) : std::string("other")})));
  operation.requests[place].store(counters_.back().get(), std::memory_order_release);
  if (operation.duration.load(std::memory_order_relaxed) == nullptr) {
    histograms_.push_back(std::make_unique<metrics::Histogram>(durations_.with({operation.name})));
    operation.duration.store(histograms_.back().get(), std::memory_order_release);
  }
  return *counters_.back();
}

void ServerMetrics::answered(const RouteTable::Route* route, std::optional<Method> method,
                             int status, nanoseconds took) {
  Operation& operation = *operations_[route == nullptr ? operations_.size() - 1 : route->index];
  const std::size_t place =
      (method ? static_cast<std::size_t>(*method) : kMethods - 1) * kStatuses + place_of(status);
  const metrics::Counter* counter = operation.requests[place].load(std::memory_order_acquire);
  if (counter == nullptr) [[unlikely]]
    counter = &make_counter(operation, place, method, status);
  counter->add();
  operation.duration.load(std::memory_order_acquire)->observe(took);
}

}  // namespace seam::http
