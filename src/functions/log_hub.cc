#include "functions/log_hub.h"

#include <fmt/format.h>

#include <deque>
#include <optional>
#include <unordered_map>

#include "base/json_text.h"

namespace seam::functions {
namespace {

// What stands around the text of a line.
constexpr std::size_t kLineAroundBytes = 256;

}  // namespace

void append_line_json(std::string& out, const store::CallRecord& call, const store::LogLine& line) {
  fmt::format_to(std::back_inserter(out), R"({{"time":"{}","call_id":"{}","line":{},"function":)",
                 format_rfc3339(line.time), call.call_id, line.number);
  append_json_string(out, call.language_title);
  out += R"(,"session":)";
  out += call.has_session ? "\"" + call.request_id + "\"" : "null";
  const std::string_view stream = store::to_string(line.stream);
  out += R"(,"stream":)";
  out += stream.empty() ? "null" : fmt::format("\"{}\"", stream);
  out += R"(,"text":)";
  append_json_string(out, line.text);
  out += '}';
}

// A follower's own, on its loop: at most one parcel from each loop.
struct LogHub::Inbox {
  explicit Inbox(EventLoop& home) : loop(home) {}

  struct Parcel {
    std::size_t from;  // index of its loop
    std::vector<LogEntry> entries;
  };

  void receive(Parcel parcel) {
    parcels.push_back(std::move(parcel));
    wake_up();
  }
  void wake_up() {
    if (waiter != nullptr) std::exchange(waiter, nullptr)->set(true);
  }

  EventLoop& loop;
  std::deque<Parcel> parcels;
  OneShot<bool>* waiter = nullptr;
};

// Of one follower on one loop: lines that wait to be sent.
struct LogHub::Outlet : std::enable_shared_from_this<LogHub::Outlet> {
  // The lines of one function that wait.
  struct Lane {
    std::string function;
    std::deque<LogEntry> entries;
    std::size_t bytes = 0;
    std::uint64_t dropped = 0;  // after the last entry
  };

  [[nodiscard]] bool wants(const store::CallRecord& call, const store::LogLine& line) const {
    return line.time >= filter.since &&
           (filter.language_title.empty() || filter.language_title == call.language_title) &&
           (filter.call_id.empty() || filter.call_id == call.call_id) &&
           (filter.session_id.empty() ||
            (call.has_session && filter.session_id == call.request_id));
  }

  void add(const store::CallRecord& call, const store::LogLine& line) {
    Lane& lane = lane_of(call.language_title);
    const std::size_t size = line.text.size() + kLineAroundBytes;
    if (make_room(lane, size)) {
      mark_dropped(lane);
      LogEntry entry{.call_id = call.call_id};
      entry.text.reserve(size);
      append_line_json(entry.text, call, line);
      entry.text += '\n';
      keep(lane, std::move(entry));
    } else {
      ++lane.dropped;
    }
    send_later();
  }

  Lane& lane_of(const std::string& function) {
    const auto [place, made] = lanes.try_emplace(function);
    if (made) {
      place->second.function = function;
      turns.push_back(&place->second);
    }
    return place->second;
  }
  void keep(Lane& lane, LogEntry entry) {
    lane.bytes += entry.text.size();
    bytes += entry.text.size();
    lane.entries.push_back(std::move(entry));
  }
  void mark_dropped(Lane& lane) {
    if (lane.dropped == 0) return;
    LogEntry entry{.dropped = std::exchange(lane.dropped, 0)};
    entry.text = fmt::format(R"({{"dropped":{},"function":)", entry.dropped);
    append_json_string(entry.text, lane.function);
    entry.text += "}\n";
    keep(lane, std::move(entry));
  }
  // Whether `size` more bytes may wait in this lane. Takes them from those that have more than
  // their share, if it has less.
  bool make_room(const Lane& lane, std::size_t size) {
    if (bytes + size <= bytes_max) return true;
    const std::size_t share = bytes_max / turns.size();
    if (lane.bytes + size > share) return false;
    while (bytes + size > bytes_max) {
      Lane* most = turns.front();
      for (Lane* each : turns)
        if (each->bytes > most->bytes) most = each;
      if (most->entries.empty()) return false;
      const LogEntry& last = most->entries.back();
      most->dropped += last.dropped != 0 ? last.dropped : 1;
      most->bytes -= last.text.size();
      bytes -= last.text.size();
      most->entries.pop_back();
    }
    return true;
  }

  // At the end of the loop's turn, so that what is printed in one goes together.
  void send_later() {
    if (!asked || sending) return;
    sending = true;
    loop.post([self = shared_from_this()] { self->send(); });
  }
  void send() {
    sending = false;
    Inbox::Parcel parcel{.from = index, .entries = {}};
    std::size_t taken = 0;
    while (taken < kParcelBytes && !turns.empty()) {
      Lane& lane = *turns.front();
      turns.pop_front();
      if (lane.entries.empty()) mark_dropped(lane);
      if (!lane.entries.empty()) {
        LogEntry& entry = lane.entries.front();
        taken += entry.text.size();
        lane.bytes -= entry.text.size();
        bytes -= entry.text.size();
        parcel.entries.push_back(std::move(entry));
        lane.entries.pop_front();
      }
      if (lane.entries.empty() && lane.dropped == 0) {
        lanes.erase(lanes.find(lane.function));
      } else {
        turns.push_back(&lane);
      }
    }
    if (parcel.entries.empty()) return;
    asked = false;
    if (const std::shared_ptr<Inbox> to = inbox.lock())
      to->loop.post([to, sent = std::move(parcel)]() mutable { to->receive(std::move(sent)); });
  }
  // The follower has taken the last parcel.
  void ask() {
    asked = true;
    if (!turns.empty()) send();
  }

