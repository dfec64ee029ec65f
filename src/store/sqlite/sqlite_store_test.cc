#include "store/sqlite/sqlite_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "store/sqlite/store_testing.h"
#include "store/sqlite/tables.h"

namespace seam::store {
namespace {

class SqliteStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    store_.reset();
    auto store = create_sqlite_store({.path = path(), .readers = 2, .clock = &clock_});
    ASSERT_TRUE(store.has_value()) << store.error().message;
    store_ = *std::move(store);
  }
  [[nodiscard]] std::filesystem::path path() const { return directory_.path() / "seam data.db"; }
  Snapshot load() {
    Result<Snapshot> snapshot = run_on_loop(store_->load());
    EXPECT_TRUE(snapshot.has_value()) << snapshot.error().message;
    return snapshot.has_value() ? *std::move(snapshot) : Snapshot{};
  }
  VersionWritten put(NewVersion version) {
    auto written = run_on_loop(store_->put_version(std::move(version)));
    EXPECT_TRUE(written.has_value()) << written.error().message;
    return written.has_value() ? *std::move(written) : VersionWritten{};
  }

  TemporaryDirectory directory_;
  ManualClock clock_;
  std::unique_ptr<Store> store_;
};

TEST_F(SqliteStoreTest, PutVersionMakesFunctionVersionAndRoute) {
  const VersionWritten first = put(make_version("calculator", "return 1;"));
  EXPECT_TRUE(first.created);
  EXPECT_EQ(first.function.version, 1);
  EXPECT_EQ(first.function.created_at, clock_.wall_now());
  clock_.advance(seconds(5));
  NewVersion changed = make_version("calculator", std::string("\0\xff\x01wasm\0", 8));
  changed.function.description = "adds better";
  changed.function.created_by = "mallory";
  const VersionWritten second = put(changed);
  EXPECT_FALSE(second.created);
  EXPECT_EQ(second.function.id, first.function.id);
  EXPECT_EQ(second.function.version, 2);
  EXPECT_EQ(second.function.created_by, "alice");
  EXPECT_EQ(second.implementation.content_bytes, 8U);

  open();
  const Snapshot snapshot = load();
  ASSERT_EQ(snapshot.functions.size(), 1U);
  const FunctionRow& function = snapshot.functions[0];
  EXPECT_EQ(function.language, "nodejs");
  EXPECT_EQ(function.title, "calculator");
  EXPECT_EQ(function.language_title, "nodejs-calculator");
  EXPECT_EQ(function.description, "adds better");
  EXPECT_EQ(function.tags, (std::vector<std::string>{"math", "with \"quotes\""}));
  EXPECT_EQ(function.version, 2);
  EXPECT_EQ(function.created_at, first.function.created_at);
  EXPECT_EQ(function.updated_at, clock_.wall_now());
  ASSERT_EQ(snapshot.implementations.size(), 2U);
  EXPECT_EQ(snapshot.implementations[1].options, R"({"entry":"index.js"})");
  EXPECT_EQ(snapshot.implementations[1].schema, R"({"params":{"type":"object"}})");
  EXPECT_EQ(snapshot.implementations[1].examples, "[]");
  EXPECT_EQ(snapshot.implementations[1].hash, changed.implementation.hash);
  ASSERT_EQ(snapshot.routes.size(), 1U);
  EXPECT_EQ(snapshot.routes[0].implementation_id, second.implementation.id);
  EXPECT_EQ(run_on_loop(store_->load_content(first.implementation.id)), "return 1;");
  EXPECT_EQ(run_on_loop(store_->load_content(second.implementation.id)),
            std::string("\0\xff\x01wasm\0", 8));
  EXPECT_EQ(run_on_loop(store_->load_content(99)).error().code, ErrorCode::kNotFound);
  const VersionWritten empty = put(make_version("empty", ""));
  EXPECT_EQ(run_on_loop(store_->load_content(empty.implementation.id)), "");
}

TEST_F(SqliteStoreTest, SetRoutesReplacesAllOrNothing) {
  const VersionWritten one = put(make_version("a", "1"));
  const VersionWritten two = put(make_version("a", "2"));
  const VersionWritten other = put(make_version("b", "3"));
  const std::int64_t id = one.function.id;
  ASSERT_TRUE(run_on_loop(store_->set_routes(id, {{.function_id = id,
                                                   .implementation_id = one.implementation.id,
                                                   .weight = 0.25},
                                                  {.function_id = id,
                                                   .implementation_id = two.implementation.id,
                                                   .weight = 0.75,
                                                   .shadow = true}}))
                  .has_value());
  const auto missing = run_on_loop(
      store_->set_routes(id, {{.function_id = id, .implementation_id = other.implementation.id}}));
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(run_on_loop(store_->set_routes(77, {})).error().code, ErrorCode::kNotFound);
  const Snapshot snapshot = load();
  ASSERT_EQ(snapshot.routes.size(), 3U);
  EXPECT_EQ(snapshot.routes[0].weight, 0.25);
  EXPECT_FALSE(snapshot.routes[0].shadow);
  EXPECT_EQ(snapshot.routes[1].implementation_id, two.implementation.id);
  EXPECT_TRUE(snapshot.routes[1].shadow);
}

