#pragma once
// Results of equal calls: kept ones are answered again, and equal calls that wait share one run.
// The executor comes here once the route has named the implementation, and only for calls whose
// result somebody wants kept (functions/cache_control.h). docs/caching.md has the rules.
//
//   const std::optional<CacheKeyView> key = cache.key_of({.implementation_id = 17, …});
//   if (KeptResultPtr kept = cache.find(*key, terms)) …answer kept->json…
//   else RunEnd end = co_await cache.run(*key, terms, std::move(run), sink);   // result: in sink
//
// In shards with a lock each, held for a look-up and never across a wait. docs/decisions/0015 says
// why not one for each loop, and what the lock costs.

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/task.h"
#include "functions/cache_control.h"
#include "functions/result_shelf.h"
#include "runtimes/runtime.h"

namespace seam::functions {

// Since the start, of all loops.
struct CacheStats {
  std::uint64_t hits = 0;       // answered with a kept result
  std::uint64_t misses = 0;     // run, for want of one
  std::uint64_t coalesced = 0;  // waited for the run of an equal call
  std::uint64_t evicted = 0;    // results taken away to make room
  std::uint64_t bytes = 0;      // now
  std::uint64_t entries = 0;    // now
};

// What makes two calls equal. Two that differ in nothing of this get the same result.
struct CallIdentity {
  std::int64_t implementation_id = 0;  // 0: a session's script, by the next three
  std::string_view language_title = {};
  std::string_view runtime = {};
  std::string_view script_hash = {};
  std::string_view subject = {};  // user_id
  std::string_view context = {};  // checked JSON
  std::string_view params = {};   // checked JSON
};

// A call that may be run on behalf of others too, so it owns what a run needs.
struct SharedRun {
  runtimes::Runtime* runtime = nullptr;
  runtimes::ProgramPtr program = {};
  std::string call_id = {};
  std::string params = {};
  std::string context = {};
  Deadline deadline = {};     // of this call
  nanoseconds timeout{0};     // of any equal call: it is part of what makes them equal
  std::stop_token gone = {};  // of this call
};

struct RunEnd {
  runtimes::Outcome outcome = {};  // its stats are those of the run where it is this call's own
  bool own = true;                 // the run was made for this call; false: for an equal one
};

// Any of the loops. Has no run any more when no call waits in run().
class ResultCache {
 public:
  static constexpr std::size_t kShards = 16;
  // Of one entry, key included: this share of a shard.
  static constexpr std::size_t kEntriesOfShardMin = 4;

  // bytes_max   of keys and results together, kEntryBytes for each entry added; a shard has its
  //             share of it
  ResultCache(const Clock& clock, std::size_t bytes_max);
  ~ResultCache();

  // Valid until the next key_of() on this thread. Nothing: longer than an entry may be.
  [[nodiscard]] std::optional<CacheKeyView> key_of(const CallIdentity& call) const;

  // A kept result young enough, or null.
  [[nodiscard]] KeptResultPtr find(const CacheKeyView& key, const CacheTerms& terms);

  // Waits for the run of an equal call, or runs. Resumes on the calling loop when the run has
  // ended, or before that where this call's deadline has passed or its caller is gone while others
  // wait on: the run is stopped when the last of them leaves. An error of the run is everyone's who
  // waited, and is not kept. `sink` gets the result, and the logs of a run that is this call's own.
  // `key` is borrowed until the task first waits. errors    in the outcome, as Runtime::run()
  [[nodiscard]] Task<RunEnd> run(CacheKeyView key, CacheTerms terms, SharedRun run,
                                 runtimes::CallSink& sink);

  [[nodiscard]] CacheStats stats() const;

 private:
  class Waiter;
  class FlightSink;
  struct Flight;
  using FlightPtr = std::shared_ptr<Flight>;
  struct Shard;

  [[nodiscard]] Shard& shard_of(const CacheKeyView& key) const;
  [[nodiscard]] KeptResultPtr find_locked(Shard& shard, const CacheKeyView& key,
                                          const CacheTerms& terms);
  Task<> fly(FlightPtr flight, SharedRun run);
  void land(Flight& flight, runtimes::Outcome outcome);

  const Clock& clock_;
  std::size_t entry_bytes_max_;
  std::array<unsigned char, 16> hash_key_;
  std::array<std::unique_ptr<Shard>, kShards> shards_;
};

}  // namespace seam::functions
