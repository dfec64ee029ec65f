#include "journal/journal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>
#include <thread>

#include "journal/segment.h"

namespace seam::journal {
namespace {

// What record `sequence` of `writer` says; of very different lengths.
std::string content(std::uint32_t writer, std::uint64_t sequence) {
  return std::to_string(writer) + ":" + std::to_string(sequence) +
         std::string(sequence * 7919 % 1500, 'c');
}

class JournalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "seam-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    options_.directory = root_ / "data" / "journal";
    options_.segment_bytes = 8192;
    options_.total_bytes_max = 1U << 20U;
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  std::unique_ptr<Journals> open(const std::vector<std::uint64_t>& acknowledged = {}) {
    auto journals = Journals::open(options_, acknowledged);
    EXPECT_TRUE(journals.has_value()) << journals.error().message;
    return journals.has_value() ? *std::move(journals) : nullptr;
  }
  void append(Journals& journals, std::uint32_t writer, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      // The content names the sequence that the append will get.
      const std::uint64_t guess = next_[writer]++;
      const Result<std::uint64_t> sequence = journals.writer(writer).append(content(writer, guess));
      ASSERT_TRUE(sequence.has_value()) << sequence.error().message;
      ASSERT_EQ(*sequence, guess);
    }
  }
  // Takes all that waits, checking content and order; `seen[w]` is the last of writer w.
  static void take_all(Journals& journals, std::vector<std::uint64_t>& seen,
                       std::size_t batch = 100) {
    seen.resize(std::max<std::size_t>(seen.size(), 8));
    while (journals.drain(batch, [&](const std::vector<Record>& records) {
      EXPECT_LE(records.size(), batch);
      for (const Record& record : records) {
        EXPECT_EQ(record.sequence, seen[record.writer] + 1);
        EXPECT_EQ(record.bytes, content(record.writer, record.sequence));
        seen[record.writer] = record.sequence;
      }
      return true;
    }) > 0) {
    }
  }
  [[nodiscard]] std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(options_.directory)) {
      if (entry.path().extension() == ".journal") ++count;
    }
    return count;
  }

  std::filesystem::path root_;
  JournalOptions options_;
  std::vector<std::uint64_t> next_ = std::vector<std::uint64_t>(8, 1);  // by writer
};

TEST_F(JournalTest, HandsOutInOrderOnceAndRemovesFiles) {
  options_.writers = 2;
  auto journals = open();
  append(*journals, 0, 100);
  append(*journals, 1, 50);
  EXPECT_EQ(journals->stats().waiting, 150U);
  // Refused: given again, the same.
  EXPECT_EQ(journals->drain(60, [](const std::vector<Record>&) { return false; }), 0U);
  EXPECT_EQ(journals->stats().waiting, 150U);
  std::vector<std::uint64_t> seen;
  take_all(*journals, seen);
  EXPECT_EQ(seen[0], 100U);
  EXPECT_EQ(seen[1], 50U);
  EXPECT_EQ(journals->stats().waiting, 0U);
  EXPECT_LE(files(), 4U);  // what each writes to, and one made ahead
  append(*journals, 0, 3);
  journals.reset();
  EXPECT_EQ(files(), 1U);  // the one with the three
  journals = open({100, 50});
  take_all(*journals, seen);
  EXPECT_EQ(seen[0], 103U);
  journals.reset();
  EXPECT_EQ(files(), 0U);
}

TEST_F(JournalTest, AcknowledgedRecordsAreNotHandedOutAgain) {
  auto journals = open();
  append(*journals, 0, 40);
  journals.reset();
  journals = open({25});
  EXPECT_EQ(journals->stats().waiting, 15U);
  std::vector<std::uint64_t> seen = {25};
  append(*journals, 0, 5);
  take_all(*journals, seen, 7);
  EXPECT_EQ(seen[0], 45U);
  journals.reset();
  // Tables that are ahead of an emptied journal decide the next number.
  journals = open({1000});
  EXPECT_EQ(journals->writer(0).append("x"), 1001U);
}

