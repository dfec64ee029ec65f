#include "api/metrics_api.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "metrics/process_metrics.h"

namespace seam::api {

using metrics::Kind;
using metrics::TextWriter;
using runtimes::RuntimeCounts;

namespace {

// Names with commas between them.
std::vector<std::string> names_in(const std::optional<std::string>& list) {
  std::vector<std::string> names;
  std::string_view rest = list ? std::string_view(*list) : std::string_view();
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(','), rest.size());
    if (end > 0) names.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return names;
}

}  // namespace

MetricsApi::MetricsApi(MetricsSources sources, EventLoop& loop, std::string version,
                       std::string commit)
    : sources_(sources), loop_(loop), version_(std::move(version)), commit_(std::move(commit)) {}

void MetricsApi::mount(http::RouteTable& routes) {
  using enum http::Method;
  routes.add({.method = kGet,
              .path = "/metrics",
              .operation = "metrics",
              .summary = "Tells what the server counts, in the text format of Prometheus, or in "
                         "OpenMetrics for whoever asks for it.",
              .responses = {{200, "All metrics.", {}, "text/plain"},
                            {200, "All metrics.", {}, "application/openmetrics-text"}},
              .notes = {{"family", "Only these families: names with commas between them.",
                         R"({"examples":["seam_workers,seam_calls_running"]})"},
                        {"function",
                         "Of series that have a function, only those of these: names with commas "
                         "between them.",
                         R"({"examples":["nodejs-calculator"]})"}}},
             http::bind(this, &MetricsApi::metrics));
}

void MetricsApi::write_gauges(TextWriter& writer, std::size_t functions) const {
  writer.begin_family("seam_build_info", Kind::kGauge, "The version that runs; always 1.");
  writer.begin_series();
  writer.label("version", version_);
  writer.label("commit", commit_);
  writer.value(std::uint64_t{1});
  writer.gauge("seam_functions", "Registered functions.", std::uint64_t{functions});
  writer.gauge("seam_sessions_open", "Open sessions.", std::uint64_t{sources_.sessions.size()});
  const journal::JournalStats journal = sources_.journals.stats();
  writer.gauge("seam_records_waiting",
               "Records of calls in the journal that are not yet in the database.",
               journal.waiting);
  writer.gauge("seam_journal_damaged_segments",
               "Files of the journal that could not be read to their end.",
               journal.damaged_segments);
  writer.counter("seam_records_dropped_total",
                 "Records of calls that could not be kept, since the journal was full.",
                 sources_.recorder.dropped());
  const store::RecordDrainStats drain = sources_.drain.stats();
  writer.counter("seam_records_written_total", "Records of calls written to the database.",
                 drain.written);
  writer.counter("seam_record_write_failures_total",
                 "Batches of records that the database refused; they are tried again.",
                 drain.failures);
  writer.gauge("seam_records_lag_seconds",
               "How old the oldest record is at most that waits to be written; 0 where none waits.",
               std::chrono::duration<double>(drain.lag).count());
}

void MetricsApi::write_cache(TextWriter& writer) const {
  const functions::CacheStats cache = sources_.cache.stats();
  writer.counter("seam_cache_hits_total", "Calls answered with a kept result.", cache.hits);
  writer.counter("seam_cache_misses_total", "Calls that ran, for want of a kept result.",
                 cache.misses);
  writer.counter("seam_cache_coalesced_total", "Calls that waited for the run of an equal call.",
                 cache.coalesced);
  writer.counter("seam_cache_evicted_total", "Results taken away to make room for others.",
                 cache.evicted);
  writer.gauge("seam_cache_bytes", "Bytes that the kept results take.", cache.bytes);
  writer.gauge("seam_cache_entries", "Results kept.", cache.entries);
}

void MetricsApi::write_runtimes(TextWriter& writer,
                                const std::map<std::string, RuntimeCounts>& counts) const {
  struct Field {
    std::string_view name;
    Kind kind;
    std::string_view help;
    std::uint64_t (*value)(const RuntimeCounts&);
  };
  static constexpr std::array<Field, 4> kFields = {
      {{"seam_calls_running", Kind::kGauge, "Calls that run now.",
        [](const RuntimeCounts& c) -> std::uint64_t { return c.running; }},
       {"seam_calls_waiting", Kind::kGauge, "Calls in the queues of their functions.",
        [](const RuntimeCounts& c) -> std::uint64_t { return c.waiting; }},
       {"seam_workers_started_total", Kind::kCounter, "Worker processes started.",
        [](const RuntimeCounts& c) -> std::uint64_t { return c.started; }},
       {"seam_worker_start_failures_total", Kind::kCounter,
        "Worker processes that could not be started.",
        [](const RuntimeCounts& c) -> std::uint64_t { return c.start_failures; }}}};
  for (const Field& field : kFields) {
    writer.begin_family(field.name, field.kind, field.help);
    for (const auto& [name, runtime] : counts) {
      writer.begin_series();
      writer.label("runtime", name);
      writer.value(field.value(runtime));
    }
  }
  writer.begin_family("seam_workers", Kind::kGauge,
                      "Worker processes: warm ones have no function yet, idle ones wait for a "
                      "call, busy ones run one, changing ones start or end.");
  for (const auto& [name, runtime] : counts) {
    // WebAssembly runs in the server: its calls have no worker.
    const std::uint64_t busy = runtime.workers == 0 ? 0 : runtime.running;
    const std::uint64_t known = runtime.warm + runtime.idle + busy;
    const std::array<std::pair<std::string_view, std::uint64_t>, 4> states = {
        {{"warm", runtime.warm},
         {"idle", runtime.idle},
         {"busy", busy},
         {"changing", runtime.workers > known ? runtime.workers - known : 0}}};
    for (const auto& [state, count] : states) {
      writer.begin_series();
      writer.label("runtime", name);
      writer.label("state", state);
      writer.value(count);
    }
  }
  writer.begin_family("seam_runtime_up", Kind::kGauge, "Whether a runtime can run calls: 1 or 0.");
  for (const auto& [name, runtime] : sources_.runtimes) {
    writer.begin_series();
    writer.label("runtime", name);
    writer.value(std::uint64_t{runtime->health().up ? 1U : 0U});
  }
}

Task<http::Response> MetricsApi::metrics(http::Request&, http::Header<"Accept"> accept,
                                         http::Query<"family", std::string> families,
                                         http::Query<"function", std::string> of) {
  TextWriter writer(TextWriter::format_for(accept.value),
                    {.families = names_in(families.value), .functions = names_in(of.value)});
  EventLoop* const caller = EventLoop::current();
  std::map<std::string, RuntimeCounts> counts;
  for (const auto& [name, runtime] : sources_.runtimes)
    counts.emplace(name, co_await runtime->counts());
  const std::size_t functions = sources_.functions.catalogue()->size();
  co_await loop_.schedule();
  write_gauges(writer, functions);
  write_cache(writer);
  write_runtimes(writer, counts);
  sources_.registry.write(writer);
  metrics::write_process_metrics(writer);
  http::Response response;
  response.content_type = writer.content_type();
  response.body = writer.finish();
  co_await caller->schedule();
  co_return response;
}

}  // namespace seam::api
