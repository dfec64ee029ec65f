#pragma once
// One connection to the database file and every statement that Seam runs on it. Blocking, used by
// one thread at a time; sqlite_store.cc gives each of its threads one.
//
//   SEAM_ASSIGN_OR_RETURN(auto tables, Tables::open(path, Tables::Role::kWriter));
//   SEAM_RETURN_IF_ERROR(tables->begin());
//   Result<void> put = tables->put_session(session, now);
//   SEAM_RETURN_IF_ERROR(tables->commit());
//
// Errors are those of store.h. Writing operations want a transaction around them.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/store.h"

namespace seam::store {

class Tables {
 public:
  enum class Role { kWriter, kReader };

  // A writer makes the file and brings its tables up to date.
  [[nodiscard]] static Result<std::unique_ptr<Tables>> open(const std::filesystem::path& path,
                                                            Role role);
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;
  ~Tables();

  [[nodiscard]] Result<void> begin();
  [[nodiscard]] Result<void> commit();
  void rollback();
  // A part of a transaction that can be undone alone.
  [[nodiscard]] Result<void> begin_part();
  [[nodiscard]] Result<void> end_part();
  [[nodiscard]] Result<void> undo_part();
  // False after an error that undid the whole transaction, such as a full disk.
  [[nodiscard]] bool in_transaction() const;

  [[nodiscard]] Result<Snapshot> load(WallTime now);
  [[nodiscard]] Result<std::string> load_content(std::int64_t implementation_id);
  [[nodiscard]] Result<VersionWritten> put_version(const NewVersion& version, WallTime now);
  [[nodiscard]] Result<void> set_routes(std::int64_t function_id,
                                        const std::vector<RouteRow>& routes);
  [[nodiscard]] Result<void> delete_function(std::int64_t function_id, WallTime now);
  [[nodiscard]] Result<void> put_session(const SessionRow& session, WallTime now);
  [[nodiscard]] Result<void> delete_session(const std::string& request_id, WallTime now);
  [[nodiscard]] Result<void> ping();

  [[nodiscard]] Result<void> write_records(std::span<const JournaledRecord> records);
  [[nodiscard]] Result<std::vector<std::uint64_t>> acknowledged();
  [[nodiscard]] Result<CallPage> find_calls(const CallQuery& query);
  // One step of the retention: deletes at most `rows_max` records and as many old sessions;
  // returns how many records. 0: done.
  [[nodiscard]] Result<std::uint64_t> retain_some(WallTime oldest, std::uint64_t bytes_max,
                                                  std::uint64_t rows_max);
  // Gives up to `pages_max` free pages back to the file system; returns how many.
  [[nodiscard]] Result<std::uint64_t> shrink_some(std::uint64_t pages_max);

  struct Connection;
  // For tests that count what a statement does.
  [[nodiscard]] Connection& connection() { return *connection_; }

 private:
  explicit Tables(std::unique_ptr<Connection> connection);

  std::unique_ptr<Connection> connection_;
};

}  // namespace seam::store
