#include "store/sqlite/migrations.h"

namespace seam::store {
namespace {

constexpr const char* kTables = R"sql(
CREATE TABLE functions (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  language       TEXT    NOT NULL,
  title          TEXT    NOT NULL,
  language_title TEXT    NOT NULL,
  description    TEXT    NOT NULL DEFAULT '',
  schema         TEXT    NOT NULL DEFAULT '',
  examples       TEXT    NOT NULL DEFAULT '',
  created_at     TEXT    NOT NULL,
  updated_at     TEXT    NOT NULL,
  created_by     TEXT    NOT NULL DEFAULT '',
  is_active      INTEGER NOT NULL DEFAULT 1,
  version        INTEGER NOT NULL,
  tags           TEXT    NOT NULL DEFAULT '[]'
);
-- A name that was deleted may be used again by a new function.
CREATE UNIQUE INDEX functions_language_title ON functions (language_title) WHERE is_active = 1;

CREATE TABLE implementations (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  function_id   INTEGER NOT NULL REFERENCES functions (id),
  version       INTEGER NOT NULL,
  runtime       TEXT    NOT NULL,
  engine        TEXT    NOT NULL DEFAULT '',
  hash          TEXT    NOT NULL,
  options       TEXT    NOT NULL DEFAULT '{}',
  content_bytes INTEGER NOT NULL,
  created_at    TEXT    NOT NULL
);
CREATE INDEX implementations_function ON implementations (function_id, version);

CREATE TABLE scripts (
  implementation_id INTEGER PRIMARY KEY REFERENCES implementations (id),
  content           BLOB NOT NULL,
  hash              TEXT NOT NULL
);

CREATE TABLE routes (
  function_id       INTEGER NOT NULL REFERENCES functions (id),
  implementation_id INTEGER NOT NULL REFERENCES implementations (id),
  weight            REAL    NOT NULL,
  shadow            INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (function_id, implementation_id)
);

CREATE TABLE sessions (
  request_id        TEXT    PRIMARY KEY,
  language_title    TEXT    NOT NULL,
  user_id           TEXT    NOT NULL DEFAULT '',
  created_at        TEXT    NOT NULL,
  expires_at        TEXT    NOT NULL,
  last_executed_at  TEXT,
  execution_count   INTEGER NOT NULL DEFAULT 0,
  status            TEXT    NOT NULL,
  context           TEXT    NOT NULL DEFAULT '{}',
  script_content    TEXT    NOT NULL DEFAULT '',
  script_hash       TEXT    NOT NULL DEFAULT '',
  compiled_artifact BLOB,
  compile_options   TEXT    NOT NULL DEFAULT '',
  compile_status    TEXT    NOT NULL DEFAULT '',
  compile_error     TEXT    NOT NULL DEFAULT '',
  lifetime_seconds  INTEGER NOT NULL,
  changed_at        TEXT    NOT NULL  -- the moment that expires_at was decided
);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

CREATE TABLE request_logs (
  id                INTEGER PRIMARY KEY,
  request_id        TEXT    NOT NULL,
  call_id           TEXT    NOT NULL,
  language_title    TEXT    NOT NULL,
  implementation_id INTEGER NOT NULL DEFAULT 0,
  timestamp         TEXT    NOT NULL,
  client_ip         TEXT    NOT NULL DEFAULT '',
  user_id           TEXT    NOT NULL DEFAULT '',
  request_headers   TEXT    NOT NULL DEFAULT '',
  request_payload   TEXT    NOT NULL DEFAULT '',
  response_payload  TEXT    NOT NULL DEFAULT '',
  status_code       INTEGER NOT NULL,
  duration_ms       REAL    NOT NULL,
  cached            INTEGER NOT NULL DEFAULT 0,
  error_details     TEXT    NOT NULL DEFAULT '',
  runtime_metrics   TEXT    NOT NULL DEFAULT '',
  logs              TEXT    NOT NULL DEFAULT '',
  bytes             INTEGER NOT NULL  -- about what the record takes, for the retention
);
CREATE INDEX request_logs_request_id ON request_logs (request_id);
CREATE INDEX request_logs_call_id ON request_logs (call_id);

CREATE TABLE error_logs (
  request_log_id INTEGER PRIMARY KEY REFERENCES request_logs (id) ON DELETE CASCADE,
  timestamp      TEXT NOT NULL,
  error_code     TEXT NOT NULL,
  error_message  TEXT NOT NULL DEFAULT '',
  stack_trace    TEXT NOT NULL DEFAULT '',
  context        TEXT NOT NULL DEFAULT ''
);

-- The last record of each journal writer that is in request_logs.
CREATE TABLE journal_positions (
  writer   INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL
);

-- One row: what the rows of request_logs add up to, so that the retention need not read them all.
CREATE TABLE record_totals (
  id    INTEGER PRIMARY KEY CHECK (id = 1),
  bytes INTEGER NOT NULL
);
INSERT INTO record_totals (id, bytes) VALUES (1, 0);
)sql";

// A version's schema and examples are its own, so that a call routed back to it is checked as it
// was. functions.schema and functions.examples were those of the newest version.
constexpr const char* kSchemaOfVersion = R"sql(
ALTER TABLE implementations ADD COLUMN schema   TEXT NOT NULL DEFAULT '';
ALTER TABLE implementations ADD COLUMN examples TEXT NOT NULL DEFAULT '';
UPDATE implementations SET
  schema   = (SELECT f.schema   FROM functions f WHERE f.id = function_id),
  examples = (SELECT f.examples FROM functions f WHERE f.id = function_id)
  WHERE version = (SELECT f.version FROM functions f WHERE f.id = function_id);
)sql";

// What the questions about calls and their logs need: each is answered by one index in the order of
// time, so that a page costs the same in a table of a million. Calls that went well have no entry
// in the indexes of errors, and those that printed nothing none in the indexes of logs.
constexpr const char* kCallIndexes = R"sql(
ALTER TABLE request_logs ADD COLUMN log_marks TEXT NOT NULL DEFAULT '';
ALTER TABLE request_logs ADD COLUMN error_code TEXT NOT NULL DEFAULT '';
UPDATE request_logs SET error_code =
  (SELECT e.error_code FROM error_logs e WHERE e.request_log_id = request_logs.id)
  WHERE id IN (SELECT request_log_id FROM error_logs);

DROP INDEX request_logs_request_id;
CREATE INDEX request_logs_time ON request_logs (timestamp, status_code);
CREATE INDEX request_logs_function ON request_logs (language_title, timestamp, status_code);
CREATE INDEX request_logs_session ON request_logs (request_id, timestamp, status_code, error_code);
CREATE INDEX request_logs_errors ON request_logs (timestamp, status_code, error_code)
  WHERE status_code >= 400;
CREATE INDEX request_logs_function_errors
  ON request_logs (language_title, timestamp, status_code, error_code) WHERE status_code >= 400;
CREATE INDEX request_logs_logged ON request_logs (timestamp) WHERE logs <> '';
CREATE INDEX request_logs_function_logged ON request_logs (language_title, timestamp)
  WHERE logs <> '';
)sql";

constexpr Migration kMigrations[] = {{1, kTables}, {2, kSchemaOfVersion}, {3, kCallIndexes}};

}  // namespace

std::span<const Migration> migrations() { return kMigrations; }

}  // namespace seam::store
