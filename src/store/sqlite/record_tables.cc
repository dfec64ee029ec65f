// The records of calls: request_logs, error_logs, what they add to their sessions, and how far each
// journal writer's records are in.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/json_text.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/statements.h"
#include "store/sqlite/tables.h"

namespace seam::store {
namespace {

using soci::into;
using soci::use;

// What a row takes beside its text: its numbers, its times, its header and its index entries.
constexpr std::size_t kRowOverheadBytes = 400;

// What the calls of one session in a batch add up to.
struct SessionCalls {
  long long calls = 0;
  WallTime last_started_at{};
  WallTime ended_at{};  // of the call that ended last: what it says of the expiry holds
  WallTime expires_at{};
};

std::string error_details(const CallRecord& record) {
  if (record.error_code.empty()) return {};
  std::string text = R"({"code":)";
  append_json_string(text, record.error_code);
  text += R"(,"message":)";
  append_json_string(text, record.error_message);
  text += "}";
  return text;
}

std::map<std::uint32_t, std::uint64_t> load_positions(soci::session& sql) {
  std::map<std::uint32_t, std::uint64_t> positions;
  long long writer = 0;
  long long sequence = 0;
  soci::statement select = (sql.prepare << "SELECT writer, sequence FROM journal_positions",
                            into(writer), into(sequence));
  select.execute();
  while (select.fetch()) {
    positions[static_cast<std::uint32_t>(writer)] = static_cast<std::uint64_t>(sequence);
  }
  return positions;
}

}  // namespace

// A call's word on the expiry counts only if nothing later has decided it: a PATCH of the session
// may be in the table before the calls that came before it.
RecordStatements::RecordStatements(soci::session& sql)
    : insert((sql.prepare << "INSERT INTO request_logs (request_id, call_id, language_title, "
                             "implementation_id, timestamp, client_ip, user_id, request_headers, "
                             "request_payload, response_payload, status_code, duration_ms, cached, "
                             "error_details, runtime_metrics, logs, log_marks, error_code, bytes) "
                             "VALUES (:a, :b, :c, :d, :e, :f, :g, :h, :i, :j, :k, :l, :m, :n, :o, "
                             ":p, :q, :r, :s)",
              use(request_id), use(call_id), use(language_title), use(implementation_id),
              use(timestamp), use(client_ip), use(user_id), use(request_headers),
              use(request_payload), use(response_payload), use(status_code), use(duration_ms),
              use(cached), use(error_details), use(runtime_metrics), use(logs), use(log_marks),
              use(error_code), use(bytes))),
      insert_error(
          (sql.prepare << "INSERT INTO error_logs (request_log_id, timestamp, error_code, "
                          "error_message, stack_trace, context) VALUES (:a, :b, :c, :d, :e, :f)",
           use(request_log_id), use(timestamp), use(error_code), use(error_message),
           use(stack_trace), use(runtime_metrics))),
      update_session((
          sql.prepare << "UPDATE sessions SET execution_count = execution_count + :a, "
                         "last_executed_at = MAX(COALESCE(last_executed_at, ''), :b), expires_at = "
                         "CASE WHEN changed_at <= :c THEN :d ELSE expires_at END, changed_at = "
                         "MAX(changed_at, :e) WHERE request_id = :f",
          use(calls), use(last_started_at), use(changed_at), use(expires_at), use(changed_at),
          use(request_id))) {}

Result<void> Tables::write_records(std::span<const JournaledRecord> records) {
  return guarded(*connection_, [&]() -> Result<void> {
    soci::session& sql = connection_->sql;
    auto& statements = connection_->record_statements;
    if (statements == nullptr) statements = std::make_unique<RecordStatements>(sql);
    RecordStatements& s = *statements;

    std::map<std::uint32_t, std::uint64_t> positions = load_positions(sql);
    std::unordered_map<std::string_view, SessionCalls> sessions;
    long long total_bytes = 0;
    for (const JournaledRecord& journaled : records) {
      std::uint64_t& position = positions[journaled.writer];
      if (journaled.sequence <= position) continue;  // is in the table already
      position = journaled.sequence;
      const CallRecord& record = journaled.record;
      s.request_id = record.request_id;
      s.call_id = record.call_id;
      s.language_title = record.language_title;
      s.implementation_id = record.implementation_id;
      s.timestamp = format_rfc3339(record.started_at);
      s.client_ip = record.client_ip;
      s.user_id = record.user_id;
      s.request_headers = record.request_headers;
      s.request_payload = record.request_payload;
      s.response_payload = record.response_payload;
      s.status_code = record.status_code;
      s.duration_ms = static_cast<double>(record.duration_us) / 1000.0;
      s.cached = record.cached ? 1 : 0;
      s.error_details = error_details(record);
      s.runtime_metrics = record.runtime_metrics;
      s.logs = record.logs;
      s.log_marks = record.log_marks;
      s.error_code = record.error_code;
      const std::size_t bytes = kRowOverheadBytes + record.request_headers.size() +
                                record.request_payload.size() + record.response_payload.size() +
                                s.error_details.size() + record.runtime_metrics.size() +
                                record.logs.size() + record.log_marks.size() +
                                record.error_message.size() + record.stack_trace.size();
      s.bytes = static_cast<long long>(bytes);
      s.insert.execute(true);
      total_bytes += s.bytes;
      if (!record.error_code.empty()) {
        s.request_log_id = sqlite_api::sqlite3_last_insert_rowid(connection_->handle());
        s.error_message = record.error_message;
        s.stack_trace = record.stack_trace;
        s.insert_error.execute(true);
      }
      if (record.has_session) {
        SessionCalls& session = sessions[record.request_id];
        ++session.calls;
        session.last_started_at = std::max(session.last_started_at, record.started_at);
        const WallTime ended_at =
            record.started_at + microseconds(static_cast<std::int64_t>(record.duration_us));
        if (ended_at >= session.ended_at) {
          session.ended_at = ended_at;
          session.expires_at = record.session_expires_at;
        }
      }
    }
    for (const auto& [request_id, session] : sessions) {
      s.request_id = request_id;
      s.calls = session.calls;
      s.last_started_at = format_rfc3339(session.last_started_at);
      s.expires_at = format_rfc3339(session.expires_at);
      s.changed_at = format_rfc3339(session.ended_at);
      s.update_session.execute(true);
    }
    for (const auto& [writer, sequence] : positions) {
      const long long w = writer;
      const auto n = static_cast<long long>(sequence);
      sql << "INSERT INTO journal_positions (writer, sequence) VALUES (:w, :n) ON CONFLICT "
             "(writer) DO UPDATE SET sequence = excluded.sequence",
          use(w), use(n);
    }
    sql << "UPDATE record_totals SET bytes = bytes + :n WHERE id = 1", use(total_bytes);
    return {};
  });
}

Result<std::vector<std::uint64_t>> Tables::acknowledged() {
  return guarded(*connection_, [&]() -> Result<std::vector<std::uint64_t>> {
    std::vector<std::uint64_t> sequences;
    for (const auto& [writer, sequence] : load_positions(connection_->sql)) {
      sequences.resize(std::max<std::size_t>(sequences.size(), writer + std::size_t{1}), 0);
      sequences[writer] = sequence;
    }
    return sequences;
  });
}

Result<std::uint64_t> Tables::retain_some(WallTime oldest, std::uint64_t bytes_max,
                                          std::uint64_t rows_max) {
  return guarded(*connection_, [&]() -> Result<std::uint64_t> {
    soci::session& sql = connection_->sql;
    const std::string oldest_text = format_rfc3339(oldest);
    const auto limit = static_cast<long long>(rows_max);
    long long total = 0;
    sql << "SELECT bytes FROM record_totals WHERE id = 1", into(total);

    // Ids grow with the time of writing, so the oldest records have the lowest.
    long long last_id = 0;
    long long freed = 0;
    std::uint64_t rows = 0;
    {
      long long id = 0;
      long long bytes = 0;
      std::string timestamp;
      soci::statement select =
          (sql.prepare << "SELECT id, timestamp, bytes FROM request_logs ORDER BY id LIMIT :n",
           use(limit), into(id), into(timestamp), into(bytes));
      select.execute();
      while (select.fetch()) {
        if (timestamp >= oldest_text && static_cast<std::uint64_t>(total - freed) <= bytes_max) {
          break;
        }
        last_id = id;
        freed += bytes;
        ++rows;
      }
    }
    if (rows > 0) {
      sql << "DELETE FROM request_logs WHERE id <= :id", use(last_id);
      sql << "UPDATE record_totals SET bytes = MAX(0, bytes - :n) WHERE id = 1", use(freed);
    }
    sql << "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions WHERE expires_at < "
           ":oldest LIMIT :n)",
        use(oldest_text), use(limit);
    return rows;
  });
}

}  // namespace seam::store