  Outlet(EventLoop& home, std::size_t place, std::uint64_t follower, std::size_t most,
         LogFilter wanted, std::weak_ptr<Inbox> to)
      : loop(home),
        index(place),
        id(follower),
        bytes_max(most),
        filter(std::move(wanted)),
        inbox(std::move(to)) {}

  EventLoop& loop;
  const std::size_t index;
  const std::uint64_t id;  // grows with each follower
  const std::size_t bytes_max;
  const LogFilter filter;
  const std::weak_ptr<Inbox> inbox;
  std::unordered_map<std::string, Lane> lanes;  // those in `turns`
  std::deque<Lane*> turns;
  std::size_t bytes = 0;
  bool asked = true;     // a parcel may go
  bool sending = false;  // at the end of this turn
};

struct LogHub::Slot {
  std::vector<std::shared_ptr<Outlet>> outlets;  // shared with what is posted to them
  std::uint64_t newest_follower = 0;
};

LogHub::LogHub(std::span<EventLoop* const> loops) : slots_(loops) {}
LogHub::~LogHub() = default;

Task<Result<std::unique_ptr<LogFollower>>> LogHub::follow(LogFilter filter) {
  EventLoop* const home = EventLoop::current();
  if (followers_.fetch_add(1) >= kFollowersMax) {
    --followers_;
    co_return fail(
        ErrorCode::kUnavailable,
        fmt::format("{} clients follow logs already: try again when one has ended", kFollowersMax));
  }
  const std::uint64_t id = ++follower_ids_;
  auto inbox = std::make_shared<Inbox>(*home);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    co_await slots_.loop(i).schedule();
    Slot& slot = slots_.at(i);
    slot.outlets.push_back(std::make_shared<Outlet>(
        slots_.loop(i), i, id, kFollowerBytesMax / slots_.size(), filter, inbox));
    slot.newest_follower = std::max(slot.newest_follower, id);
  }
  co_await home->schedule();
  co_return std::make_unique<LogFollower>(*this, std::move(inbox));
}

bool LogHub::has_new_follower(const LiveLog& live) const {
  return slots_.here().newest_follower > live.newest_follower;
}

void LogHub::publish(const store::CallRecord& call, const store::LogLine& line,
                     std::uint64_t after_follower) {
  for (const std::shared_ptr<Outlet>& outlet : slots_.here().outlets)
    if (outlet->id > after_follower && outlet->wants(call, line)) outlet->add(call, line);
}

// Shows followers who have come since the last time what the call has printed before them.
void LogHub::catch_up(const store::CallRecord& call, LiveLog& live) {
  if (!has_new_follower(live)) return;
  const std::uint64_t shown_to = std::exchange(live.newest_follower, slots_.here().newest_follower);
  live.lines = {};
  store::add_lines(call, live.lines,
                   [&](const store::LogLine& line) { publish(call, line, shown_to); });
}

void LogHub::add(const store::CallRecord& call, LiveLog& live, store::LogStream stream,
                 WallTime time, std::string_view bytes) {
  catch_up(call, live);
  if (live.newest_follower == 0) return;
  live.lines.add(stream, time, bytes, [&](const store::LogLine& line) { publish(call, line, 0); });
}

void LogHub::finish(const store::CallRecord& call, LiveLog& live) {
  catch_up(call, live);
  if (live.newest_follower == 0) return;
  live.lines.finish([&](const store::LogLine& line) { publish(call, line, 0); });
}

void LogHub::leave(const std::shared_ptr<Inbox>& inbox) {
  --followers_;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    slots_.loop(i).post([this, i, inbox] {
      std::erase_if(slots_.at(i).outlets,
                    [&](const auto& outlet) { return outlet->inbox.lock() == inbox; });
    });
  }
}

LogFollower::LogFollower(LogHub& hub, std::shared_ptr<LogHub::Inbox> inbox)
    : hub_(hub), inbox_(std::move(inbox)) {}

LogFollower::~LogFollower() { hub_.leave(inbox_); }

Task<std::vector<LogEntry>> LogFollower::next(std::stop_token gone) {
  const std::shared_ptr<LogHub::Inbox> inbox = inbox_;
  if (inbox->parcels.empty() && !gone.stop_requested()) {
    OneShot<bool> woken;
    inbox->waiter = &woken;
    const std::stop_callback on_gone(gone,
                                     [&inbox] { inbox->loop.post([inbox] { inbox->wake_up(); }); });
    co_await woken;
  }
  if (inbox->parcels.empty() || gone.stop_requested()) co_return std::vector<LogEntry>();
  LogHub::Inbox::Parcel parcel = std::move(inbox->parcels.front());
  inbox->parcels.pop_front();
  hub_.slots_.loop(parcel.from).post([&hub = hub_, inbox, from = parcel.from] {
    for (const std::shared_ptr<LogHub::Outlet>& outlet : hub.slots_.at(from).outlets)
      if (outlet->inbox.lock() == inbox) outlet->ask();
  });
  co_return std::move(parcel.entries);
}

}  // namespace seam::functions
