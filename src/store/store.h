#pragma once
// What survives a restart: functions with their versions, implementations and routes, sessions with
// their scripts, and the records of calls. The rest of Seam sees this interface; store/sqlite is
// the embedded default.
//
//   SEAM_CO_ASSIGN_OR_RETURN(Snapshot snapshot, co_await store.load());
//
// Calls come from any loop and resume on it; the work is done on the store's own threads (one
// writer, which groups what waits into one transaction; some readers). Nothing here is on the way
// of a call but records, and those go through the journal. Every operation can fail with
// kUnavailable (the database is locked or gone, the disk is full, or kWaitingMax operations wait
// already: retry), kResourceExhausted (larger than the database takes) and kDataLoss (the file is
// damaged; the message says what to do).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "store/call_query.h"
#include "store/call_record.h"

namespace seam::store {

struct FunctionRow {
  std::int64_t id = 0;
  std::string language;        // "nodejs"
  std::string title;           // "calculator"
  std::string language_title;  // "nodejs-calculator", unique among active ones
  std::string description;
  std::vector<std::string> tags;
  std::int64_t version = 0;  // the newest
  WallTime created_at;
  WallTime updated_at;
  std::string created_by;
};

struct ImplementationRow {
  std::int64_t id = 0;
  std::int64_t function_id = 0;
  std::int64_t version = 0;  // of the function; immutable once written
  std::string runtime;       // "nodejs"
  std::string engine;        // "wasmtime", or empty
  std::string hash;          // SHA-256 of the content, hexadecimal
  std::string options;       // JSON object: entry, limits, environment, concurrency, cacheable,
                             // idempotent, description, …
  std::string schema;        // JSON object {"params": …, "result": …}, or empty
  std::string examples;      // JSON array, or empty
  std::uint64_t content_bytes = 0;
  WallTime created_at;
};

struct RouteRow {
  std::int64_t function_id = 0;
  std::int64_t implementation_id = 0;
  double weight = 1;    // share of the calls
  bool shadow = false;  // gets a copy of the calls; its answers are not the caller's
};

struct SessionRow {
  std::string request_id;
  std::string language_title;
  std::string user_id;
  std::string status;          // "initialized", "ended"
  std::string context;         // JSON object
  std::string script_content;  // empty: the registered function
  std::string script_hash;
  std::string compile_options;  // JSON object, or empty
  WallTime created_at;
  WallTime expires_at;
  std::optional<WallTime> last_executed_at;
  std::int64_t execution_count = 0;
  std::int64_t lifetime_seconds = 3600;  // from the last execute
};

// Everything the server keeps in memory, as of one moment.
struct Snapshot {
  std::vector<FunctionRow> functions;  // active ones
  std::vector<ImplementationRow> implementations;
  std::vector<RouteRow> routes;
  std::vector<SessionRow> sessions;  // not ended, not expired
};

// One `PUT /functions/…`: makes the function if it is new, and always a new version with one
// implementation and a route to it.
struct NewVersion {
  FunctionRow function;  // id and version are ignored
  ImplementationRow implementation;
  std::string content;
};

struct VersionWritten {
  FunctionRow function;
  ImplementationRow implementation;
  bool created = false;  // the function is new
};

class Store {
 public:
  static constexpr std::size_t kWaitingMax = 4096;

  virtual ~Store() = default;

  [[nodiscard]] virtual Task<Result<Snapshot>> load() = 0;
  // errors    kNotFound   no such implementation
  [[nodiscard]] virtual Task<Result<std::string>> load_content(std::int64_t implementation_id) = 0;

  [[nodiscard]] virtual Task<Result<VersionWritten>> put_version(NewVersion version) = 0;
  // Replaces all routes of the function.
  // errors    kNotFound   no such function or implementation
  [[nodiscard]] virtual Task<Result<void>> set_routes(std::int64_t function_id,
                                                      std::vector<RouteRow> routes) = 0;
  // Marks it inactive; its versions stay for the records that name them. A later put of the name
  // begins a new function.
  [[nodiscard]] virtual Task<Result<void>> delete_function(std::int64_t function_id) = 0;

  // Inserts or replaces. Durable against the end of the process when it returns.
  [[nodiscard]] virtual Task<Result<void>> put_session(SessionRow session) = 0;
  [[nodiscard]] virtual Task<Result<void>> delete_session(std::string request_id) = 0;

  // Whether the database answers; for /health.
  [[nodiscard]] virtual Task<Result<void>> ping() = 0;

  // Records of calls, newest first by their start. What was answered and not yet drained is not
  // there: see RecordDrain::settled().
  [[nodiscard]] virtual Task<Result<CallPage>> find_calls(CallQuery query) = 0;

  // The rest is for RecordDrain, on its thread; they block.

  // Writes records (request_logs, error_logs) and, for those with a session, its execution_count,
  // last_executed_at and expires_at, and the journals' positions, in one transaction: a record is
  // in the tables exactly once.
  [[nodiscard]] virtual Result<void> write_records(const std::vector<JournaledRecord>& records) = 0;
  // The last sequence number written of each journal writer, by index.
  [[nodiscard]] virtual Result<std::vector<std::uint64_t>> acknowledged() = 0;
  // Deletes records older than `oldest`, then the oldest until the records take at most
  // `bytes_max`; returns how many went.
  [[nodiscard]] virtual Result<std::uint64_t> retain_records(WallTime oldest,
                                                             std::uint64_t bytes_max) = 0;
};

}  // namespace seam::store
