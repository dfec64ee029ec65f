// Functions, implementations, scripts, routes and sessions.

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_to.hpp>

#include "base/json_text.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/statements.h"
#include "store/sqlite/tables.h"

namespace seam::store {
namespace {

using soci::into;
using soci::use;

std::string format_tags(const std::vector<std::string>& tags) {
  std::string text = "[";
  for (const std::string& tag : tags) {
    if (text.size() > 1) text += ",";
    append_json_string(text, tag);
  }
  return text + "]";
}

Result<std::vector<std::string>> parse_tags(const std::string& text) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  std::vector<std::string> tags;
  bool good = !error && value.is_array();
  if (good) {
    for (const boost::json::value& tag : value.get_array()) {
      good = good && tag.is_string();
      if (good) tags.emplace_back(tag.get_string());
    }
  }
  if (!good)
    return fail(ErrorCode::kDataLoss, fmt::format("the database holds bad tags: {}", text));
  return tags;
}

Result<std::vector<FunctionRow>> load_functions(soci::session& sql) {
  std::vector<FunctionRow> rows;
  FunctionRow row;
  long long id = 0;
  long long version = 0;
  std::string created, updated, tags;
  soci::statement select =
      (sql.prepare << "SELECT id, language, title, language_title, description, "
                      "created_at, updated_at, created_by, version, tags FROM functions WHERE "
                      "is_active = 1 ORDER BY id",
       into(id), into(row.language), into(row.title), into(row.language_title),
       into(row.description), into(created), into(updated), into(row.created_by), into(version),
       into(tags));
  select.execute();
  while (select.fetch()) {
    row.id = id;
    row.version = version;
    SEAM_ASSIGN_OR_RETURN(row.created_at, time_from_column(created, "functions.created_at"));
    SEAM_ASSIGN_OR_RETURN(row.updated_at, time_from_column(updated, "functions.updated_at"));
    SEAM_ASSIGN_OR_RETURN(row.tags, parse_tags(tags));
    rows.push_back(row);
  }
  return rows;
}

Result<std::vector<ImplementationRow>> load_implementations(soci::session& sql) {
  std::vector<ImplementationRow> rows;
  ImplementationRow row;
  long long id = 0;
  long long function_id = 0;
  long long version = 0;
  long long content_bytes = 0;
  std::string created;
  soci::statement select =
      (sql.prepare << "SELECT i.id, i.function_id, i.version, i.runtime, i.engine, i.hash, "
                      "i.options, i.schema, i.examples, i.content_bytes, i.created_at FROM "
                      "implementations i JOIN functions f ON f.id = i.function_id WHERE "
                      "f.is_active = 1 ORDER BY i.id",
       into(id), into(function_id), into(version), into(row.runtime), into(row.engine),
       into(row.hash), into(row.options), into(row.schema), into(row.examples), into(content_bytes),
       into(created));
  select.execute();
  while (select.fetch()) {
    row.id = id;
    row.function_id = function_id;
    row.version = version;
    row.content_bytes = static_cast<std::uint64_t>(content_bytes);
    SEAM_ASSIGN_OR_RETURN(row.created_at, time_from_column(created, "implementations.created_at"));
    rows.push_back(row);
  }
  return rows;
}

std::vector<RouteRow> load_routes(soci::session& sql) {
  std::vector<RouteRow> rows;
  RouteRow row;
  long long function_id = 0;
  long long implementation_id = 0;
  int shadow = 0;
  soci::statement select =
      (sql.prepare << "SELECT r.function_id, r.implementation_id, r.weight, r.shadow FROM routes r "
                      "JOIN functions f ON f.id = r.function_id WHERE f.is_active = 1 ORDER BY "
                      "r.function_id, r.implementation_id",
       into(function_id), into(implementation_id), into(row.weight), into(shadow));
  select.execute();
  while (select.fetch()) {
    row.function_id = function_id;
    row.implementation_id = implementation_id;
    row.shadow = shadow != 0;
    rows.push_back(row);
  }
  return rows;
}

Result<std::vector<SessionRow>> load_sessions(soci::session& sql, WallTime now) {
  std::vector<SessionRow> rows;
  SessionRow row;
  long long execution_count = 0;
  long long lifetime = 0;
  std::string created, expires, executed;
  const std::string now_text = format_rfc3339(now);
  soci::statement select =
      (sql.prepare << "SELECT request_id, language_title, user_id, status, context, "
                      "script_content, script_hash, compile_options, created_at, expires_at, "
                      "COALESCE(last_executed_at, ''), execution_count, lifetime_seconds FROM "
                      "sessions WHERE expires_at > :now AND status <> 'ended'",
       use(now_text), into(row.request_id), into(row.language_title), into(row.user_id),
       into(row.status), into(row.context), into(row.script_content), into(row.script_hash),
       into(row.compile_options), into(created), into(expires), into(executed),
       into(execution_count), into(lifetime));
  select.execute();
  while (select.fetch()) {
    row.execution_count = execution_count;
    row.lifetime_seconds = lifetime;
    SEAM_ASSIGN_OR_RETURN(row.created_at, time_from_column(created, "sessions.created_at"));
    SEAM_ASSIGN_OR_RETURN(row.expires_at, time_from_column(expires, "sessions.expires_at"));
    row.last_executed_at.reset();
    if (!executed.empty()) {
      SEAM_ASSIGN_OR_RETURN(row.last_executed_at,
                            time_from_column(executed, "sessions.last_executed_at"));
    }
    rows.push_back(row);
  }
  return rows;
}

}  // namespace

