#pragma once
// GET /metrics: what the server counts, for Prometheus. docs/metrics.md lists every metric.
//
//   MetricsApi metrics_api({.registry = registry, …});
//   metrics_api.mount(routes);

#include <string>

#include "base/event_loop.h"
#include "functions/recorder.h"
#include "functions/registry.h"
#include "functions/result_cache.h"
#include "functions/sessions.h"
#include "http/routes.h"
#include "journal/journal.h"
#include "metrics/registry.h"
#include "metrics/text_writer.h"
#include "store/record_drain.h"

namespace seam::api {

// Where /metrics looks; all borrowed. Any handle of `registry` is shown; of the rest, what is
// counted there anyway.
struct MetricsSources {
  const metrics::Registry& registry;
  const functions::RuntimeTable& runtimes;
  const functions::Registry& functions;
  const functions::Sessions& sessions;
  const functions::Recorder& recorder;
  const functions::ResultCache& cache;
  const journal::Journals& journals;
  const store::RecordDrain& drain;
};

// Its handler runs on any of the server's loops and leaves the writing to `loop`, which answers no
// calls: a thousand functions are some megabytes of text.
class MetricsApi {
 public:
  // `version` and `commit` are what build_info says.
  MetricsApi(MetricsSources sources, EventLoop& loop, std::string version, std::string commit);
  void mount(http::RouteTable& routes);

 private:
  Task<http::Response> metrics(http::Request& request, http::Header<"Accept"> accept,
                               http::Query<"family", std::string> families,
                               http::Query<"function", std::string> of);
  void write_gauges(metrics::TextWriter& writer, std::size_t functions) const;
  void write_cache(metrics::TextWriter& writer) const;
  void write_runtimes(metrics::TextWriter& writer,
                      const std::map<std::string, runtimes::RuntimeCounts>& counts) const;

  MetricsSources sources_;
  EventLoop& loop_;
  std::string version_;
  std::string commit_;
};

}  // namespace seam::api
