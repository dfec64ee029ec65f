// Questions about the records of calls. The index is named in the statement: which one is right
// depends on the conditions alone, and a planner that has no statistics could take another.

#include <fmt/format.h>

#include "store/sqlite/connection.h"
#include "store/sqlite/tables.h"

namespace seam::store {
namespace {

using soci::into;
using soci::use;

// The conditions as SQL over request_logs, and the values of their parameters.
struct Conditions {
  std::string index;
  std::string where;
  std::string call_id, language_title, session_id, since, until, error_code;
  int status_code = 0;

  explicit Conditions(const CallQuery& query);
  // Binds the parameters that `where` has, in its order.
  void bind(soci::statement& statement) {
    if (!call_id.empty()) statement.exchange(use(call_id));
    if (!language_title.empty()) statement.exchange(use(language_title));
    if (!session_id.empty()) statement.exchange(use(session_id));
    if (!since.empty()) statement.exchange(use(since));
    if (!until.empty()) statement.exchange(use(until));
    if (status_code != 0) statement.exchange(use(status_code));
    if (!error_code.empty()) statement.exchange(use(error_code));
  }
};

Conditions::Conditions(const CallQuery& query)
    : call_id(query.call_id),
      language_title(query.language_title),
      session_id(query.session_id),
      since(query.since ? format_rfc3339(*query.since) : ""),
      until(query.until ? format_rfc3339(*query.until) : ""),
      error_code(query.error_code),
      status_code(query.status_code) {
  const bool errors =
      query.outcome == CallOutcome::kError || status_code >= 400 || !error_code.empty();
  const bool by_function = !language_title.empty();
  if (!call_id.empty()) {
    index = "request_logs_call_id";
  } else if (!session_id.empty()) {
    index = "request_logs_session";
  } else if (query.logged) {
    index = by_function ? "request_logs_function_logged" : "request_logs_logged";
  } else if (errors) {
    index = by_function ? "request_logs_function_errors" : "request_logs_errors";
  } else {
    index = by_function ? "request_logs_function" : "request_logs_time";
  }
  const auto add = [this](std::string_view condition) {
    where.append(where.empty() ? " WHERE " : " AND ").append(condition);
  };
  if (!call_id.empty()) add("call_id = :call");
  if (!language_title.empty()) add("language_title = :function");
  // A call without a session has its own id there.
  if (!session_id.empty()) add("request_id = :session AND request_id <> call_id");
  if (!since.empty()) add("timestamp >= :since");
  if (!until.empty()) add("timestamp < :until");
  if (status_code != 0) add("status_code = :status");
  if (!error_code.empty()) add("error_code = :code");
  // As the partial indexes say it.
  if (errors) add("status_code >= 400");
  if (query.outcome == CallOutcome::kOk) add("status_code < 400");
  if (query.logged) add("logs <> ''");
}

std::size_t count(soci::session& sql, Conditions& conditions) {
  long long found = 0;
  soci::statement select(sql);
  conditions.bind(select);
  select.exchange(into(found));
  select.alloc();
  select.prepare(
      fmt::format("SELECT COUNT(*) FROM (SELECT 1 FROM request_logs INDEXED BY {}{} LIMIT {})",
                  conditions.index, conditions.where, CallQuery::kCountMax));
  select.define_and_bind();
  select.execute(true);
  return static_cast<std::size_t>(found);
}

}  // namespace

Result<CallPage> Tables::find_calls(const CallQuery& query) {
  return guarded(*connection_, [&]() -> Result<CallPage> {
    soci::session& sql = connection_->sql;
    Conditions conditions(query);
    CallPage page;
    page.total = count(sql, conditions);

    // The rows are chosen from the index alone, so that what is skipped is not read.
    const bool whole = query.detail == CallDetail::kWhole;
    const std::string text = fmt::format(
        "SELECT r.call_id, r.request_id, r.language_title, r.implementation_id, r.timestamp, "
        "r.client_ip, r.user_id, r.status_code, r.duration_ms, r.cached, r.error_code, "
        "COALESCE(e.error_message, ''), r.runtime_metrics, {}, COALESCE(i.version, 0), "
        "{}, r.id FROM (SELECT id FROM request_logs INDEXED BY {}{} "
        "ORDER BY timestamp DESC LIMIT {} OFFSET {}) p JOIN request_logs r ON r.id = p.id "
        "LEFT JOIN error_logs e ON e.request_log_id = r.id LEFT JOIN implementations i ON i.id = "
        "r.implementation_id ORDER BY r.timestamp DESC",
        whole ? "r.request_headers, r.request_payload, r.response_payload, "
                "COALESCE(e.stack_trace, '')"
              : "'', '', '', ''",
        query.detail == CallDetail::kSummary ? "0" : "LENGTH(CAST(r.logs AS BLOB))",
        conditions.index, conditions.where, query.limit, query.skip);
    FoundCall found;
    CallRecord& record = found.record;
    std::string timestamp;
    long long implementation_id = 0;
    long long version = 0;
    long long log_bytes = 0;
    long long id = 0;
    int status_code = 0;
    int cached = 0;
    double duration_ms = 0;
    std::vector<long long> ids;
    {
      soci::statement select(sql);
      conditions.bind(select);
      select.exchange(into(record.call_id));
      select.exchange(into(record.request_id));
      select.exchange(into(record.language_title));
      select.exchange(into(implementation_id));
      select.exchange(into(timestamp));
      select.exchange(into(record.client_ip));
      select.exchange(into(record.user_id));
      select.exchange(into(status_code));
      select.exchange(into(duration_ms));
      select.exchange(into(cached));
      select.exchange(into(record.error_code));
      select.exchange(into(record.error_message));
      select.exchange(into(record.runtime_metrics));
      select.exchange(into(record.request_headers));
      select.exchange(into(record.request_payload));
      select.exchange(into(record.response_payload));
      select.exchange(into(record.stack_trace));
      select.exchange(into(version));
      select.exchange(into(log_bytes));
      select.exchange(into(id));
      select.alloc();
      select.prepare(text);
      select.define_and_bind();
      select.execute();
      while (select.fetch()) {
        SEAM_ASSIGN_OR_RETURN(record.started_at,
                              time_from_column(timestamp, "request_logs.timestamp"));
        record.has_session = record.request_id != record.call_id;
        record.implementation_id = implementation_id;
        record.status_code = static_cast<std::uint16_t>(status_code);
        record.duration_us = static_cast<std::uint64_t>(duration_ms * 1000.0 + 0.5);
        record.cached = cached != 0;
        found.version.reset();
        if (version > 0) found.version = version;
        found.log_bytes = static_cast<std::size_t>(log_bytes);
        page.calls.push_back(found);
        ids.push_back(id);
      }
    }
    if (query.detail == CallDetail::kSummary) return page;
    std::size_t read = 0;
    for (std::size_t i = 0; i < page.calls.size(); ++i) {
      FoundCall& call = page.calls[i];
      if (i > 0 && read + call.log_bytes > query.page_log_bytes_max) continue;
      read += call.log_bytes;
      sql << "SELECT logs, log_marks FROM request_logs WHERE id = :id", use(ids[i]),
          into(call.record.logs), into(call.record.log_marks);
    }
    return page;
  });
}

}  // namespace seam::store
