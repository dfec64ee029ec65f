#pragma once
// What the files of Tables share: the SOCI session and how its exceptions become errors. The only
// header of Seam that shows SOCI; included by those .cc files alone.
//
//   return guarded(*connection_, [&]() -> Result<void> {
//     connection_->sql << "DELETE FROM …", soci::use(id);
//     return {};
//   });

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <exception>
#include <filesystem>
#include <memory>
#include <string>

#include "store/sqlite/tables.h"

namespace seam::store {

struct SessionStatements;
struct RecordStatements;

struct Tables::Connection {
  explicit Connection(std::filesystem::path file);
  ~Connection();

  [[nodiscard]] sqlite_api::sqlite3* handle() {
    return static_cast<soci::sqlite3_session_backend*>(sql.get_backend())->conn_;
  }
  [[nodiscard]] Error translate(const std::exception& exception) const;

  std::filesystem::path path;
  soci::session sql;
  // Prepared at their first use; destroyed before the session.
  std::unique_ptr<SessionStatements> session_statements;
  std::unique_ptr<RecordStatements> record_statements;
};

// Runs `work`, which returns a Result; what SOCI throws inside becomes its error.
template <class Work>
auto guarded(const Tables::Connection& connection, Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::exception& exception) {
    return std::unexpected(connection.translate(exception));
  }
}

// The time in a column. errors    kDataLoss   it is not one
[[nodiscard]] Result<WallTime> time_from_column(const std::string& text, const char* column);

}  // namespace seam::store
