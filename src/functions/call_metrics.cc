#include "functions/call_metrics.h"

#include <algorithm>

namespace seam::functions {
namespace {

std::string_view code_of(const runtimes::Outcome& outcome) {
  if (std::holds_alternative<runtimes::Completed>(outcome.value)) return "OK";
  if (std::holds_alternative<runtimes::FunctionError>(outcome.value)) return "RUNTIME_ERROR";
  switch (std::get<Error>(outcome.value).code) {
    case ErrorCode::kDeadlineExceeded:
      return "TIMEOUT";
    case ErrorCode::kUnavailable:
    case ErrorCode::kFailedPrecondition:
      return "UNAVAILABLE";
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kOutOfRange:
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kAborted:
    case ErrorCode::kAlreadyExists:
      return "INVALID_REQUEST";
    case ErrorCode::kNotFound:
      return "NOT_FOUND";
    case ErrorCode::kCancelled:
      return "CANCELLED";
    default:
      return "INTERNAL_ERROR";
  }
}

std::size_t place_of(std::string_view code) {
  return static_cast<std::size_t>(std::ranges::find(kCallCodes, code) - kCallCodes.begin());
}

}  // namespace

CallSeries::CallSeries(const CallFamilies& families, std::string_view function,
                       std::string_view runtime)
    : cold_starts_(families.cold_starts.with({function, runtime})),
      log_bytes_dropped_(families.log_bytes_dropped.with({function, runtime})),
      duration_(families.durations.with({function, runtime})),
      queue_(families.stages.with({function, runtime, "queue"})),
      start_(families.stages.with({function, runtime, "start"})),
      run_(families.stages.with({function, runtime, "run"})) {
  for (std::size_t i = 0; i < kCallCodes.size(); ++i)
    calls_[i] = families.calls.with({function, runtime, kCallCodes[i]});
}

void CallSeries::observe(const runtimes::Outcome& outcome, nanoseconds duration) const {
  calls_[place_of(code_of(outcome))].add();
  duration_.observe(duration);
  const runtimes::CallStats& stats = outcome.stats;
  queue_.observe(stats.queue_time);
  if (stats.run_time.count() > 0) run_.observe(stats.run_time);
  if (stats.cold_start) {
    cold_starts_.add();
    start_.observe(stats.start_time);
  }
  if (stats.log_bytes_dropped > 0) log_bytes_dropped_.add(stats.log_bytes_dropped);
}

void CallSeries::observe_unrun(std::string_view code, nanoseconds duration) const {
  calls_[place_of(code)].add();
  duration_.observe(duration);
}

CallMetrics::CallMetrics(metrics::Registry& registry)
    : families_{
          .calls = registry.counters({.name = "seam_function_calls_total",
                                      .help = "Calls that reached a function, by how they ended.",
                                      .labels = {"function", "runtime", "code"},
                                      .series_max = kFunctionSeriesMax * kCallCodes.size(),
                                      .hide_empty = true}),
          .cold_starts =
              registry.counters({.name = "seam_function_cold_starts_total",
                                 .help = "Calls that found no warm worker or compiled module.",
                                 .labels = {"function", "runtime"},
                                 .series_max = kFunctionSeriesMax,
                                 .hide_empty = true}),
          .log_bytes_dropped =
              registry.counters({.name = "seam_function_log_dropped_bytes_total",
                                 .help = "Bytes that functions printed above their limit.",
                                 .labels = {"function", "runtime"},
                                 .series_max = kFunctionSeriesMax,
                                 .hide_empty = true}),
          .durations = registry.histograms(
              {.name = "seam_function_call_duration_seconds",
               .help = "Whole calls: from the end of the request's head to their outcome.",
               .labels = {"function", "runtime"},
               .series_max = kFunctionSeriesMax,
               .hide_empty = true}),
          .stages = registry.histograms(
              {.name = "seam_function_stage_duration_seconds",
               .help = "Parts of calls: waiting for a worker (queue), starting one or compiling "
                       "(start, cold calls only), in the function (run).",
               .labels = {"function", "runtime", "stage"},
               .series_max = kFunctionSeriesMax * 3,
               .hide_empty = true})} {}

CallSeriesPtr CallMetrics::of(std::string_view function, std::string_view runtime) {
  return std::make_shared<const CallSeries>(families_, function, runtime);
}

}  // namespace seam::functions