TEST_F(JournalTest, WritersOfALargerConfigurationAreDrained) {
  options_.writers = 4;
  auto journals = open();
  for (std::uint32_t w = 0; w < 4; ++w) append(*journals, w, 10);
  journals.reset();
  options_.writers = 1;
  journals = open();
  std::vector<std::uint64_t> seen;
  take_all(*journals, seen);
  for (std::size_t w = 0; w < 4; ++w) EXPECT_EQ(seen[w], 10U);
  journals.reset();
  options_.writers = 6;
  journals = open({10, 10, 10, 10});
  append(*journals, 5, 1);
  append(*journals, 3, 1);
}

TEST_F(JournalTest, FullJournalRefusesAndWorksAgainAfterADrain) {
  options_.total_bytes_max = 4 * options_.segment_bytes;
  auto journals = open();
  const std::string record(1000, 'x');
  std::uint64_t count = 0;
  Result<std::uint64_t> last;
  while ((last = journals->writer(0).append(record)).has_value()) count = *last;
  EXPECT_EQ(last.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(count, 4 * 7U);
  EXPECT_FALSE(journals->writer(0).append(record).has_value());
  EXPECT_EQ(journals->drain(100, [](const std::vector<Record>&) { return true; }), count);
  EXPECT_EQ(journals->writer(0).append(record), count + 1);
  const auto large = journals->writer(0).append(std::string(options_.segment_bytes, 'x'));
  EXPECT_EQ(large.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(JournalTest, FullDiskRefusesAndWorksAgainWhenThereIsRoom) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounting a small file system takes root";
  std::filesystem::create_directories(root_ / "data");
  if (::mount("seam-test", (root_ / "data").c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "this machine lets nobody mount";
  }
  {
    auto journals = open();
    const std::string record(1000, 'x');
    std::uint64_t count = 0;
    Result<std::uint64_t> last;
    while ((last = journals->writer(0).append(record)).has_value()) count = *last;
    EXPECT_EQ(last.error().code, ErrorCode::kResourceExhausted);
    EXPECT_NE(last.error().message.find((options_.directory).string()), std::string::npos);
    EXPECT_GE(count, 7U);
    EXPECT_EQ(journals->drain(1000, [](const std::vector<Record>&) { return true; }), count);
    EXPECT_EQ(journals->writer(0).append(record), count + 1);
  }
  EXPECT_EQ(::umount((root_ / "data").c_str()), 0);
}

TEST_F(JournalTest, OneProcessAtATime) {
  auto journals = open();
  const auto second = Journals::open(options_, {});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(second.error().message, options_.directory.string() + " is in use by process " +
                                        std::to_string(::getpid()) +
                                        ": end it, or choose another data directory");
  journals.reset();
  EXPECT_NE(open(), nullptr);
}

TEST_F(JournalTest, UnusableDirectoriesAreNamed) {
  std::filesystem::create_directories(root_ / "data");
  {
    std::ofstream file(options_.directory);
  }
  const auto on_file = Journals::open(options_, {});
  ASSERT_FALSE(on_file.has_value());
  EXPECT_NE(on_file.error().message.find(options_.directory.string()), std::string::npos);
  std::filesystem::remove(options_.directory);
  if (::geteuid() != 0) return;
  std::filesystem::create_directory(options_.directory);
  ASSERT_EQ(::chown(options_.directory.c_str(), 12345, 12345), 0);
  const auto foreign = Journals::open(options_, {});
  ASSERT_FALSE(foreign.has_value());
  EXPECT_EQ(foreign.error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(foreign.error().message,
            options_.directory.string() +
                " belongs to user 12345, but this process runs as user 0: change its owner, or "
                "choose another data directory");
}

TEST_F(JournalTest, OptionsOutOfRangeAreRefused) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{4095}, std::size_t{2} << 30U}) {
    options_.segment_bytes = bytes;
    EXPECT_EQ(Journals::open(options_, {}).error().code, ErrorCode::kInvalidArgument) << bytes;
  }
}

// Goal: files that are no segments, empty, of zeros, cut, or of garbage, neither stop the start nor
// hide the good ones.
TEST_F(JournalTest, StrangeFilesDoNotStopTheStart) {
  auto journals = open();
  append(*journals, 0, 5);
  journals.reset();
  const auto write = [&](const char* name, const std::string& bytes) {
    std::ofstream(options_.directory / name, std::ios::binary) << bytes;
  };
  write("notes.txt", "hello");
  write("0-900.journal", "");
  write("0-901.journal", std::string(8192, '\0'));
  write("0-902.journal", "SEAMJNL1");
  write("0-903.journal", std::string(8192, '\xAB'));
  write("4294967295-1.journal", std::string(8192, '\xFF'));
  ASSERT_EQ(::mkfifo((options_.directory / "0-904.journal").c_str(), 0600), 0);
  journals = open();
  EXPECT_EQ(journals->stats().damaged_segments, 4U);
  std::vector<std::uint64_t> seen;
  take_all(*journals, seen);
  EXPECT_EQ(seen[0], 5U);
  EXPECT_TRUE(std::filesystem::exists(options_.directory / "notes.txt"));
}

// Goal: an append that returned is found exactly once and in order after a kill -9 at any moment,
// over many processes on one directory. Method: a child appends and publishes each returned number
// in shared memory; the parent kills it at a random moment and drains, sometimes only a part.
/// Leaves the child to be waited for.
bool has_ended(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid == child;
}

TEST_F(JournalTest, KilledAtAnyMomentLosesNothing) {
  options_.segment_bytes = 16384;
  options_.total_bytes_max = 64U << 20U;
  void* const page =
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto* const returned = new (page) std::atomic<std::uint64_t>(0);
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::uint64_t acknowledged = 0;
  for (int round = 0; round < 60; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto journals = Journals::open(options_, {acknowledged});
      if (!journals.has_value()) ::_exit(1);
      std::uint64_t next = returned->load() + 1;
      while (true) {
        // The last of the killed process may be in the journal though its append did not return.
        Result<std::uint64_t> sequence = (*journals)->writer(0).append(content(0, next));
        if (!sequence.has_value()) ::_exit(2);
        if (*sequence != next) ::_exit(3);
        returned->store(next++);
      }
    }
    // Some are killed while they open what the last one left, the others at some moment while they
    // append.
    const std::uint64_t records = random() % 4 == 0 ? 0 : random() % 200;
    const std::uint64_t enough = returned->load() + records;
    while (returned->load() < enough && !has_ended(child)) ::sched_yield();
    ::usleep(static_cast<useconds_t>(random() % 1000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "child exited with " << WEXITSTATUS(status);

    auto journals = open({acknowledged});
    ASSERT_NE(journals, nullptr);
    EXPECT_EQ(journals->stats().damaged_segments, 0U);
    // First all is looked at and refused; then a random part is taken for good.
    std::uint64_t seen = acknowledged;
    journals->drain(~std::size_t{0}, [&](const std::vector<Record>& records) {
      for (const Record& record : records) {
        ++seen;
        EXPECT_EQ(record.sequence, seen);
        EXPECT_EQ(record.bytes, content(0, seen));
      }
      return false;
    });
    ASSERT_GE(seen, returned->load());
    ASSERT_LE(seen, returned->load() + 1);
    returned->store(seen);
    const std::size_t part = random() % 2 == 0 ? random() % 500 : ~std::size_t{0};
    journals->drain(part, [&](const std::vector<Record>& records) {
      acknowledged = records.back().sequence;
      return true;
    });
    journals.reset();
    if (HasFailure()) return;
  }
  EXPECT_GT(returned->load(), 1000U);
  ::munmap(page, 4096);
}

// Run under ThreadSanitizer: writers and the drain at once, with files ending all the time.
TEST_F(JournalTest, WritersAndDrainAtOnce) {
  constexpr std::uint64_t kRecords = 3000;
  options_.writers = 2;
  options_.total_bytes_max = 32 * options_.segment_bytes;
  auto journals = open();
  std::vector<std::thread> threads;
  for (std::uint32_t w = 0; w < 2; ++w) {
    threads.emplace_back([&, w] {
      for (std::uint64_t i = 1; i <= kRecords;) {
        const Result<std::uint64_t> sequence = journals->writer(w).append(content(w, i));
        if (sequence.has_value()) {
          EXPECT_EQ(*sequence, i++);
        } else {
          EXPECT_EQ(sequence.error().code, ErrorCode::kResourceExhausted);
          std::this_thread::yield();
        }
      }
    });
  }
  std::vector<std::uint64_t> seen(8);
  while (seen[0] < kRecords || seen[1] < kRecords) take_all(*journals, seen, 64);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(journals->stats().waiting, 0U);
  journals.reset();
  EXPECT_EQ(files(), 0U);
}

}  // namespace
}  // namespace seam::journal
