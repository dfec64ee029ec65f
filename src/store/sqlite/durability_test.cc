// What the store does when the process dies, the disk is full, the file is damaged or another
// process has it.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>

#include "store/record_drain.h"
#include "store/sqlite/migrations.h"
#include "store/sqlite/sqlite_store.h"
#include "store/sqlite/store_testing.h"
#include "store/sqlite/tables.h"

namespace seam::store {
namespace {

WallTime wall_now() { return Clock::real().wall_now(); }

std::unique_ptr<Store> open_store(const std::filesystem::path& path) {
  auto store = create_sqlite_store({.path = path});
  EXPECT_TRUE(store.has_value()) << store.error().message;
  return store.has_value() ? *std::move(store) : nullptr;
}

// Runs one statement on a database file with a connection of its own. False if it fails.
bool execute_for_test(const std::filesystem::path& path, const std::string& statement) {
  sqlite3* database = nullptr;
  bool good = sqlite3_open(path.c_str(), &database) == SQLITE_OK;
  good = good && sqlite3_exec(database, statement.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK;
  sqlite3_close(database);
  return good;
}

std::size_t count_sessions(Store& store) {
  const auto snapshot = run_on_loop(store.load());
  EXPECT_TRUE(snapshot.has_value()) << snapshot.error().message;
  return snapshot.has_value() ? snapshot->sessions.size() : 0;
}

// Goal: each session whose put returned is there after a kill -9 at any moment.
TEST(SqliteDurabilityTest, AcknowledgedSessionsSurviveAKill) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "seam.db";
  void* const page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto* const acknowledged = new (page) std::atomic<std::uint64_t>(0);
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 10; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = create_sqlite_store({.path = path});
      if (!store.has_value()) ::_exit(1);
      for (std::uint64_t i = acknowledged->load();; ++i) {
        const auto put =
            run_on_loop((*store)->put_session(make_session(std::to_string(i), wall_now())));
        if (!put.has_value()) ::_exit(2);
        acknowledged->store(i + 1);
      }
    }
    // Every second child is killed at work, the others as likely while they open the file.
    const std::uint64_t before = acknowledged->load();
    while (round % 2 == 1 && acknowledged->load() == before &&
           ::waitpid(child, nullptr, WNOHANG) == 0) {
      ::usleep(1000);
    }
    ::usleep(static_cast<useconds_t>(random() % 30000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "child exited with " << WEXITSTATUS(status);
    const auto store = open_store(path);
    ASSERT_NE(store, nullptr);
    const std::size_t found = count_sessions(*store);
    ASSERT_GE(found, acknowledged->load());
    ASSERT_LE(found, acknowledged->load() + 1);
    acknowledged->store(found);
  }
  EXPECT_GT(acknowledged->load(), 0U);
  ::munmap(page, 4096);
}

// Goal: records are in the tables exactly once when the process dies between its batches. Method: a
// child drains a journal in small batches and is killed; the next goes on with what is left.
TEST(SqliteDurabilityTest, RecordsAreWrittenOnceWhenTheDrainIsKilled) {
  constexpr std::uint64_t kRecords = 4000;
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "seam.db";
  const journal::JournalOptions options{.directory = directory.path() / "journal",
                                        .segment_bytes = 64U << 10U};
  const WallTime now = wall_now();
  {
    const auto store = open_store(path);
    ASSERT_TRUE(run_on_loop(store->put_session(make_session("s", now))).has_value());
    auto journals = journal::Journals::open(options, {});
    ASSERT_TRUE(journals.has_value()) << journals.error().message;
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      std::string bytes;
      encode(make_record("s", now + microseconds(i)), bytes);
      ASSERT_TRUE((*journals)->writer(0).append(bytes).has_value());
    }
  }
  int kills = 0;
  bool ended = false;
  std::mt19937 random(std::random_device{}());
  unsigned microseconds_max = 20000;
  while (!ended) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = create_sqlite_store({.path = path});
      if (!store.has_value()) ::_exit(1);
      const auto acknowledged = (*store)->acknowledged();
      if (!acknowledged.has_value()) ::_exit(2);
      auto journals = journal::Journals::open(options, *acknowledged);
      if (!journals.has_value()) ::_exit(3);
      RecordDrain drain(**journals, **store, {.batch_records_max = 20});
      ::_exit(drain.drain_all().has_value() ? 0 : 4);
    }
    // Longer each time, so that it ends on a slow machine too.
    ::usleep(static_cast<useconds_t>(random() % microseconds_max));
    microseconds_max += microseconds_max / 8;
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) {
      ++kills;
    } else {
      ASSERT_EQ(WEXITSTATUS(status), 0);
      ended = true;
    }
  }
  EXPECT_GT(kills, 0);
  const auto store = open_store(path);
  EXPECT_EQ(store->acknowledged(), std::vector<std::uint64_t>{kRecords});
  const auto snapshot = run_on_loop(store->load());
  ASSERT_TRUE(snapshot.has_value());
  EXPECT_EQ(snapshot->sessions.at(0).execution_count, static_cast<std::int64_t>(kRecords));
  EXPECT_EQ(store->retain_records(WallTime::max(), 0).value_or(0), kRecords);
}

