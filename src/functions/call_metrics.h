#pragma once
// What is counted of calls: how many, how they ended, and where their time went, by function and
// runtime. Scripts of sessions share one series a runtime, "(script)"; functions over the limit
// share "(other)".
//
//   std::shared_ptr<const CallSeries> series = metrics.of("nodejs-calculator", "nodejs");  // ahead
//   series->observe(outcome, duration);                                       // for each call

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "metrics/registry.h"
#include "runtimes/runtime.h"

namespace seam::functions {

// Pairs of function and runtime that have series of their own.
inline constexpr std::size_t kFunctionSeriesMax = 1000;
inline constexpr std::string_view kScript = "(script)";

// How a call ended, as the label `code`: the names that clients know from errors, and two more.
inline constexpr std::array<std::string_view, 9> kCallCodes = {
    "OK",          "RUNTIME_ERROR",  "TIMEOUT",
    "UNAVAILABLE", "INVALID_PARAMS", "INVALID_REQUEST",
    "NOT_FOUND",   "CANCELLED",      "INTERNAL_ERROR"};

struct CallFamilies {
  metrics::Family<metrics::Counter> calls;
  metrics::Family<metrics::Counter> cold_starts;
  metrics::Family<metrics::Counter> log_bytes_dropped;
  metrics::Family<metrics::Histogram> durations;
  metrics::Family<metrics::Histogram> stages;
};

// The series of one function in one runtime; they go with it. Any thread.
class CallSeries {
 public:
  CallSeries(const CallFamilies& families, std::string_view function, std::string_view runtime);
  // `duration` is the whole call's. About 20 ns.
  void observe(const runtimes::Outcome& outcome, nanoseconds duration) const;
  // Of a call for which nothing ran, so that it had no stages: one of the result cache ("OK"), or
  // one with params that the function's schema refused ("INVALID_PARAMS").
  void observe_unrun(std::string_view code, nanoseconds duration) const;

 private:
  std::array<metrics::Counter, kCallCodes.size()> calls_;
  metrics::Counter cold_starts_;
  metrics::Counter log_bytes_dropped_;
  metrics::Histogram duration_;
  metrics::Histogram queue_;
  metrics::Histogram start_;
  metrics::Histogram run_;
};
using CallSeriesPtr = std::shared_ptr<const CallSeries>;  // shared: by versions, and by calls in
                                                          // flight when a function is deleted

// Any thread.
class CallMetrics {
 public:
  explicit CallMetrics(metrics::Registry& registry);  // borrowed

  // Takes a lock: ahead of calls.
  [[nodiscard]] CallSeriesPtr of(std::string_view function, std::string_view runtime);
  // Of the scripts of a runtime.
  [[nodiscard]] CallSeriesPtr of_scripts(std::string_view runtime) { return of(kScript, runtime); }

 private:
  CallFamilies families_;
};

}  // namespace seam::functions
