#include "functions/executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "base/identifier.h"
#include "store/masking.h"

namespace seam::functions {
namespace {

// Hands on what a call gives and keeps the beginning of it for the record. What it prints is shown
// to those who follow it.
class RecordingSink final : public runtimes::CallSink {
 public:
  RecordingSink(runtimes::CallSink& next, store::CallRecord& record, LogHub& logs,
                const Clock& clock)
      : next_(next), record_(record), logs_(logs), clock_(clock), log_(record) {}

  void on_result(std::string_view chunk) override {
    std::string& kept = record_.response_payload;
    // One byte more than is kept, so that encode() sees where to cut.
    if (kept.size() <= store::kPayloadBytesMax)
      kept.append(chunk.substr(0, store::kPayloadBytesMax + 1 - kept.size()));
    next_.on_result(chunk);
  }
  void on_log(runtimes::LogStream stream, std::string_view bytes) override {
    const WallTime now = clock_.wall_now();
    const auto kept = static_cast<store::LogStream>(stream);
    if (logs_.followed()) {
      if (logs_.has_new_follower(live_)) log_.finish();
      logs_.add(record_, live_, kept, now, bytes);
    }
    log_.add(kept, now, bytes);
    next_.on_log(stream, bytes);
  }
  void finish() {
    log_.finish();
    if (logs_.followed()) logs_.finish(record_, live_);
  }

 private:
  runtimes::CallSink& next_;
  store::CallRecord& record_;
  LogHub& logs_;
  const Clock& clock_;
  store::CallLog log_;
  LiveLog live_;
};

std::uint64_t random_bits() {
  thread_local std::mt19937_64 generator{std::random_device{}()};
  return generator();
}

double milliseconds_of(nanoseconds span) {
  return std::chrono::duration<double, std::milli>(span).count();
}

// The implementation's program with the variables of a context beside its own, and its engine
// instead: another program, since a process has one environment and one engine.
runtimes::ProgramPtr with_context(const runtimes::ProgramPtr& program, const CallContext& context) {
  if (context.environment.empty() && context.wish == runtimes::EngineWish{}) return program;
  auto derived = std::make_shared<runtimes::Program>(*program);
  std::string described;
  for (const auto& [name, value] : context.environment) {
    derived->environment.insert_or_assign(name, value);
    described.append(name).append("=").append(value).push_back('\0');
  }
  // Who names an engine names its fallback too, or has none.
  runtimes::EngineWish& wish = derived->wish;
  if (!context.wish.engine.empty()) wish.fallback.clear();
  if (!context.wish.engine.empty()) wish.engine = context.wish.engine;
  if (!context.wish.fallback.empty()) wish.fallback = context.wish.fallback;
  wish.own_process = wish.own_process || context.wish.own_process;
  described.append(fmt::format("{} {} {}", wish.engine, wish.fallback, wish.own_process));
  derived->id = fmt::format("{}+{}", program->id, sha256_hex(described));
  return derived;
}

// Which limit a call met that is out of time, and where it is raised; nothing after an end that
// another limit brought.
void tell_limit(runtimes::Outcome& outcome, milliseconds timeout, std::string_view of) {
  auto* const error = std::get_if<Error>(&outcome.value);
  if (error == nullptr || error->code != ErrorCode::kDeadlineExceeded) return;
  error->message.append(fmt::format(" (timeout_ms is {}, {})", timeout.count(), of));
}

void describe(store::CallRecord& record, const runtimes::Outcome& outcome) {
  const runtimes::CallStats& stats = outcome.stats;
  record.runtime_metrics = fmt::format(
      R"({{"queue_ms":{:.3f},"start_ms":{:.3f},"run_ms":{:.3f},"cold_start":{},"memory_bytes":{},"log_bytes_dropped":{}}})",
      milliseconds_of(stats.queue_time), milliseconds_of(stats.start_time),
      milliseconds_of(stats.run_time), stats.cold_start, stats.memory_bytes,
      stats.log_bytes_dropped);
  if (!stats.engine.empty()) {
    record.runtime_metrics.pop_back();
    record.runtime_metrics.append(R"(,"engine":")").append(stats.engine).append("\"}");
  }
  if (const auto* error = std::get_if<runtimes::FunctionError>(&outcome.value)) {
    record.error_message =
        error->type.empty() ? error->message : fmt::format("{}: {}", error->type, error->message);
    record.stack_trace = error->stack_trace;
  } else if (const auto* host = std::get_if<Error>(&outcome.value)) {
    record.error_message = host->message;
  }
  if (!std::holds_alternative<runtimes::Completed>(outcome.value)) record.response_payload.clear();
}

}  // namespace

