// Questions about the records of calls, and that none of them reads more than it must.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>

#include "store/sqlite/connection.h"
#include "store/sqlite/migrations.h"
#include "store/sqlite/sqlite_store.h"
#include "store/sqlite/store_testing.h"
#include "store/sqlite/tables.h"

namespace seam::store {
namespace {

constexpr WallTime kStart{seconds(1'700'000'000)};

class CallQueriesTest : public testing::Test {
 protected:
  CallQueriesTest() {
    auto opened = Tables::open(directory_.path() / "seam.db", Tables::Role::kWriter);
    EXPECT_TRUE(opened.has_value());
    tables_ = *std::move(opened);
  }
  void write(std::vector<CallRecord> records) {
    std::vector<JournaledRecord> journaled;
    for (CallRecord& record : records) journaled.push_back({0, ++sequence_, std::move(record)});
    ASSERT_TRUE(tables_->begin().has_value());
    ASSERT_TRUE(tables_->write_records(journaled).has_value());
    ASSERT_TRUE(tables_->commit().has_value());
  }
  // Calls a second apart, without a session.
  CallRecord call(std::string function, int status = 200, std::string code = {}) {
    CallRecord record = make_record("", kStart + seconds(made_++));
    record.request_id = record.call_id;
    record.has_session = false;
    record.language_title = std::move(function);
    record.status_code = static_cast<std::uint16_t>(status);
    record.error_code = std::move(code);
    if (status >= 400) record.error_message = "it went wrong";
    record.logs.clear();
    return record;
  }
  CallPage find(const CallQuery& query) {
    Result<CallPage> page = tables_->find_calls(query);
    EXPECT_TRUE(page.has_value()) << page.error().message;
    return page.has_value() ? *std::move(page) : CallPage{};
  }
  // The seconds of what is found, in its order.
  std::vector<int> found(const CallQuery& query) {
    std::vector<int> out;
    for (const FoundCall& each : find(query).calls)
      out.push_back(static_cast<int>((each.record.started_at - kStart) / seconds(1)));
    return out;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Tables> tables_;
  std::uint64_t sequence_ = 0;
  int made_ = 0;
};

using Seconds = std::vector<int>;

TEST_F(CallQueriesTest, EachConditionAndTheirCombinations) {
  CallRecord in_session = call("nodejs-a");  // 0
  in_session.request_id = "the-session";
  in_session.has_session = true;
  CallRecord printed = call("nodejs-a");  // 1
  printed.logs = "hello\n";
  write({in_session, printed, call("nodejs-a", 500, "RUNTIME_ERROR"), call("nodejs-b"),
         call("nodejs-b", 504, "TIMEOUT"), call("nodejs-b", 500, "INTERNAL_ERROR")});
  EXPECT_EQ(found({}), (Seconds{5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(find({}).total, 6U);
  EXPECT_EQ(found({.language_title = "nodejs-a"}), (Seconds{2, 1, 0}));
  EXPECT_EQ(found({.session_id = "the-session"}), Seconds{0});
  EXPECT_EQ(found({.session_id = printed.call_id}), Seconds{});  // not a session
  EXPECT_EQ(found({.call_id = printed.call_id}), Seconds{1});
  EXPECT_EQ(found({.outcome = CallOutcome::kOk}), (Seconds{3, 1, 0}));
  EXPECT_EQ(found({.outcome = CallOutcome::kError}), (Seconds{5, 4, 2}));
  EXPECT_EQ(found({.status_code = 500}), (Seconds{5, 2}));
  EXPECT_EQ(found({.status_code = 200}), (Seconds{3, 1, 0}));
  EXPECT_EQ(found({.error_code = "TIMEOUT"}), Seconds{4});
  EXPECT_EQ(found({.language_title = "nodejs-b", .outcome = CallOutcome::kError}), (Seconds{5, 4}));
  EXPECT_EQ(found({.language_title = "nodejs-b", .status_code = 500}), Seconds{5});
  EXPECT_EQ(found({.language_title = "nodejs-a", .outcome = CallOutcome::kOk}), (Seconds{1, 0}));
  EXPECT_EQ(found({.session_id = "the-session", .outcome = CallOutcome::kError}), Seconds{});
  EXPECT_EQ(found({.logged = true}), Seconds{1});
  EXPECT_EQ(found({.language_title = "nodejs-b", .logged = true}), Seconds{});
  EXPECT_EQ(found({.since = kStart + seconds(4)}), (Seconds{5, 4}));
  EXPECT_EQ(found({.since = kStart + seconds(1), .until = kStart + seconds(3)}), (Seconds{2, 1}));
  EXPECT_EQ(found({.language_title = "nodejs-a' OR 1=1 --"}), Seconds{});
}

TEST_F(CallQueriesTest, PagesFollowEachOther) {
  std::vector<CallRecord> records;
  for (int i = 0; i < 45; ++i) records.push_back(call("nodejs-a"));
  write(records);
  Seconds all;
  for (std::size_t page = 0; page < 4; ++page) {
    const CallQuery query{.skip = page * 20, .limit = 20};
    EXPECT_EQ(find(query).total, 45U);
    for (const int each : found(query)) all.push_back(each);
  }
  Seconds expected;
  for (int i = 44; i >= 0; --i) expected.push_back(i);
  EXPECT_EQ(all, expected);
}

TEST_F(CallQueriesTest, DetailSaysHowMuchIsRead) {
  CallRecord record = call("nodejs-a", 500, "RUNTIME_ERROR");
  record.logs = std::string("a\0b\n", 4);
  record.log_marks = "e5:4 ";
  record.stack_trace = "at x";
  write({record});
  record.session_expires_at = {};
  const FoundCall whole = find({.detail = CallDetail::kWhole}).calls.at(0);
  EXPECT_EQ(whole.record, record);
  EXPECT_EQ(whole.log_bytes, 4U);
  const FoundCall logs = find({.detail = CallDetail::kLogs}).calls.at(0);
  EXPECT_EQ(logs.record.logs, record.logs);
  EXPECT_EQ(logs.record.log_marks, record.log_marks);
  EXPECT_EQ(logs.record.request_payload, "");
  const FoundCall summary = find({}).calls.at(0);
  EXPECT_EQ(summary.record.logs, "");
  EXPECT_EQ(summary.record.error_message, "it went wrong");
}

TEST_F(CallQueriesTest, APageOfLogsIsBounded) {
  std::vector<CallRecord> records;
  for (int i = 0; i < 5; ++i) {
    records.push_back(call("nodejs-a"));
    records.back().logs.assign(1000, 'x');
  }
  write(records);
  const CallPage page =
      find({.logged = true, .detail = CallDetail::kLogs, .page_log_bytes_max = 2500});
  ASSERT_EQ(page.calls.size(), 5U);
  std::vector<std::size_t> read;
  for (const FoundCall& each : page.calls) {
    read.push_back(each.record.logs.size());
    EXPECT_EQ(each.log_bytes, 1000U);
  }
  EXPECT_EQ(read, (std::vector<std::size_t>{1000, 1000, 0, 0, 0}));
  const CallPage first =
      find({.logged = true, .detail = CallDetail::kLogs, .page_log_bytes_max = 0});
  EXPECT_EQ(first.calls[0].record.logs.size(), 1000U);
}

// Counts SQLite's steps rather than time: they are the same on every machine.
TEST_F(CallQueriesTest, APageCostsTheSameInALargeTable) {
  const auto steps_of = [this](const CallQuery& query) {
    static thread_local long steps;
    steps = 0;
    sqlite_api::sqlite3* const handle = tables_->connection().handle();
    sqlite_api::sqlite3_progress_handler(handle, 1, [](void*) { return ++steps, 0; }, nullptr);
    EXPECT_EQ(find(query).calls.size(), query.limit);
    sqlite_api::sqlite3_progress_handler(handle, 0, nullptr, nullptr);
    return steps;
  };
  // By SQL, since there are many: half of each function, half of them errors, a third that printed.
  const auto fill = [this](int from, int count) {
    const std::string script = fmt::format(
        "WITH RECURSIVE n(i) AS (SELECT {} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {}) INSERT "
        "INTO request_logs (request_id, call_id, language_title, timestamp, status_code, "
        "duration_ms, logs, error_code, bytes) SELECT i, i, iif(i % 2, 'nodejs-a', 'nodejs-b'), "
        "strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1700000000 + i, 'unixepoch'), iif(i % 4 < 2, 200, "
        "500), 1, iif(i % 3, '', 'x'), iif(i % 4 < 2, '', 'RUNTIME_ERROR'), 400 FROM n",
        from, from + count);
    ASSERT_EQ(sqlite_api::sqlite3_exec(tables_->connection().handle(), script.c_str(), nullptr,
                                       nullptr, nullptr),
              0);
  };
  const std::vector<CallQuery> queries = {
      {},
      {.language_title = "nodejs-a"},
      {.outcome = CallOutcome::kError},
      {.language_title = "nodejs-a", .outcome = CallOutcome::kError},
      {.status_code = 500},
      {.logged = true},
      {.language_title = "nodejs-b", .logged = true},
      {.since = kStart + seconds(100)},
  };
  // Past kCountMax of every kind, so that the counting is at its limit both times.
  constexpr int kRows = static_cast<int>(CallQuery::kCountMax) * 7;
  fill(1000, kRows);
  std::vector<long> before;
  for (const CallQuery& query : queries) before.push_back(steps_of(query));
  fill(1000 + kRows, kRows);
  for (std::size_t i = 0; i < queries.size(); ++i)
    EXPECT_LT(steps_of(queries[i]), before[i] + 1000) << "query " << i;
  EXPECT_EQ(find({}).total, CallQuery::kCountMax);
}

// A database that an earlier version wrote is brought up to date with its records.
TEST(CallMigrationTest, RecordsOfTheFirstVersionAreFound) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "seam.db";
  {
    soci::session sql(soci::sqlite3, path.string());
    const auto run = [&sql](const char* script) {
      auto* backend = static_cast<soci::sqlite3_session_backend*>(sql.get_backend());
      ASSERT_EQ(sqlite_api::sqlite3_exec(backend->conn_, script, nullptr, nullptr, nullptr), 0);
    };
    run("CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)");
    run(migrations().front().sql);
    run("INSERT INTO schema_version VALUES (1, '2023-11-14T22:13:20.000000Z')");
    run("INSERT INTO request_logs (id, request_id, call_id, language_title, timestamp, "
        "status_code, duration_ms, logs, bytes) VALUES (7, 'c', 'c', 'nodejs-a', "
        "'2023-11-14T22:13:20.000000Z', 504, 1.5, 'hi', 100)");
    run("INSERT INTO error_logs (request_log_id, timestamp, error_code, error_message) VALUES (7, "
        "'2023-11-14T22:13:20.000000Z', 'TIMEOUT', 'late')");
  }
  const auto tables = Tables::open(path, Tables::Role::kWriter);
  ASSERT_TRUE(tables.has_value()) << tables.error().message;
  const auto page = (*tables)->find_calls({.error_code = "TIMEOUT", .detail = CallDetail::kWhole});
  ASSERT_TRUE(page.has_value());
  ASSERT_EQ(page->calls.size(), 1U);
  EXPECT_EQ(page->calls[0].record.error_message, "late");
  EXPECT_EQ(page->calls[0].record.logs, "hi");
  EXPECT_EQ(page->calls[0].record.log_marks, "");
}

}  // namespace
}  // namespace seam::store
