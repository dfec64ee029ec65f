#pragma once
// The way of one call behind the door: find session, function and version, choose by the route,
// run, and leave a record.
//
//   CallAnswer answer = co_await executor.run(request, sink);
//   answer.record.status_code = …;  executor.record(answer.record);      // before the answer is
//   written

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/task.h"
#include "functions/cache_control.h"
#include "functions/log_hub.h"
#include "functions/recorder.h"
#include "functions/registry.h"
#include "functions/result_cache.h"
#include "functions/sessions.h"
#include "runtimes/runtime.h"
#include "store/call_record.h"

namespace seam::functions {

// The views are borrowed until run() has returned.
struct CallRequest {
  SessionPtr session;                    // null: a call without one
  std::string_view language_title;       // of the function, where there is no session
  std::optional<std::int64_t> version;   // instead of the routed one
  const CallContext* context = nullptr;  // of this call; null with a session, whose own is taken
  std::string_view params;               // checked JSON
  std::string_view client_ip;
  std::string request_headers;  // JSON object of those that are recorded
  CacheControl cache = {};
  MonotonicTime received_at;
  std::stop_token gone;
};

struct CallAnswer {
  std::string call_id;
  std::string language_title;
  runtimes::Outcome outcome;
  nanoseconds duration{0};      // from received_at
  bool ran = false;             // a runtime was asked, or the cache; false: nothing is recorded
  bool params_refused = false;  // the outcome's error says where they break the function's schema
  bool cached = false;          // completed by a kept result, or by the run of an equal call
  seconds age{0};               // of a kept result
  store::CallRecord record;     // all but status_code and error_code, which are the door's to say
};

struct ExecutorOptions {
  milliseconds timeout{30'000};  // of a call whose context and function name none
  CachePolicy cache;
};

// What an executor works with; borrowed until it is gone.
struct ExecutorParts {
  Registry& registry;
  Sessions& sessions;
  Recorder& recorder;
  ResultCache& cache;
  LogHub& logs;
  CallMetrics& metrics;
  const Clock& clock;
};

// Any of the loops.
class Executor {
 public:
  Executor(const ExecutorParts& parts, ExecutorOptions options);

  // errors in the outcome beside the runtime's: kNotFound (no such function or version),
  // kInvalidArgument (no such runtime, or params that break the schema), kUnavailable (records
  // cannot be kept now)
  [[nodiscard]] Task<CallAnswer> run(const CallRequest& request, runtimes::CallSink& sink);

  // Shows each call at its end, on its loop, with the status that its client gets. Before the first
  // call.
  void observe(std::function<void(const CallAnswer& answer, int status)> observer) {
    observer_ = std::move(observer);
  }
  void ended(const CallAnswer& answer, int status) const {
    if (observer_) observer_(answer, status);
  }

  // False: the record cannot be kept, and the answer must say so.
  [[nodiscard]] bool record(const store::CallRecord& record) { return recorder_.append(record); }

 private:
  struct Chosen {
    runtimes::Runtime* runtime = nullptr;
    runtimes::ProgramPtr program;
    ImplementationPtr implementation;  // null: a session's script
    CallSeriesPtr series;
    std::int64_t implementation_id = 0;
    milliseconds timeout{0};
    std::string_view timeout_of;  // who set it and where it is raised, for a message; static
    std::optional<bool> cacheable;
  };
  Task<Result<Chosen>> choose(const CallRequest& request, const CallContext& context);
  // Nothing: the cache has no part in this call. Valid until the next on this thread.
  [[nodiscard]] std::optional<CacheKeyView> key_of(const CallRequest& request,
                                                   const CallContext& context, const Chosen& chosen,
                                                   const CallAnswer& answer,
                                                   const CacheTerms& terms) const;
  [[nodiscard]] bool answer_kept(const CacheKeyView& key, const CacheTerms& terms,
                                 runtimes::CallSink& sink, CallAnswer& answer);

  Registry& registry_;
  Sessions& sessions_;
  Recorder& recorder_;
  ResultCache& cache_;
  LogHub& logs_;
  const Clock& clock_;
  ExecutorOptions options_;
  std::map<const runtimes::Runtime*, CallSeriesPtr> script_series_;
  std::function<void(const CallAnswer&, int)> observer_;
};

}  // namespace seam::functions