Executor::Executor(const ExecutorParts& parts, ExecutorOptions options)
    : registry_(parts.registry),
      sessions_(parts.sessions),
      recorder_(parts.recorder),
      cache_(parts.cache),
      logs_(parts.logs),
      clock_(parts.clock),
      options_(options) {
  for (const auto& [name, runtime] : registry_.runtimes())
    script_series_.emplace(runtime.get(), parts.metrics.of_scripts(name));
}

Task<Result<Executor::Chosen>> Executor::choose(const CallRequest& request,
                                                const CallContext& context) {
  Chosen chosen;
  chosen.timeout = milliseconds(context.timeout_ms.value_or(options_.timeout.count()));
  chosen.timeout_of = context.timeout_ms
                          ? "of its context: raise it there"
                          : "the server's: give more in its context or in the function's limits";
  if (request.session && request.session->script) {
    SEAM_CO_ASSIGN_OR_RETURN(chosen.runtime, registry_.need_runtime(request.session->runtime));
    chosen.program = request.session->script;
    chosen.series = script_series_.at(chosen.runtime);
    co_return chosen;
  }
  const std::string_view name =
      request.session ? std::string_view(request.session->language_title) : request.language_title;
  const std::shared_ptr<const Catalogue> catalogue = registry_.catalogue();
  const FunctionPtr* found = catalogue->find(name);
  if (found == nullptr) co_return fail(ErrorCode::kNotFound, fmt::format("no function '{}'", name));
  const FunctionPtr function = *found;
  const ImplementationPtr* choice =
      request.version ? function->by_version(*request.version) : nullptr;
  if (!request.version) choice = function->choose(function->routes.size() > 1 ? random_bits() : 0);
  if (choice == nullptr) {
    co_return fail(ErrorCode::kNotFound,
                   fmt::format("'{}' has no version {}", name,
                               request.version.value_or(function->row.version)));
  }
  ImplementationPtr implementation = *choice;
  if (!implementation->program) {
    SEAM_CO_ASSIGN_OR_RETURN(implementation, co_await registry_.loaded(function, implementation));
  }
  SEAM_CO_ASSIGN_OR_RETURN(chosen.runtime, registry_.need_runtime(implementation->row.runtime));
  chosen.implementation_id = implementation->row.id;
  chosen.implementation = implementation;
  chosen.cacheable = implementation->options.cacheable;
  chosen.series = implementation->series;
  if (Result<void> known = chosen.runtime->check_wish(context.wish); !known) {
    known.error().message.insert(0, CallContext::kCompileOptionsKey);
    co_return std::unexpected(std::move(known).error());
  }
  chosen.program = with_context(implementation->program, context);
  if (!context.timeout_ms && implementation->options.timeout_ms) {
    chosen.timeout = milliseconds(*implementation->options.timeout_ms);
    chosen.timeout_of = "of the function's limits: raise it there, or in the call's context";
  }
  co_return chosen;
}

std::optional<CacheKeyView> Executor::key_of(const CallRequest& request, const CallContext& context,
                                             const Chosen& chosen, const CallAnswer& answer,
                                             const CacheTerms& terms) const {
  if (!terms.keep) return std::nullopt;
  return cache_.key_of({.implementation_id = chosen.implementation_id,
                        .language_title = answer.language_title,
                        .runtime = chosen.runtime->name(),
                        .script_hash = chosen.program->hash,
                        .subject = context.user_id,
                        .context = context.text,
                        .params = request.params});
}

bool Executor::answer_kept(const CacheKeyView& key, const CacheTerms& terms,
                           runtimes::CallSink& sink, CallAnswer& answer) {
  const KeptResultPtr kept = cache_.find(key, terms);
  if (!kept) return false;
  sink.on_result(kept->json);
  answer.cached = true;
  answer.age = std::chrono::duration_cast<seconds>(clock_.now() - kept->kept_at);
  return true;
}

