#pragma once
// The statements that run often, prepared once a connection, with the variables that they are bound
// to. Each is set by assigning its variables and calling run().

#include <string>

#include "store/sqlite/connection.h"

namespace seam::store {

struct SessionStatements {
  explicit SessionStatements(soci::session& sql);

  std::string request_id, language_title, user_id, created_at, expires_at, last_executed_at, status,
      context, script_content, script_hash, compile_options, changed_at;
  long long execution_count = 0;
  long long lifetime_seconds = 0;
  soci::statement put;
};

struct RecordStatements {
  explicit RecordStatements(soci::session& sql);

  std::string request_id, call_id, language_title, timestamp, client_ip, user_id, request_headers,
      request_payload, response_payload, error_details, runtime_metrics, logs, log_marks;
  long long implementation_id = 0;
  int status_code = 0;
  double duration_ms = 0;
  int cached = 0;
  long long bytes = 0;
  soci::statement insert;

  long long request_log_id = 0;
  std::string error_code, error_message, stack_trace;
  soci::statement insert_error;

  long long calls = 0;
  std::string last_started_at, expires_at, changed_at;
  soci::statement update_session;
};

}  // namespace seam::store
