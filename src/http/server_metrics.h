#pragma once
// What the server counts: requests by route, method and status, how long they took, connections and
// bytes. Inside http only.
//
//   ServerMetrics metrics(registry, routes);
//   metrics.answered(match.route, request.method, response.status, now - request.received_at);
//
// thread    any loop; a series is looked up once and then found by its place in an array.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "http/message.h"
#include "http/routes.h"
#include "metrics/registry.h"

namespace seam::http {

class ServerMetrics {
 public:
  // Borrows both. All routes have been added.
  ServerMetrics(metrics::Registry& registry, const RouteTable& routes);

  // `route` is null where the path or method led nowhere; `method` is none where the head could not
  // be read.
  void answered(const RouteTable::Route* route, std::optional<Method> method, int status,
                nanoseconds took);

  metrics::Gauge connections_open;
  metrics::Counter connections_accepted;
  metrics::Counter connections_refused;
  metrics::Counter bytes_received;
  metrics::Counter bytes_sent;

 private:
  static constexpr std::size_t kMethods = 8;    // and one for none
  static constexpr std::size_t kStatuses = 32;  // that are told apart
  // All of one operation. A method other than the route's own is HEAD, or there is no route.
  struct Operation {
    std::string_view name;
    std::array<std::atomic<const metrics::Counter*>, kMethods * kStatuses> requests{};
    std::atomic<const metrics::Histogram*> duration{nullptr};
  };
  const metrics::Counter& make_counter(Operation& operation, std::size_t place,
                                       std::optional<Method> method, int status);

  metrics::Family<metrics::Counter> requests_;
  metrics::Family<metrics::Histogram> durations_;
  std::vector<std::unique_ptr<Operation>>
      operations_;    // by RouteTable::Route::index, then "(none)"
  std::mutex mutex_;  // guards what follows
  std::vector<std::unique_ptr<metrics::Counter>> counters_;
  std::vector<std::unique_ptr<metrics::Histogram>> histograms_;
};

}  // namespace seam::http