Result<Snapshot> Tables::load(WallTime now) {
  return guarded(*connection_, [&]() -> Result<Snapshot> {
    // One transaction, so that the parts are of one moment. It only reads: its end cannot fail in
    // a way that matters.
    soci::session& sql = connection_->sql;
    const soci::transaction transaction(sql);
    Snapshot snapshot;
    SEAM_ASSIGN_OR_RETURN(snapshot.functions, load_functions(sql));
    SEAM_ASSIGN_OR_RETURN(snapshot.implementations, load_implementations(sql));
    snapshot.routes = load_routes(sql);
    SEAM_ASSIGN_OR_RETURN(snapshot.sessions, load_sessions(sql, now));
    return snapshot;
  });
}

Result<std::string> Tables::load_content(std::int64_t implementation_id) {
  return guarded(*connection_, [&]() -> Result<std::string> {
    const long long id = implementation_id;
    soci::blob content(connection_->sql);
    connection_->sql << "SELECT content FROM scripts WHERE implementation_id = :id", use(id),
        into(content);
    if (!connection_->sql.got_data()) {
      return fail(ErrorCode::kNotFound,
                  fmt::format("there is no implementation {}", implementation_id));
    }
    std::string bytes(content.get_len(), '\0');
    if (!bytes.empty()) content.read(0, bytes.data(), bytes.size());
    return bytes;
  });
}

Result<VersionWritten> Tables::put_version(const NewVersion& version, WallTime now) {
  return guarded(*connection_, [&]() -> Result<VersionWritten> {
    soci::session& sql = connection_->sql;
    const FunctionRow& function = version.function;
    const ImplementationRow& implementation = version.implementation;
    const std::string now_text = format_rfc3339(now);
    const std::string tags = format_tags(function.tags);
    VersionWritten written{function, implementation, false};

    long long id = 0;
    long long number = 0;
    std::string created_at;
    std::string created_by;
    sql << "SELECT id, version, created_at, created_by FROM functions WHERE language_title = :name "
           "AND is_active = 1",
        use(function.language_title), into(id), into(number), into(created_at), into(created_by);
    written.created = !sql.got_data();
    if (written.created) {
      created_at = now_text;
      created_by = function.created_by;
      number = 1;
      sql << "INSERT INTO functions (language, title, language_title, description, schema, "
             "examples, created_at, updated_at, created_by, version, tags) VALUES (:language, "
             ":title, :name, :description, :schema, :examples, :created, :updated, :by, 1, :tags)",
          use(function.language), use(function.title), use(function.language_title),
          use(function.description), use(implementation.schema), use(implementation.examples),
          use(now_text), use(now_text), use(created_by), use(tags);
      id = sqlite_api::sqlite3_last_insert_rowid(connection_->handle());
    } else {
      ++number;
      sql << "UPDATE functions SET description = :description, schema = :schema, examples = "
             ":examples, updated_at = :now, version = :version, tags = :tags WHERE id = :id",
          use(function.description), use(implementation.schema), use(implementation.examples),
          use(now_text), use(number), use(tags), use(id);
    }
    const auto content_bytes = static_cast<long long>(version.content.size());
    sql << "INSERT INTO implementations (function_id, version, runtime, engine, hash, options, "
           "schema, examples, content_bytes, created_at) VALUES (:function, :version, :runtime, "
           ":engine, :hash, :options, :schema, :examples, :bytes, :now)",
        use(id), use(number), use(implementation.runtime), use(implementation.engine),
        use(implementation.hash), use(implementation.options), use(implementation.schema),
        use(implementation.examples), use(content_bytes), use(now_text);
    const long long implementation_id =
        sqlite_api::sqlite3_last_insert_rowid(connection_->handle());
    soci::blob content(sql);
    content.write(0, version.content.data(), version.content.size());
    sql << "INSERT INTO scripts (implementation_id, content, hash) VALUES (:id, :content, :hash)",
        use(implementation_id), use(content), use(implementation.hash);
    sql << "DELETE FROM routes WHERE function_id = :id", use(id);
    sql << "INSERT INTO routes (function_id, implementation_id, weight, shadow) VALUES (:function, "
           ":implementation, 1, 0)",
        use(id), use(implementation_id);

    written.function.id = id;
    written.function.version = number;
    written.function.created_by = created_by;
    SEAM_ASSIGN_OR_RETURN(written.function.created_at,
                          time_from_column(created_at, "functions.created_at"));
    written.function.updated_at = now;
    written.implementation.id = implementation_id;
    written.implementation.function_id = id;
    written.implementation.version = number;
    written.implementation.content_bytes = version.content.size();
    written.implementation.created_at = now;
    return written;
  });
}