TEST(SqliteDurabilityTest, FullDiskIsAnErrorAndPasses) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting a small file system takes root";
  const TemporaryDirectory directory;
  const std::filesystem::path disk = directory.path() / "disk";
  std::filesystem::create_directory(disk);
  if (::mount("seam-test", disk.c_str(), "tmpfs", 0, "size=2m") != 0) {
    GTEST_SKIP() << "this machine lets nobody mount";
  }
  {
    const auto store = open_store(disk / "seam.db");
    ASSERT_NE(store, nullptr);
    ASSERT_TRUE(run_on_loop(store->put_session(make_session("small", wall_now()))).has_value());
    // Another file takes what the database would need.
    {
      std::ofstream(disk / "ballast") << std::string(1500U << 10U, 'b');
    }
    SessionRow large = make_session("large", wall_now());
    large.script_content.assign(1U << 20U, 's');
    const auto refused = run_on_loop(store->put_session(large));
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable) << refused.error().message;
    EXPECT_EQ(count_sessions(*store), 1U);
    std::filesystem::remove(disk / "ballast");
    large.script_content.assign(100U << 10U, 's');
    const auto put = run_on_loop(store->put_session(large));
    EXPECT_TRUE(put.has_value()) << put.error().message;
    EXPECT_EQ(count_sessions(*store), 2U);
  }
  EXPECT_EQ(::umount(disk.c_str()), 0);
}

TEST(SqliteDurabilityTest, TwoProcessesShareTheFile) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "seam.db";
  constexpr int kEach = 100;
  pid_t children[2] = {};
  for (int c = 0; c < 2; ++c) {
    children[c] = ::fork();
    ASSERT_GE(children[c], 0);
    if (children[c] == 0) {
      auto store = create_sqlite_store({.path = path});
      if (!store.has_value()) ::_exit(1);
      for (int i = 0; i < kEach; ++i) {
        const auto put = run_on_loop(
            (*store)->put_session(make_session(std::to_string(c * kEach + i), wall_now())));
        if (!put.has_value()) ::_exit(2);
      }
      ::_exit(0);
    }
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }
  EXPECT_EQ(count_sessions(*open_store(path)), 2U * kEach);
}

TEST(SqliteDurabilityTest, FilesThatAreNoDatabaseAreRefused) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "seam.db";
  {
    std::ofstream(path) << std::string(10'000, 'x');
  }
  const auto store = create_sqlite_store({.path = path});
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, ErrorCode::kDataLoss);
  EXPECT_NE(store.error().message.find(path.string()), std::string::npos);
  EXPECT_NE(store.error().message.find("put a backup in its place"), std::string::npos);
  const auto nowhere = create_sqlite_store({.path = directory.path() / "no" / "seam.db"});
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_EQ(nowhere.error().code, ErrorCode::kNotFound);
}

TEST(SqliteDurabilityTest, DamagedPagesAreErrorsNotCrashes) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "seam.db";
  {
    const auto store = open_store(path);
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(
          run_on_loop(store->put_session(make_session(std::to_string(i), wall_now()))).has_value());
    }
  }
  std::string bytes;
  {
    std::ifstream file(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  std::mt19937 random(7);
  int errors = 0;
  for (int round = 0; round < 40; ++round) {
    std::string damaged = bytes;
    const std::size_t page = 1 + random() % (damaged.size() / 4096 - 1);
    for (std::size_t i = 0; i < 4096; ++i) damaged[page * 4096 + i] = static_cast<char>(random());
    std::filesystem::remove(path.string() + "-wal");
    {
      std::ofstream(path, std::ios::binary) << damaged;
    }
    const auto store = create_sqlite_store({.path = path});
    const auto snapshot = store.has_value() ? run_on_loop((*store)->load())
                                            : Result<Snapshot>(std::unexpected(store.error()));
    if (!snapshot.has_value()) {
      EXPECT_EQ(snapshot.error().code, ErrorCode::kDataLoss) << snapshot.error().message;
      ++errors;
    }
  }
  EXPECT_GT(errors, 0);
}

TEST(SqliteDurabilityTest, NewerSchemaIsRefused) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "seam.db";
  {
    ASSERT_NE(open_store(path), nullptr);
  }
  const std::string command = "INSERT INTO schema_version (version, applied_at) VALUES (99, '')";
  ASSERT_TRUE(execute_for_test(path, command));
  const auto store = create_sqlite_store({.path = path});
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(store.error().message,
            path.string() + " has schema version 99, but this version of seam knows only " +
                std::to_string(migrations().back().version) +
                ": run the newer seam, or choose another data directory");
}

