#pragma once
// The embedded store: one SQLite file in WAL mode, with one thread that writes and some that read.
//
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Store> store,
//                         create_sqlite_store({.path = data / "seam.db"}));
//
// The file and its tables are made if they are not there, and brought to this version if they are
// older (migrations.h). Times are RFC 3339 text in UTC with microseconds, so that people can read
// them, their order as text is their order in time, and they move to PostgreSQL as they are.
// A session's execution_count and last_executed_at belong to write_records() once the session is
// there: put_session() of a known session leaves them, since calls that still wait in the journal
// will be added. delete_session() keeps the row, as "ended" and without its script and context,
// for as long as records are kept.
//
// The loops that call the store outlive it: destroy it first. Destroying it does what waits and
// joins its threads; a coroutine that still waits then is resumed by its loop if that runs.

#include <cstddef>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "store/store.h"

namespace seam::store {

struct SqliteOptions {
  std::filesystem::path path;
  std::size_t readers = 2;
  const Clock* clock = &Clock::real();  // says which sessions have expired; outlives the store
};

// errors    kFailedPrecondition   the database was written by a newer version of Seam
//           kDataLoss             the file is no database, or is damaged
//           kPermissionDenied, kUnavailable, kResourceExhausted   it cannot be opened or made
[[nodiscard]] Result<std::unique_ptr<Store>> create_sqlite_store(SqliteOptions options);

}  // namespace seam::store