Result<void> Tables::set_routes(std::int64_t function_id, const std::vector<RouteRow>& routes) {
  return guarded(*connection_, [&]() -> Result<void> {
    soci::session& sql = connection_->sql;
    const long long function = function_id;
    int found = 0;
    sql << "SELECT COUNT(*) FROM functions WHERE id = :id AND is_active = 1", use(function),
        into(found);
    if (found == 0) {
      return fail(ErrorCode::kNotFound, fmt::format("there is no function {}", function_id));
    }
    sql << "DELETE FROM routes WHERE function_id = :id", use(function);
    for (const RouteRow& route : routes) {
      const long long implementation = route.implementation_id;
      const int shadow = route.shadow ? 1 : 0;
      sql << "SELECT COUNT(*) FROM implementations WHERE id = :id AND function_id = :function",
          use(implementation), use(function), into(found);
      if (found == 0) {
        return fail(ErrorCode::kNotFound, fmt::format("function {} has no implementation {}",
                                                      function_id, route.implementation_id));
      }
      sql << "INSERT INTO routes (function_id, implementation_id, weight, shadow) VALUES (:f, :i, "
             ":w, :s) ON CONFLICT (function_id, implementation_id) DO UPDATE SET weight = "
             "excluded.weight, shadow = excluded.shadow",
          use(function), use(implementation), use(route.weight), use(shadow);
    }
    return {};
  });
}

Result<void> Tables::delete_function(std::int64_t function_id, WallTime now) {
  return guarded(*connection_, [&]() -> Result<void> {
    const long long id = function_id;
    const std::string now_text = format_rfc3339(now);
    connection_->sql << "UPDATE functions SET is_active = 0, updated_at = :now WHERE id = :id AND "
                        "is_active = 1",
        use(now_text), use(id);
    connection_->sql << "DELETE FROM routes WHERE function_id = :id", use(id);
    return {};
  });
}

// Of a session that is known, execution_count and last_executed_at stay: the records of its calls
// add to them, also those that wait in the journal now.
SessionStatements::SessionStatements(soci::session& sql)
    : put((sql.prepare << "INSERT INTO sessions (request_id, language_title, user_id, status, "
                          "context, script_content, script_hash, compile_options, created_at, "
                          "expires_at, last_executed_at, execution_count, lifetime_seconds, "
                          "changed_at) VALUES (:id, :name, :user, :status, :context, :script, "
                          ":hash, :options, :created, :expires, NULLIF(:executed, ''), :count, "
                          ":lifetime, :changed) ON CONFLICT (request_id) DO UPDATE SET "
                          "language_title = excluded.language_title, user_id = excluded.user_id, "
                          "status = excluded.status, context = excluded.context, script_content = "
                          "excluded.script_content, script_hash = excluded.script_hash, "
                          "compile_options = excluded.compile_options, expires_at = "
                          "excluded.expires_at, lifetime_seconds = excluded.lifetime_seconds, "
                          "changed_at = excluded.changed_at",
           use(request_id), use(language_title), use(user_id), use(status), use(context),
           use(script_content), use(script_hash), use(compile_options), use(created_at),
           use(expires_at), use(last_executed_at), use(execution_count), use(lifetime_seconds),
           use(changed_at))) {}

Result<void> Tables::put_session(const SessionRow& session, WallTime now) {
  return guarded(*connection_, [&]() -> Result<void> {
    auto& statements = connection_->session_statements;
    if (statements == nullptr) statements = std::make_unique<SessionStatements>(connection_->sql);
    SessionStatements& s = *statements;
    s.request_id = session.request_id;
    s.language_title = session.language_title;
    s.user_id = session.user_id;
    s.status = session.status;
    s.context = session.context;
    s.script_content = session.script_content;
    s.script_hash = session.script_hash;
    s.compile_options = session.compile_options;
    s.created_at = format_rfc3339(session.created_at);
    s.expires_at = format_rfc3339(session.expires_at);
    s.last_executed_at =
        session.last_executed_at.has_value() ? format_rfc3339(*session.last_executed_at) : "";
    s.execution_count = session.execution_count;
    s.lifetime_seconds = session.lifetime_seconds;
    s.changed_at = format_rfc3339(now);
    s.put.execute(true);
    return {};
  });
}

Result<void> Tables::delete_session(const std::string& request_id, WallTime now) {
  return guarded(*connection_, [&]() -> Result<void> {
    const std::string now_text = format_rfc3339(now);
    connection_->sql
        << "UPDATE sessions SET status = 'ended', context = '{}', script_content = '', "
           "changed_at = :now WHERE request_id = :id",
        use(now_text), use(request_id);
    return {};
  });
}

}  // namespace seam::store
