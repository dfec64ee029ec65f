// Calls print on two loops that are driven by hand, so that what waits where is known.
#include "functions/log_hub.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

namespace seam::functions {
namespace {

constexpr WallTime kStart{seconds(1'700'000'000)};

class LogHubTest : public testing::Test {
 protected:
  // Runs `work` on a loop's thread, which is this one while it lasts.
  static void on(EventLoop& loop, Work work) {
    loop.post(std::move(work));
    loop.poll();
  }
  void turn() {
    for (bool ran = true; ran;) {
      const bool first = one_.poll();
      const bool second = two_.poll();
      ran = first || second;
    }
  }
  Result<std::unique_ptr<LogFollower>> try_follow(LogFilter filter) {
    std::optional<Result<std::unique_ptr<LogFollower>>> made;
    on(one_, [&] {
      start(hub_.follow(std::move(filter)), [&](auto result) { made.emplace(std::move(result)); });
    });
    turn();
    return *std::move(made);
  }
  std::unique_ptr<LogFollower> follow(LogFilter filter = {}) {
    auto follower = try_follow(std::move(filter));
    EXPECT_TRUE(follower.has_value());
    return *std::move(follower);
  }
  // What one next() gives; nothing while it waits.
  std::optional<std::string> next(LogFollower& follower) {
    std::optional<std::string> text;
    on(one_, [&] {
      start(follower.next(gone_.get_token()), [&text](std::vector<LogEntry> entries) {
        text.emplace();
        for (const LogEntry& entry : entries) *text += entry.text;
      });
    });
    turn();
    return text;
  }
  void leave(std::unique_ptr<LogFollower> follower) {
    on(one_, [&] { follower.reset(); });
    turn();
  }

  // A call in the middle of its work.
  struct Printing {
    Printing(LogHubTest& test, EventLoop& loop, std::string function)
        : test_(test), loop_(loop), log(record) {
      record.call_id = function + "-call";
      record.request_id = record.call_id;
      record.language_title = std::move(function);
      record.started_at = kStart;
    }
    void print(std::string_view bytes, store::LogStream stream = store::LogStream::kStdout) {
      on(loop_, [&] {
        if (test_.hub_.followed()) {
          if (test_.hub_.has_new_follower(live)) log.finish();
          test_.hub_.add(record, live, stream, kStart, bytes);
        }
        log.add(stream, kStart, bytes);
      });
    }
    void end() {
      on(loop_, [&] {
        log.finish();
        if (test_.hub_.followed()) test_.hub_.finish(record, live);
      });
    }
    LogHubTest& test_;
    EventLoop& loop_;
    store::CallRecord record;
    store::CallLog log;
    LiveLog live;
  };
  static std::string line(std::string_view function, int number, std::string_view text) {
    return fmt::format(
        R"({{"time":"2023-11-14T22:13:20.000000Z","call_id":"{}-call","line":{},"function":"{}",)"
        R"("session":null,"stream":"stdout","text":"{}"}})"
        "\n",
        function, number, function, text);
  }

  EventLoop one_{"one"};
  EventLoop two_{"two"};
  std::vector<EventLoop*> loops_{&one_, &two_};
  LogHub hub_{loops_};
  std::stop_source gone_;
};

TEST_F(LogHubTest, LinesComeFromEveryLoopAsTheyAreComplete) {
  EXPECT_FALSE(hub_.followed());
  auto follower = follow();
  EXPECT_TRUE(hub_.followed());
  Printing here(*this, one_, "nodejs-a");
  Printing there(*this, two_, "nodejs-b");
  here.print("one\ntw");
  there.print("other\n");
  turn();
  std::string got = next(*follower).value_or("") + next(*follower).value_or("");
  EXPECT_EQ(got, line("nodejs-a", 1, "one") + line("nodejs-b", 1, "other"));
  here.print("o\n");
  EXPECT_EQ(next(*follower), line("nodejs-a", 2, "two"));
  here.print("open");
  here.end();
  EXPECT_EQ(next(*follower), line("nodejs-a", 3, "open"));
  leave(std::move(follower));
  EXPECT_FALSE(hub_.followed());
}

TEST_F(LogHubTest, AFollowerGetsTheBeginningOfACallThatRuns) {
  Printing call(*this, two_, "nodejs-a");
  call.print("before\nbe");
  auto first = follow();
  call.print("tween\n");
  EXPECT_EQ(next(*first), line("nodejs-a", 1, "before") + line("nodejs-a", 2, "between"));
  auto second = follow();
  call.print("after");
  call.end();
  EXPECT_EQ(next(*first), line("nodejs-a", 3, "after"));
  EXPECT_EQ(next(*second), line("nodejs-a", 1, "before") + line("nodejs-a", 2, "between"));
  EXPECT_EQ(next(*second), line("nodejs-a", 3, "after"));
  auto late = follow({.since = kStart + seconds(1)});
  Printing other(*this, two_, "nodejs-b");
  other.print("too early\n");
  other.end();
  leave(std::move(first));
  leave(std::move(second));
  leave(std::move(late));
}

TEST_F(LogHubTest, FiltersHoldTogether) {
  auto by_function = follow({.language_title = "nodejs-b"});
  auto by_call = follow({.call_id = "nodejs-a-call"});
  auto by_session = follow({.session_id = "s"});
  Printing a(*this, one_, "nodejs-a");
  Printing b(*this, one_, "nodejs-b");
  b.record.has_session = true;
  b.record.request_id = "s";
  a.print("a\n");
  b.print("b\n");
  turn();
  EXPECT_EQ(next(*by_call), line("nodejs-a", 1, "a"));
  const std::optional<std::string> of_session = next(*by_session);
  EXPECT_EQ(next(*by_function), of_session);
  EXPECT_TRUE(of_session.value_or("").contains(R"("session":"s")"));
  leave(std::move(by_function));
  leave(std::move(by_call));
  leave(std::move(by_session));
}

// One function prints far more than a follower takes; another prints a little at the same time.
TEST_F(LogHubTest, AStormLosesItsOwnLinesAndNoOthers) {
  auto follower = follow();
  Printing storm(*this, two_, "nodejs-storm");
  Printing quiet(*this, two_, "nodejs-quiet");
  const std::string text(1000, 'x');
  constexpr int kStormLines = 20'000;
  constexpr int kQuietLines = 100;
  for (int i = 0; i < kStormLines; ++i) {
    storm.print(text + "\n");
    if (i % (kStormLines / kQuietLines) == 0) quiet.print(fmt::format("{}\n", i));
  }
  storm.end();
  quiet.end();
  std::string got;
  std::size_t parcels_to_quiet = 0;
  std::size_t quiet_seen = 0;
  std::uint64_t storm_seen = 0;
  std::uint64_t dropped = 0;
  std::size_t bytes = 0;
  while (storm_seen + dropped < kStormLines) {
    const std::optional<std::string> part = next(*follower);
    ASSERT_TRUE(part.has_value());
    bytes += part->size();
    EXPECT_LE(part->size(), LogHub::kParcelBytes + 2048);
    if (quiet_seen < kQuietLines) ++parcels_to_quiet;
    for (std::size_t at = 0; at < part->size();) {
      const std::size_t end = part->find('\n', at);
      const std::string one = part->substr(at, end - at);
      at = end + 1;
      if (one.contains("\"dropped\"")) {
        EXPECT_TRUE(one.ends_with(R"(,"function":"nodejs-storm"})")) << one;
        dropped += std::stoull(one.substr(one.find(':') + 1));
      } else if (one.contains("nodejs-quiet")) {
        ++quiet_seen;
      } else {
        ++storm_seen;
      }
    }
  }
  EXPECT_EQ(quiet_seen, kQuietLines);  // none lost
  // Taken in turn with the storm's: long before its backlog has gone.
  EXPECT_LE(parcels_to_quiet, 8U);
  EXPECT_GT(dropped, 0U);
  EXPECT_LE(bytes, LogHub::kFollowerBytesMax + 2 * LogHub::kParcelBytes);
  leave(std::move(follower));
}

// The one that has most gives way to one that comes later.
TEST_F(LogHubTest, AFullOutletMakesRoomForAFunctionThatHasLess) {
  auto follower = follow();
  Printing storm(*this, two_, "nodejs-storm");
  const std::string text(1000, 'x');
  for (int i = 0; i < 2000; ++i) storm.print(text + "\n");
  std::vector<std::unique_ptr<Printing>> others;
  for (int i = 0; i < 50; ++i) {
    others.push_back(std::make_unique<Printing>(*this, two_, fmt::format("nodejs-f{}", i)));
    others.back()->print("here\n");
  }
  std::string got;
  for (int i = 0; i < 8; ++i) got += next(*follower).value_or("");
  for (int i = 0; i < 50; ++i)
    EXPECT_TRUE(got.contains(line(fmt::format("nodejs-f{}", i), 1, "here"))) << i;
  leave(std::move(follower));
}

TEST_F(LogHubTest, FollowersAreBounded) {
  std::vector<std::unique_ptr<LogFollower>> followers;
  for (std::size_t i = 0; i < LogHub::kFollowersMax; ++i) followers.push_back(follow());
  const auto one_more = try_follow({});
  ASSERT_FALSE(one_more.has_value());
  EXPECT_EQ(one_more.error().code, ErrorCode::kUnavailable);
  leave(std::move(followers.back()));
  followers.back() = follow();
  for (auto& follower : followers) leave(std::move(follower));
}

TEST_F(LogHubTest, AFollowerThatIsGoneIsWoken) {
  auto follower = follow();
  std::optional<bool> ended;
  on(one_, [&] {
    start(follower->next(gone_.get_token()),
          [&ended](const std::vector<LogEntry>& entries) { ended = entries.empty(); });
  });
  turn();
  EXPECT_FALSE(ended.has_value());
  on(one_, [&] { gone_.request_stop(); });
  turn();
  EXPECT_EQ(ended, true);
  leave(std::move(follower));
}

}  // namespace
}  // namespace seam::functions
