#pragma once
// Kept results, bounded in bytes: one shard of the result cache (functions/result_cache.h), which
// holds its lock while it calls here.
//
//   shelf.put(key, result, now + ttl);
//   if (const KeptResult* kept = shelf.find(key, now)) …
//
// What goes when it is full is chosen by SIEVE: results stand in the order in which they came; a
// hand goes from the oldest to the newest, takes away the first that was not asked for since it
// last passed, and forgets of the others that they were. So a flood of results that nobody asks for
// again pushes out its own, and a hit moves nothing: it sets one mark.
// source    Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"

namespace seam::functions {

// The key of a call with its hash, which is keyed itself (functions/result_cache.cc).
struct CacheKeyView {
  std::uint64_t hash = 0;
  std::string_view text;
  friend bool operator==(const CacheKeyView& a, const CacheKeyView& b) {
    return a.hash == b.hash && a.text == b.text;
  }
};

struct CacheKeyHash {
  std::size_t operator()(const CacheKeyView& key) const { return key.hash; }
};

struct KeptResult {
  std::string json;
  MonotonicTime begun_at;  // its run
  MonotonicTime kept_at;   // from when its age counts
};
// Shared: a result that is taken away while it is copied into an answer lives until then.
using KeptResultPtr = std::shared_ptr<const KeptResult>;

// One thread at a time.
class ResultShelf {
 public:
  // What an entry takes beside its key and its result: nodes, pointers, the allocator's share.
  static constexpr std::size_t kEntryBytes = 320;

  // An entry of more than `entry_bytes_max`, at most `bytes_max`, is not taken.
  ResultShelf(std::size_t bytes_max, std::size_t entry_bytes_max)
      : bytes_max_(bytes_max), entry_bytes_max_(entry_bytes_max) {}

  // Null: none, or its time is over. The result is the shelf's.
  [[nodiscard]] const KeptResultPtr* find(const CacheKeyView& key, MonotonicTime now);

  // Keeps `result` until `expires_at`, in place of one of this key unless that began to run later.
  // Takes others away until it fits. Copies the key. False: too large, or older.
  bool put(const CacheKeyView& key, KeptResultPtr result, MonotonicTime expires_at);

  [[nodiscard]] std::size_t bytes() const { return bytes_; }  // at most bytes_max
  [[nodiscard]] std::size_t size() const { return index_.size(); }
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }  // to make room, so far

 private:
  struct Entry {
    std::string key;
    std::uint64_t hash = 0;
    KeptResultPtr result;
    MonotonicTime expires_at;
    bool asked_for = false;  // since the hand last passed
    [[nodiscard]] std::size_t bytes() const {
      return key.size() + result->json.size() + kEntryBytes;
    }
  };
  using Entries = std::list<Entry>;
  void erase(Entries::iterator entry);
  void evict_one();

  std::size_t bytes_max_;
  std::size_t entry_bytes_max_;
  std::size_t bytes_ = 0;
  std::uint64_t evicted_ = 0;
  Entries entries_;                          // newest first
  Entries::iterator hand_ = entries_.end();  // the next to be looked at; end: the oldest
  std::unordered_map<CacheKeyView, Entries::iterator, CacheKeyHash> index_;
};

}  // namespace seam::functions