TEST_F(SqliteStoreTest, DeletedFunctionFreesItsName) {
  const VersionWritten old = put(make_version("a", "1"));
  ASSERT_TRUE(run_on_loop(store_->delete_function(old.function.id)).has_value());
  const Snapshot gone = load();
  EXPECT_TRUE(gone.functions.empty());
  EXPECT_TRUE(gone.implementations.empty());
  EXPECT_TRUE(gone.routes.empty());
  const VersionWritten fresh = put(make_version("a", "2"));
  EXPECT_TRUE(fresh.created);
  EXPECT_EQ(fresh.function.version, 1);
  EXPECT_NE(fresh.function.id, old.function.id);
  EXPECT_EQ(run_on_loop(store_->load_content(old.implementation.id)), "1");
}

TEST_F(SqliteStoreTest, SessionsSurviveUntilTheyEndOrExpire) {
  const WallTime now = clock_.wall_now();
  SessionRow kept = make_session("kept", now);
  kept.script_content = std::string("a\0b ' \" é", 10);
  SessionRow brief = make_session("brief", now);
  brief.expires_at = now + seconds(10);
  for (const SessionRow& session : {kept, brief, make_session("ended", now)}) {
    ASSERT_TRUE(run_on_loop(store_->put_session(session)).has_value());
  }
  ASSERT_TRUE(run_on_loop(store_->delete_session("ended")).has_value());
  ASSERT_TRUE(run_on_loop(store_->delete_session("unknown")).has_value());
  EXPECT_EQ(load().sessions.size(), 2U);
  clock_.advance(seconds(10));
  open();
  const Snapshot snapshot = load();
  ASSERT_EQ(snapshot.sessions.size(), 1U);
  const SessionRow& row = snapshot.sessions[0];
  EXPECT_EQ(row.request_id, "kept");
  EXPECT_EQ(row.script_content, kept.script_content);
  EXPECT_EQ(row.script_hash, kept.script_hash);
  EXPECT_EQ(row.context, kept.context);
  EXPECT_EQ(row.expires_at, kept.expires_at);
  EXPECT_EQ(row.lifetime_seconds, 3600);
  EXPECT_FALSE(row.last_executed_at.has_value());
}

TEST_F(SqliteStoreTest, RecordsCountOnceAndMoveTheirSession) {
  const WallTime now = clock_.wall_now();
  ASSERT_TRUE(run_on_loop(store_->put_session(make_session("s", now))).has_value());
  std::vector<JournaledRecord> records;
  for (std::uint64_t i = 1; i <= 3; ++i) {
    records.push_back({0, i, make_record("s", now + seconds(static_cast<int>(i)))});
    records.back().record.session_expires_at = now + seconds(3600 + static_cast<int>(i));
  }
  ASSERT_TRUE(store_->write_records(records).has_value());
  ASSERT_TRUE(store_->write_records(records).has_value());  // again: nothing changes
  records.push_back({3, 7, make_record("s", now)});         // ended first: says nothing
  ASSERT_TRUE(store_->write_records(records).has_value());
  EXPECT_EQ(store_->acknowledged(), (std::vector<std::uint64_t>{3, 0, 0, 7}));
  Snapshot snapshot = load();
  ASSERT_EQ(snapshot.sessions.size(), 1U);
  EXPECT_EQ(snapshot.sessions[0].execution_count, 4);
  EXPECT_EQ(snapshot.sessions[0].last_executed_at, now + seconds(3));
  EXPECT_EQ(snapshot.sessions[0].expires_at, now + seconds(3603));

  // A change of the session that came after its calls holds, though they are written later.
  clock_.advance(seconds(60));
  SessionRow changed = make_session("s", now);
  changed.expires_at = now + seconds(100);
  ASSERT_TRUE(run_on_loop(store_->put_session(changed)).has_value());
  const std::vector<JournaledRecord> late = {{0, 4, make_record("s", now + seconds(50))}};
  ASSERT_TRUE(store_->write_records(late).has_value());
  snapshot = load();
  ASSERT_EQ(snapshot.sessions.size(), 1U);
  EXPECT_EQ(snapshot.sessions[0].execution_count, 5);
  EXPECT_EQ(snapshot.sessions[0].expires_at, now + seconds(100));
}