// Goal: a database of before versions had schemas. Method: the first step's tables, with two
// versions.
TEST(SqliteDurabilityTest, SchemaOfAFunctionBecomesThatOfItsNewestVersion) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "seam.db";
  ASSERT_TRUE(execute_for_test(path, migrations().front().sql));
  ASSERT_TRUE(execute_for_test(
      path,
      "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL);"
      "INSERT INTO schema_version VALUES (1, '');"
      "INSERT INTO functions (id, language, title, language_title, schema, examples, created_at, "
      "updated_at, version) VALUES (7, 'nodejs', 'a', 'nodejs-a', '{\"params\":{}}', '[]', "
      "'2026-01-02T03:04:05.000000Z', '2026-01-02T03:04:05.000000Z', 2);"
      "INSERT INTO implementations (function_id, version, runtime, hash, content_bytes, "
      "created_at) "
      "VALUES (7, 1, 'nodejs', 'h', 1, '2026-01-02T03:04:05.000000Z'), "
      "(7, 2, 'nodejs', 'h', 1, '2026-01-02T03:04:05.000000Z')"));
  const auto store = open_store(path);
  ASSERT_NE(store, nullptr);
  const auto snapshot = run_on_loop(store->load());
  ASSERT_TRUE(snapshot.has_value()) << snapshot.error().message;
  ASSERT_EQ(snapshot->implementations.size(), 2U);
  EXPECT_EQ(snapshot->implementations[0].schema, "");
  EXPECT_EQ(snapshot->implementations[1].schema, "{\"params\":{}}");
  EXPECT_EQ(snapshot->implementations[1].examples, "[]");
}

TEST(SqliteDurabilityTest, DatabaseOfAnotherProgramIsRefused) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "seam.db";
  ASSERT_TRUE(execute_for_test(path, "CREATE TABLE theirs (a)"));
  const auto store = create_sqlite_store({.path = path});
  ASSERT_FALSE(store.has_value());
  EXPECT_EQ(store.error().code, ErrorCode::kFailedPrecondition);
}

TEST(SqliteDurabilityTest, MigrationsAreNumberedFromOneWithoutGaps) {
  int expected = 1;
  for (const Migration& step : migrations()) EXPECT_EQ(step.version, expected++);
}

// A drain that runs beside its writers, fails while the store is closed to it, and loses nothing.
TEST(RecordDrainTest, WritesWhatIsAppendedAndStopDrainsTheRest) {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path() / "seam.db");
  auto journals = journal::Journals::open({.directory = directory.path() / "journal"}, {});
  ASSERT_TRUE(journals.has_value());
  RecordDrain drain(**journals, *store, {.interval = milliseconds(1)});
  drain.start();
  for (int i = 0; i < 1000; ++i) {
    std::string bytes = "not a record";
    if (i != 500) {
      bytes.clear();
      encode(make_record("none", wall_now()), bytes);
    }
    ASSERT_TRUE((*journals)->writer(0).append(bytes).has_value());
  }
  drain.stop();
  EXPECT_EQ((*journals)->stats().waiting, 0U);
  EXPECT_EQ(store->acknowledged(), std::vector<std::uint64_t>{1000});
  EXPECT_EQ(store->retain_records(WallTime::max(), 0).value_or(0), 999U);
}

// Whoever has appended a record and waited finds it, however long the drain would have slept.
TEST(RecordDrainTest, SettledWaitsForWhatWasAppended) {
  const TemporaryDirectory directory;
  const auto store = open_store(directory.path() / "seam.db");
  auto journals = journal::Journals::open({.directory = directory.path() / "journal"}, {});
  ASSERT_TRUE(journals.has_value());
  RecordDrain drain(**journals, *store, {.interval = std::chrono::hours(1)});
  const auto settle = [](RecordDrain* on) -> Task<bool> {
    co_await on->settled();
    co_return true;
  };
  EXPECT_TRUE(run_on_loop(settle(&drain)));  // not started: at once
  drain.start();
  for (std::uint64_t i = 1; i <= 5; ++i) {
    std::string bytes;
    encode(make_record("none", wall_now()), bytes);
    ASSERT_TRUE((*journals)->writer(0).append(bytes).has_value());
    EXPECT_TRUE(run_on_loop(settle(&drain)));
    EXPECT_EQ(store->acknowledged(), std::vector<std::uint64_t>{i});
  }
  drain.stop();
  EXPECT_TRUE(run_on_loop(settle(&drain)));  // stopped: at once
}

}  // namespace
}  // namespace seam::store
