#pragma once
// What functions print, as they print it, for those who follow it.
//
//   SEAM_CO_ASSIGN_OR_RETURN(auto follower, co_await hub.follow({.language_title = "nodejs-sum"}));
//   std::vector<LogEntry> entries = co_await follower->next(request.gone);      // again and again
//
// Nobody takes a lock. A call prints on the loop that awaits it, and hands its lines to that loop's
// outlet of each follower. An outlet sends one parcel to the follower's loop and waits until the
// follower has taken it off before it sends the next; meanwhile lines gather there, by function, up
// to a limit. Beyond it the function that has most loses its newest lines and the follower is told
// how many, so a function that prints little loses nothing to one that prints much, and a parcel
// takes from all functions in turn, so it does not wait for it either. A call never waits.
// While nobody follows, a call pays for one read of an atomic.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/per_loop.h"
#include "base/result.h"
#include "base/task.h"
#include "store/call_log.h"
#include "store/call_record.h"

namespace seam::functions {

// Conditions that are left empty hold for every call.
struct LogFilter {
  std::string language_title = {};
  std::string session_id = {};
  std::string call_id = {};
  WallTime since = {};  // earlier lines of calls that still run are left out
};

// One line of a log as JSON with a line feed, or the word that lines were dropped:
//   {"time":"…","call_id":"…","line":1,"function":"…","session":null,"stream":"stdout","text":"…"}
//   {"dropped":120,"function":"nodejs-sum"}
struct LogEntry {
  std::string call_id = {};  // empty with "dropped"
  std::string text = {};
  std::uint64_t dropped = 0;
};

// Appends a line as it stands in LogEntry, without the line feed.
void append_line_json(std::string& out, const store::CallRecord& call, const store::LogLine& line);

// How far followers have seen the log of a call that runs.
struct LiveLog {
  std::uint64_t newest_follower = 0;
  store::LogLines lines;
};

class LogFollower;

class LogHub {
 public:
  static constexpr std::size_t kFollowersMax = 64;
  static constexpr std::size_t kFollowerBytesMax = 1U << 20U;  // that wait for one, on all loops
  static constexpr std::size_t kParcelBytes = 32U << 10U;      // beside its last line

  explicit LogHub(std::span<EventLoop* const> loops);
  LogHub(const LogHub&) = delete;
  LogHub& operator=(const LogHub&) = delete;
  ~LogHub();

  // Lines from now on, and those of calls that run now from `since` on. On one of the loops, where
  // the follower then lives.
  // errors    kUnavailable   kFollowersMax follow already
  [[nodiscard]] Task<Result<std::unique_ptr<LogFollower>>> follow(LogFilter filter);

  // For the call, on its loop. Whether add() is wanted.
  [[nodiscard]] bool followed() const { return followers_.load(std::memory_order_relaxed) != 0; }
  // Whether a follower has come since the last add(), who is to get what `call` holds so far.
  [[nodiscard]] bool has_new_follower(const LiveLog& live) const;
  // The call prints `bytes`, which are not yet in its record.
  void add(const store::CallRecord& call, LiveLog& live, store::LogStream stream, WallTime time,
           std::string_view bytes);
  // The call has ended.
  void finish(const store::CallRecord& call, LiveLog& live);

 private:
  friend class LogFollower;
  struct Inbox;
  struct Outlet;
  struct Slot;

  void catch_up(const store::CallRecord& call, LiveLog& live);
  void publish(const store::CallRecord& call, const store::LogLine& line,
               std::uint64_t after_follower);
  void leave(const std::shared_ptr<Inbox>& inbox);

  std::atomic<std::size_t> followers_{0};
  std::atomic<std::uint64_t> follower_ids_{0};
  PerLoop<Slot> slots_;
};

// On the loop where it was made.
class LogFollower {
 public:
  LogFollower(LogHub& hub, std::shared_ptr<LogHub::Inbox> inbox);
  LogFollower(const LogFollower&) = delete;
  LogFollower& operator=(const LogFollower&) = delete;
  ~LogFollower();

  // The next lines, in the order of their call; none once `gone` is requested. One at a time.
  [[nodiscard]] Task<std::vector<LogEntry>> next(std::stop_token gone);

 private:
  LogHub& hub_;
  std::shared_ptr<LogHub::Inbox> inbox_;  // shared with parcels on their way
};

}  // namespace seam::functions