TEST_F(SqliteStoreTest, TwoLoopsAndTheDrainWorkAtOnce) {
  constexpr int kPerLoop = 200;
  std::atomic<int> good{0};
  const WallTime now = clock_.wall_now();
  std::vector<std::thread> threads;
  EventLoop loops[2] = {EventLoop("loop-0"), EventLoop("loop-1")};
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      EventLoop& loop = loops[t];
      int left = kPerLoop;
      for (int i = 0; i < kPerLoop; ++i) {
        loop.post([&, i] {
          start(store_->put_session(make_session(std::to_string(t * kPerLoop + i), now)),
                [&](Result<void> result) {
                  EXPECT_TRUE(loop.is_current());
                  if (result.has_value()) ++good;
                  if (--left == 0) loop.stop();
                });
        });
      }
      loop.run();
    });
  }
  for (std::uint64_t i = 1; i <= 50; ++i) {
    ASSERT_TRUE(store_->write_records({{0, i, make_record("0", now)}}).has_value());
  }
  for (std::thread& thread : threads) thread.join();
  open();  // ends the first store before its loops
  EXPECT_EQ(good, 2 * kPerLoop);
  EXPECT_EQ(load().sessions.size(), 2U * kPerLoop);
}

TEST_F(SqliteStoreTest, OneFailureInAGroupLeavesTheOthers) {
  EventLoop loop("loop");
  int left = 3;
  std::vector<bool> good(3);
  const auto done = [&](std::size_t i) {
    return [&, i](Result<void> result) {
      good[i] = result.has_value();
      if (--left == 0) loop.stop();
    };
  };
  loop.post([&] {
    start(store_->put_session(make_session("a", clock_.wall_now())), done(0));
    start(store_->set_routes(12345, {}), done(1));
    start(store_->put_session(make_session("b", clock_.wall_now())), done(2));
  });
  loop.run();
  open();  // ends the first store before its loop
  EXPECT_EQ(good, (std::vector<bool>{true, false, true}));
  EXPECT_EQ(load().sessions.size(), 2U);
}

TEST_F(SqliteStoreTest, TooManyWaitingOperationsAreRefusedAtOnce) {
  // More than any queue and group can take, posted before the loop gets an answer.
  constexpr int kCalls = static_cast<int>(Store::kWaitingMax) * 4;
  EventLoop loop("loop");
  int left = kCalls;
  int refused = 0;
  int good = 0;
  loop.post([&] {
    for (int i = 0; i < kCalls; ++i) {
      start(store_->put_session(make_session(std::to_string(i), clock_.wall_now())),
            [&](Result<void> result) {
              if (result.has_value()) {
                ++good;
              } else {
                EXPECT_EQ(result.error().code, ErrorCode::kUnavailable);
                ++refused;
              }
              if (--left == 0) loop.stop();
            });
    }
  });
  loop.run();
  open();  // ends the first store before its loop
  EXPECT_GT(refused, 0);
  EXPECT_EQ(load().sessions.size(), static_cast<std::size_t>(good));
}

TEST_F(SqliteStoreTest, RetentionDeletesByTimeThenBySize) {
  const WallTime now = clock_.wall_now();
  std::vector<JournaledRecord> records;
  for (std::uint64_t i = 1; i <= 3000; ++i) {
    records.push_back({0, i, make_record("none", now + seconds(static_cast<int>(i)))});
    records.back().record.request_payload.assign(3000, 'x');
    records.back().record.error_code = "RUNTIME_ERROR";
  }
  ASSERT_TRUE(store_->write_records(records).has_value());
  EXPECT_EQ(store_->retain_records(now + seconds(1001), 1U << 30U), 1000U);
  EXPECT_EQ(store_->retain_records(now + seconds(1001), 1U << 30U), 0U);
  const auto by_size = store_->retain_records(now, 1'000'000);
  ASSERT_TRUE(by_size.has_value());
  EXPECT_GT(*by_size, 1600U);
  EXPECT_LT(*by_size, 1800U);
  EXPECT_EQ(store_->retain_records(now + seconds(5000), 1U << 30U), 2000U - *by_size);
  store_.reset();  // folds the log into the file, which has shrunk
  EXPECT_LT(std::filesystem::file_size(path()), 1U << 20U);
}

TEST_F(SqliteStoreTest, OldSessionsGoWithTheRecords) {
  const WallTime now = clock_.wall_now();
  ASSERT_TRUE(run_on_loop(store_->put_session(make_session("s", now))).has_value());
  ASSERT_TRUE(store_->retain_records(now + seconds(3600), 1U << 30U).has_value());
  EXPECT_EQ(load().sessions.size(), 1U);
  ASSERT_TRUE(store_->retain_records(now + seconds(3601), 1U << 30U).has_value());
  EXPECT_TRUE(load().sessions.empty());
}

TEST_F(SqliteStoreTest, FileIsTheOwnersOnly) {
  EXPECT_EQ(std::filesystem::status(path()).permissions() & std::filesystem::perms::all,
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(SqliteStoreTest, PingAnswers) { EXPECT_TRUE(run_on_loop(store_->ping()).has_value()); }

}  // namespace
}  // namespace seam::store
