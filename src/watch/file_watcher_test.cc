#include "watch/file_watcher.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace seam::watch {
namespace {

namespace fs = std::filesystem;

// A folder and a loop that the test drives by hand: what happens between two turns is told at once.
class FileWatcherTest : public ::testing::Test {
 protected:
  FileWatcherTest() {
    std::string path = fs::temp_directory_path() / "seam-watch-XXXXXX";
    folder_ = ::mkdtemp(path.data());
  }
  ~FileWatcherTest() override {
    watcher_.reset();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  void watch() { watch({}); }
  void watch(WatchOptions options) {
    options.folder = folder_;
    if (!options.wanted)
      options.wanted = [](std::string_view path, bool) { return !path.starts_with("skipped"); };
    options.on_change = [this] { ++changes_; };
    options.on_problem = [this](const Error& error) { problems_ += error.message + "\n"; };
    Result<std::unique_ptr<FileWatcher>> watcher = FileWatcher::start(loop_, std::move(options));
    ASSERT_TRUE(watcher) << watcher.error().message;
    watcher_ = *std::move(watcher);
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  // Turns until one more change is told.
  void expect_change() {
    const int before = changes_;
    while (changes_ == before) turn();
    EXPECT_EQ(changes_, before + 1);
  }
  // A change that was on its way would be told before that of this file.
  void expect_nothing_but(const std::string& name) {
    const int before = changes_;
    write(name, "x");
    while (changes_ == before) turn();
    EXPECT_EQ(changes_, before + 1);
  }
  void turn() {
    if (!loop_.poll()) std::this_thread::yield();
  }

  fs::path folder_;
  EventLoop loop_{"test"};
  std::unique_ptr<FileWatcher> watcher_;
  int changes_ = 0;
  std::string problems_;
};

TEST_F(FileWatcherTest, ManyEventsAreOneChange) {
  watch();
  for (int i = 0; i < 500; ++i) write("file" + std::to_string(i), "text");
  expect_change();
}

TEST_F(FileWatcherTest, TellsOfAFileThatIsRenamedOverAnother) {
  write("handler.js", "old");
  watch();
  write("skipped.tmp", "new");
  fs::rename(folder_ / "skipped.tmp", folder_ / "handler.js");
  expect_change();
}

TEST_F(FileWatcherTest, TellsOfAFileThatIsRemovedAndComesBack) {
  write("handler.js", "old");
  watch();
  fs::remove(folder_ / "handler.js");
  expect_change();
  write("handler.js", "new");
  expect_change();
}

TEST_F(FileWatcherTest, LooksIntoFoldersThatComeLater) {
  fs::create_directories(folder_ / "there");
  watch();
  write("there/a.js", "1");
  expect_change();
  fs::create_directories(folder_ / "new/below");
  expect_change();
  write("new/below/b.js", "1");
  expect_change();
  write("new/below/b.js", "2");
  expect_change();
}

TEST_F(FileWatcherTest, KnowsAMovedFolderByItsNewName) {
  fs::create_directories(folder_ / "a/below");
  watch();
  fs::rename(folder_ / "a", folder_ / "skipped");
  expect_change();
  write("skipped/below/file", "1");  // which is of no interest any more
  fs::rename(folder_ / "skipped", folder_ / "b");
  expect_change();
  write("b/below/file", "2");
  expect_change();
}

TEST_F(FileWatcherTest, IsSilentAboutWhatIsNotWanted) {
  fs::create_directories(folder_ / "skipped");
  watch();
  write("skipped/file", "1");
  write("skipped.log", "1");
  expect_nothing_but("wanted");
}

TEST_F(FileWatcherTest, AFileThatIsBeingWrittenIsWaitedFor) {
  watch({.writing = std::chrono::hours(1), .longest = std::chrono::hours(1)});
  std::ofstream file(folder_ / "handler.js");
  file << "half of" << std::flush;
  for (int i = 0; i < 50; ++i) turn();
  const MonotonicTime later = Clock::real().now() + milliseconds(40);
  while (Clock::real().now() < later) turn();
  EXPECT_EQ(changes_, 0);
  file << " it";
  file.close();
  expect_change();
}

TEST_F(FileWatcherTest, EventsThatDoNotEndAreToldAllTheSame) {
  watch({.quiet = std::chrono::hours(1), .longest = milliseconds(20)});
  while (changes_ == 0) {
    write("log", "more");
    turn();
  }
}

TEST_F(FileWatcherTest, TheFolderItselfMayGoAndComeBack) {
  watch();
  fs::remove_all(folder_);
  while (problems_.empty()) turn();
  EXPECT_EQ(problems_, folder_.string() + " is gone\n");
  fs::create_directories(folder_);
  write("handler.js", "new");
  expect_change();
  write("handler.js", "newer");
  expect_change();
}

TEST_F(FileWatcherTest, MayBeDestroyedByWhatItCalls) {
  WatchOptions options;
  options.folder = folder_;
  options.wanted = [](std::string_view, bool) { return true; };
  options.on_change = [this] {
    ++changes_;
    watcher_.reset();
  };
  Result<std::unique_ptr<FileWatcher>> watcher = FileWatcher::start(loop_, std::move(options));
  ASSERT_TRUE(watcher);
  watcher_ = *std::move(watcher);
  write("handler.js", "1");
  while (changes_ == 0) turn();
  EXPECT_EQ(watcher_, nullptr);
}

TEST_F(FileWatcherTest, AFolderThatIsNotThereIsAnError) {
  WatchOptions options;
  options.folder = folder_ / "missing";
  const auto watcher = FileWatcher::start(loop_, std::move(options));
  ASSERT_FALSE(watcher);
  EXPECT_EQ(watcher.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(watcher.error().message,
            "cannot watch " + (folder_ / "missing").string() + ": No such file or directory");
}

}  // namespace
}  // namespace seam::watch