Task<CallAnswer> Executor::run(const CallRequest& request, runtimes::CallSink& sink) {
  CallAnswer answer;
  answer.call_id = time_ordered_uuid(clock_.wall_now());
  const CallContext& context = request.session ? request.session->context : *request.context;
  answer.language_title =
      request.session ? request.session->language_title : std::string(request.language_title);
  if (!recorder_.ready()) {
    answer.outcome.value =
        Error{ErrorCode::kUnavailable,
              "the journal of records is full: calls wait until it has been written out",
              {}};
    co_return answer;
  }
  Result<Chosen> chosen = co_await choose(request, context);
  if (!chosen) {
    answer.outcome.value = std::move(chosen).error();
    co_return answer;
  }

  if (chosen->implementation) {
    if (Result<void> fits = chosen->implementation->schema.check_params(request.params); !fits) {
      answer.params_refused = true;
      answer.outcome.value = std::move(fits).error();
      chosen->series->observe_unrun("INVALID_PARAMS", clock_.now() - request.received_at);
      co_return answer;
    }
  }

  store::CallRecord& record = answer.record;
  record.call_id = answer.call_id;
  record.has_session = request.session != nullptr;
  record.request_id = request.session ? request.session->request_id : answer.call_id;
  record.language_title = answer.language_title;
  record.implementation_id = chosen->implementation_id;
  record.started_at = clock_.wall_now();
  record.client_ip = request.client_ip;
  record.user_id = context.user_id;
  record.request_headers = request.request_headers;
  store::mask_secrets(request.params, store::kPayloadBytesMax, record.request_payload);

  RecordingSink recording(sink, record, logs_, clock_);
  answer.ran = true;
  const Deadline deadline{request.received_at + chosen->timeout};
  const CacheTerms terms =
      CacheTerms::of(request.cache, context.cacheable, chosen->cacheable, options_.cache);
  const std::optional<CacheKeyView> key = key_of(request, context, *chosen, answer, terms);
  if (!key) {
    const runtimes::Call call{.call_id = answer.call_id,
                              .params = request.params,
                              .context = context.text,
                              .deadline = deadline,
                              .cancelled = request.gone};
    answer.outcome = co_await chosen->runtime->run(chosen->program, call, recording);
  } else if (!answer_kept(*key, terms, recording, answer)) {
    SharedRun run{.runtime = chosen->runtime,
                  .program = chosen->program,
                  .call_id = answer.call_id,
                  .params = std::string(request.params),
                  .context = context.text,
                  .deadline = deadline,
                  .timeout = chosen->timeout,
                  .gone = request.gone};
    RunEnd end = co_await cache_.run(*key, terms, std::move(run), recording);
    answer.cached = !end.own && std::holds_alternative<runtimes::Completed>(end.outcome.value);
    answer.outcome = std::move(end.outcome);
  }
  recording.finish();

  const MonotonicTime ended_at = clock_.now();
  answer.duration = ended_at - request.received_at;
  if (deadline.passed(ended_at)) tell_limit(answer.outcome, chosen->timeout, chosen->timeout_of);
  if (answer.cached) {
    chosen->series->observe_unrun("OK", answer.duration);
  } else {
    chosen->series->observe(answer.outcome, answer.duration);
  }
  record.duration_us =
      static_cast<std::uint64_t>(std::chrono::duration_cast<microseconds>(answer.duration).count());
  std::string response_payload;
  store::mask_secrets(record.response_payload, store::kPayloadBytesMax, response_payload);
  record.response_payload = std::move(response_payload);
  record.cached = answer.cached;
  if (answer.cached) {
    record.runtime_metrics = "{}";  // nothing ran for it
  } else {
    describe(record, answer.outcome);
  }
  if (request.session) {
    record.session_expires_at = sessions_.touch(*request.session);
    if (!context.retain_session) {
      // A session that another request is changing ends by its expiry instead.
      [[maybe_unused]] const Result<void> ended = co_await sessions_.end(request.session);
    }
  }
  co_return answer;
}

}  // namespace seam::functions
