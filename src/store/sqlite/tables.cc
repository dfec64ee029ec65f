#include "store/sqlite/tables.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>

#include "base/file_descriptor.h"
#include "store/sqlite/connection.h"
#include "store/sqlite/migrations.h"
#include "store/sqlite/statements.h"

namespace seam::store {
namespace {

using soci::into;
using soci::use;

// How long a statement waits for another process that holds the database, such as a backup.
constexpr int kBusySeconds = 5;
// What the write-ahead log is cut back to after a burst.
constexpr int kWalBytesMax = 64 << 20;

ErrorCode code_of(int sqlite_code) {
  switch (sqlite_code & 0xFF) {
    case SQLITE_TOOBIG:
      return ErrorCode::kResourceExhausted;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return ErrorCode::kDataLoss;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return ErrorCode::kPermissionDenied;
    // A full disk is no fault of the request, and a smaller one would not help.
    case SQLITE_FULL:
    case SQLITE_NOMEM:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
      return ErrorCode::kUnavailable;
    default:
      return ErrorCode::kInternal;
  }
}

// SOCI's connect strings quote with " and cannot escape it.
Result<std::string> connect_string(const std::filesystem::path& path) {
  if (path.native().find('"') != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the path of a database cannot hold a quote: {}", path.string()));
  }
  return fmt::format("dbname=\"{}\" timeout={}", path.string(), kBusySeconds);
}

// SQLite would make the file readable by everybody, as far as the umask allows; it holds scripts.
Result<void> make_file(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return fail_errno(path.string(), errno);
  return {};
}

int schema_version(soci::session& sql) {
  int tables = 0;
  sql << "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'",
      into(tables);
  if (tables == 0) return 0;
  int version = 0;
  sql << "SELECT COALESCE(MAX(version), 0) FROM schema_version", into(version);
  return version;
}

void execute_script(Tables::Connection& connection, const char* script) {
  char* message = nullptr;
  const int code =
      sqlite_api::sqlite3_exec(connection.handle(), script, nullptr, nullptr, &message);
  if (code == SQLITE_OK) return;
  const std::string text = message != nullptr ? message : "unknown error";
  sqlite_api::sqlite3_free(message);
  throw soci::sqlite3_soci_error(text, code);
}

Result<void> migrate(Tables::Connection& connection) {
  soci::session& sql = connection.sql;
  const int newest = migrations().back().version;
  const int current = schema_version(sql);
  if (current > newest) {
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("{} has schema version {}, but this version of seam knows only {}: run "
                            "the newer seam, or choose another data directory",
                            connection.path.string(), current, newest));
  }
  if (current == 0) {
    int tables = 0;
    sql << "SELECT COUNT(*) FROM sqlite_master", into(tables);
    if (tables > 0) {
      return fail(
          ErrorCode::kFailedPrecondition,
          fmt::format("{} is the database of another program: choose another data directory",
                      connection.path.string()));
    }
  }
  for (const Migration& step : migrations()) {
    if (step.version <= current) continue;
    execute_script(connection, "BEGIN IMMEDIATE");
    try {
      // Another process may have done this step while we waited for the lock.
      if (schema_version(sql) < step.version) {
        execute_script(connection,
                       "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, "
                       "applied_at TEXT NOT NULL)");
        execute_script(connection, step.sql);
        const std::string now = format_rfc3339(Clock::real().wall_now());
        sql << "INSERT INTO schema_version (version, applied_at) VALUES (:version, :now)",
            use(step.version), use(now);
      }
      execute_script(connection, "COMMIT");
    } catch (...) {
      sqlite_api::sqlite3_exec(connection.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
      throw;
    }
  }
  return {};
}

}  // namespace

Tables::Connection::Connection(std::filesystem::path file) : path(std::move(file)) {}
Tables::Connection::~Connection() = default;

Error Tables::Connection::translate(const std::exception& exception) const {
  const auto* error = dynamic_cast<const soci::sqlite3_soci_error*>(&exception);
  const ErrorCode code = error != nullptr ? code_of(error->result()) : ErrorCode::kInternal;
  std::string message = fmt::format("database {}: {}", path.string(), exception.what());
  if (code == ErrorCode::kDataLoss) {
    message +=
        "; the file is damaged or is no database: put a backup in its place, or save what is left "
        "with `sqlite3 FILE .recover`";
  }
  return {code, std::move(message), {}};
}

Result<WallTime> time_from_column(const std::string& text, const char* column) {
  Result<WallTime> time = parse_rfc3339(text);
  if (!time.has_value()) {
    return fail(ErrorCode::kDataLoss,
                fmt::format("the database holds a bad time in {}: '{}'", column, text));
  }
  return time;
}

Tables::Tables(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Tables::~Tables() = default;

Result<std::unique_ptr<Tables>> Tables::open(const std::filesystem::path& path, Role role) {
  SEAM_ASSIGN_OR_RETURN(const std::string connect, connect_string(path));
  if (role == Role::kWriter) SEAM_RETURN_IF_ERROR(make_file(path));
  auto connection = std::make_unique<Connection>(path);
  SEAM_RETURN_IF_ERROR(guarded(*connection, [&]() -> Result<void> {
    connection->sql.open(soci::sqlite3, connect);
    if (role == Role::kReader) {
      execute_script(*connection, "PRAGMA query_only = ON");
      return {};
    }
    // auto_vacuum can be chosen only before the first table is there.
    execute_script(*connection, "PRAGMA auto_vacuum = INCREMENTAL");
    execute_script(*connection, "PRAGMA journal_mode = WAL");
    execute_script(*connection, "PRAGMA synchronous = NORMAL");
    // The pages that a batch of records touches stay in memory, and are copied back into the file
    // once for many batches.
    execute_script(*connection, "PRAGMA cache_size = -16384");
    execute_script(*connection, "PRAGMA wal_autocheckpoint = 4000");
    execute_script(*connection, "PRAGMA foreign_keys = ON");
    execute_script(*connection,
                   fmt::format("PRAGMA journal_size_limit = {}", kWalBytesMax).c_str());
    return migrate(*connection);
  }));
  return std::unique_ptr<Tables>(new Tables(std::move(connection)));
}

namespace {
Result<void> run_script(Tables::Connection& connection, const char* script) {
  return guarded(connection, [&]() -> Result<void> {
    execute_script(connection, script);
    return {};
  });
}
}  // namespace

// IMMEDIATE: a transaction that begins by reading and then cannot write would fail half-way.
Result<void> Tables::begin() { return run_script(*connection_, "BEGIN IMMEDIATE"); }
Result<void> Tables::commit() { return run_script(*connection_, "COMMIT"); }
void Tables::rollback() {
  // It fails when SQLite has undone the transaction by itself, which is what is wanted.
  (void)run_script(*connection_, "ROLLBACK");
}
Result<void> Tables::begin_part() { return run_script(*connection_, "SAVEPOINT part"); }
Result<void> Tables::end_part() { return run_script(*connection_, "RELEASE part"); }
Result<void> Tables::undo_part() {
  return run_script(*connection_, "ROLLBACK TO part; RELEASE part");
}
bool Tables::in_transaction() const {
  return sqlite_api::sqlite3_get_autocommit(connection_->handle()) == 0;
}

Result<void> Tables::ping() {
  return guarded(*connection_, [&]() -> Result<void> {
    int version = 0;
    connection_->sql << "SELECT MAX(version) FROM schema_version", into(version);
    return {};
  });
}

Result<std::uint64_t> Tables::shrink_some(std::uint64_t pages_max) {
  return guarded(*connection_, [&]() -> Result<std::uint64_t> {
    long long before = 0;
    long long after = 0;
    connection_->sql << "PRAGMA freelist_count", into(before);
    execute_script(*connection_, fmt::format("PRAGMA incremental_vacuum({})", pages_max).c_str());
    connection_->sql << "PRAGMA freelist_count", into(after);
    return static_cast<std::uint64_t>(before - after);
  });
}

}  // namespace seam::store
