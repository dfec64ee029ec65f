// One run for equal calls that wait: a *flight*. It belongs to the loop of the call that began it
// and lives as long as somebody waits for it.
//
// The run has no caller of its own. Each waiter has its own timer and its own ear for a caller that
// goes, both on its own loop; a waiter that leaves while others stay is answered at once. The last
// one takes the flight out of the shard, so that nobody joins any more, asks the run to stop, and
// waits for that: therefore no run outlives the calls that wait for it, and a server that has
// answered everything has no run.
//
// A run that hangs must not be joined for ever, each newcomer lending it more time. A flight takes
// newcomers for as long as one call may take, `timeout`; so the last of them leaves before twice
// that, which is the deadline that the runtime is given.
//
// For example, with a timeout of 1 s: A begins a run at 0.0, B joins at 0.9 from another loop.
// At 1.0 A is answered TIMEOUT. At 1.1 C finds the flight too old and begins another. At 1.3 the
// run gives its result: it is kept, and B, now the first of those that wait, has it as its own.
#include "functions/result_cache.h"

#include <sodium/crypto_shorthash.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/event_loop.h"
#include "functions/canonical_json.h"

namespace seam::functions {

static_assert(crypto_shorthash_KEYBYTES == 16 && crypto_shorthash_BYTES == sizeof(std::uint64_t));

namespace {

using LogChunk = std::pair<runtimes::LogStream, std::string>;

struct Landing {
  RunEnd end = {};
  KeptResultPtr result = {};  // for a sink that did not get it as it came; null: it did, or none
  std::vector<LogChunk> logs = {};  // likewise
};

template <class T>
void append_bytes(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_text(std::string& out, std::string_view text) {
  append_bytes(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

}  // namespace

struct ResultCache::Flight {
  Flight(EventLoop& home, const CacheKeyView& wanted)
      : loop(home), key_text(wanted.text), key{wanted.hash, key_text} {}

  EventLoop& loop;
  std::string key_text;
  CacheKeyView key;
  MonotonicTime begun_at;
  MonotonicTime joinable_until;
  std::stop_source stop;

  // On the loop.
  runtimes::CallSink* beginner = nullptr;  // of the call that began it; null once it has left
  std::string result;
  std::vector<LogChunk> logs;  // from then on

  // Guarded by the shard's mutex.
  nanoseconds keep_for{0};       // the longest that one of them wants
  std::vector<Waiter*> waiters;  // in the order in which they came; empty: it has landed
};

struct ResultCache::Shard {
  Shard(std::size_t bytes_max, std::size_t entry_bytes_max) : shelf(bytes_max, entry_bytes_max) {}
  std::mutex mutex;
  // The rest is guarded by it.
  ResultShelf shelf;
  std::unordered_map<CacheKeyView, FlightPtr, CacheKeyHash> flights;  // that may be joined
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t coalesced = 0;

  // Nobody joins it any more.
  void close(const Flight& flight) {
    const auto found = flights.find(flight.key);
    if (found != flights.end() && found->second.get() == &flight) flights.erase(found);
  }
};

// One call that waits for a flight. On its own loop, but for `landed`, which is set by way of it.
class ResultCache::Waiter {
 public:
  Waiter(Shard& shard, EventLoop& loop) : shard_(shard), loop_(loop) {}

  // Under the shard's mutex, before anything else. `began`: the flight is made for this call.
  void board(FlightPtr flight, bool began) {
    flight->waiters.push_back(this);
    flight_ = std::move(flight);
    began_ = began;
  }

  // Any thread; once, after it has been taken from the flight's waiters. Its end may be the end of
  // this.
  void land(Landing landing) {
    if (loop_.is_current()) {
      landed_.set(std::move(landing));
    } else {
      // The frame that waits goes on only by this.
      loop_.post([this, moved = std::move(landing)]() mutable { landed_.set(std::move(moved)); });
    }
  }

  Task<Landing> wait(Deadline deadline, std::stop_token gone) {
    Timer timer(loop_);
    timer.start(deadline, [this] { leave({ErrorCode::kDeadlineExceeded, "its time is up", {}}); });
    const auto on_gone = [this] { leave({ErrorCode::kCancelled, "the caller is gone", {}}); };
    const std::stop_callback ear(std::move(gone), on_gone);
    Landing landing = co_await landed_;
    timer.cancel();
    if (why_ && !std::holds_alternative<runtimes::Completed>(landing.end.outcome.value))
      landing.end.outcome.value = *std::move(why_);
    co_return landing;
  }

 private:
  void leave(Error why) {
    if (why_) return;
    {
      const std::lock_guard lock(shard_.mutex);
      std::vector<Waiter*>& waiters = flight_->waiters;
      const auto me = std::ranges::find(waiters, this);
      if (me == waiters.end()) return;  // it has landed: what it brought is on its way
      why_ = std::move(why);
      if (waiters.size() > 1) {
        waiters.erase(me);
      } else {
        shard_.close(*flight_);
        flight_->loop.post([flight = flight_] { flight->stop.request_stop(); });
        return;
      }
    }
    if (began_) flight_->beginner = nullptr;  // this is the flight's loop
    // Later, since the caller's going is being told to others too.
    loop_.post([this] {
      landed_.set({.end = {.outcome = {.value = *why_, .stats = {}}, .own = false},
                   .result = nullptr,
                   .logs = {}});
    });
  }

  Shard& shard_;
  EventLoop& loop_;
  FlightPtr flight_;
  bool began_ = false;
  std::optional<Error> why_;  // it wanted to leave
  OneShot<Landing> landed_;
};

// Gives what a run gives to the call that began it, for as long as it waits, and keeps it for the
// others.
class ResultCache::FlightSink final : public runtimes::CallSink {
 public:
  explicit FlightSink(Flight& flight) : flight_(flight) {}
  void on_result(std::string_view chunk) override {
    flight_.result.append(chunk);
    if (flight_.beginner != nullptr) flight_.beginner->on_result(chunk);
  }
  void on_log(runtimes::LogStream stream, std::string_view bytes) override {
    if (flight_.beginner != nullptr) {
      flight_.beginner->on_log(stream, bytes);
    } else {
      flight_.logs.emplace_back(stream, bytes);
    }
  }

 private:
  Flight& flight_;
};

ResultCache::ResultCache(const Clock& clock, std::size_t bytes_max)
    : clock_(clock), entry_bytes_max_(bytes_max / kShards / kEntriesOfShardMin) {
  CHECK(::getrandom(hash_key_.data(), hash_key_.size(), 0) ==
        static_cast<ssize_t>(hash_key_.size()));
  for (auto& shard : shards_) {
    shard = std::make_unique<Shard>(bytes_max / kShards, entry_bytes_max_);
  }
}

ResultCache::~ResultCache() = default;

std::optional<CacheKeyView> ResultCache::key_of(const CallIdentity& call) const {
  constexpr std::size_t kScratchBytesMax = 64U << 10U;
  struct Scratch {
    CanonicalJson json;
    std::string key;
  };
  thread_local Scratch scratch;
  if (call.params.size() + call.context.size() > entry_bytes_max_) return std::nullopt;
  if (scratch.key.capacity() > kScratchBytesMax) scratch = {};
  std::string& key = scratch.key;
  key.clear();
  // No key is the beginning of another, since each text but the last stands behind its length.
  append_bytes(key, call.implementation_id);
  if (call.implementation_id == 0) {
    append_text(key, call.language_title);
    append_text(key, call.runtime);
    append_text(key, call.script_hash);
  }
  append_text(key, call.subject);
  const std::size_t length_at = key.size();
  append_bytes(key, std::uint32_t{0});
  scratch.json.append(call.context, key);
  const auto length = static_cast<std::uint32_t>(key.size() - length_at - sizeof(std::uint32_t));
  key.replace(length_at, sizeof(length), reinterpret_cast<const char*>(&length), sizeof(length));
  scratch.json.append(call.params, key);

  CacheKeyView view{.hash = 0, .text = key};
  // Keyed, so that nobody can choose params whose hashes collide.
  CHECK(crypto_shorthash(reinterpret_cast<unsigned char*>(&view.hash),
                         reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                         hash_key_.data()) == 0);
  return view;
}

// By other bits of the hash than those that choose the bucket.
ResultCache::Shard& ResultCache::shard_of(const CacheKeyView& key) const {
  return *shards_[(key.hash >> 32U) % kShards];
}

KeptResultPtr ResultCache::find_locked(Shard& shard, const CacheKeyView& key,
                                       const CacheTerms& terms) {
  const MonotonicTime now = clock_.now();
  const KeptResultPtr* kept = shard.shelf.find(key, now);
  if (kept == nullptr || now - (*kept)->kept_at > terms.age_max) return nullptr;
  ++shard.hits;
  return *kept;
}

KeptResultPtr ResultCache::find(const CacheKeyView& key, const CacheTerms& terms) {
  if (!terms.look) return nullptr;
  Shard& shard = shard_of(key);
  const std::lock_guard lock(shard.mutex);
  return find_locked(shard, key, terms);
}

Task<RunEnd> ResultCache::run(CacheKeyView key, CacheTerms terms, SharedRun run,
                              runtimes::CallSink& sink) {
  Shard& shard = shard_of(key);
  EventLoop& here = *EventLoop::current();
  Waiter waiter(shard, here);
  FlightPtr mine;
  KeptResultPtr kept;
  {
    const std::lock_guard lock(shard.mutex);
    // Again: an equal run may have landed since find().
    if (terms.look) kept = find_locked(shard, key, terms);
    const MonotonicTime now = MonotonicClock::now();
    const auto found = terms.look && !kept ? shard.flights.find(key) : shard.flights.end();
    if (kept) {
    } else if (found != shard.flights.end() && now < found->second->joinable_until) {
      ++shard.coalesced;
      found->second->keep_for = std::max(found->second->keep_for, terms.keep_for);
      waiter.board(found->second, false);
    } else {
      ++shard.misses;
      mine = std::make_shared<Flight>(here, key);
      mine->begun_at = clock_.now();
      mine->joinable_until = now + run.timeout;
      mine->beginner = &sink;
      mine->keep_for = terms.keep_for;
      if (terms.look) {
        if (found != shard.flights.end()) shard.flights.erase(found);
        shard.flights.emplace(mine->key, mine);
      }
      waiter.board(mine, true);
    }
  }
  if (kept) {
    sink.on_result(kept->json);
    co_return RunEnd{.outcome = {}, .own = false};
  }
  const Deadline deadline = run.deadline;
  const std::stop_token gone = run.gone;
  if (mine) start(fly(std::move(mine), std::move(run)));
  Landing landing = co_await waiter.wait(deadline, gone);
  for (const auto& [stream, bytes] : landing.logs) sink.on_log(stream, bytes);
  if (landing.result) sink.on_result(landing.result->json);
  co_return std::move(landing.end);
}

Task<> ResultCache::fly(FlightPtr flight, SharedRun run) {
  FlightSink sink(*flight);
  const runtimes::Call call{.call_id = run.call_id,
                            .params = run.params,
                            .context = run.context,
                            .deadline = Deadline{flight->joinable_until + run.timeout},
                            .cancelled = flight->stop.get_token()};
  runtimes::Outcome outcome = co_await run.runtime->run(run.program, call, sink);
  land(*flight, std::move(outcome));
}

void ResultCache::land(Flight& flight, runtimes::Outcome outcome) {
  const bool completed = std::holds_alternative<runtimes::Completed>(outcome.value);
  KeptResultPtr result;
  if (completed) {
    result = std::make_shared<const KeptResult>(KeptResult{
        .json = std::move(flight.result), .begun_at = flight.begun_at, .kept_at = clock_.now()});
  }
  std::vector<Waiter*> waiters;
  {
    Shard& shard = shard_of(flight.key);
    const std::lock_guard lock(shard.mutex);
    shard.close(flight);
    if (completed) shard.shelf.put(flight.key, result, result->kept_at + flight.keep_for);
    waiters = std::exchange(flight.waiters, {});
  }
  for (std::size_t i = 0; i < waiters.size(); ++i) {
    Landing landing;
    landing.end.own = i == 0;
    landing.end.outcome.value = outcome.value;
    if (i == 0) landing.end.outcome.stats = outcome.stats;
    if (i > 0 || flight.beginner == nullptr) landing.result = result;
    if (i == 0) landing.logs = std::move(flight.logs);
    waiters[i]->land(std::move(landing));
  }
}

CacheStats ResultCache::stats() const {
  CacheStats sum;
  for (const auto& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    sum.hits += shard->hits;
    sum.misses += shard->misses;
    sum.coalesced += shard->coalesced;
    sum.evicted += shard->shelf.evicted();
    sum.bytes += shard->shelf.bytes();
    sum.entries += shard->shelf.size();
  }
  return sum;
}

}  // namespace seam::functions
