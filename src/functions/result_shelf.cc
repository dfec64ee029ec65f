#include "functions/result_shelf.h"

#include <iterator>
#include <utility>

namespace seam::functions {

const KeptResultPtr* ResultShelf::find(const CacheKeyView& key, MonotonicTime now) {
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  Entry& entry = *found->second;
  if (now >= entry.expires_at) {
    erase(found->second);
    return nullptr;
  }
  entry.asked_for = true;
  return &entry.result;
}

bool ResultShelf::put(const CacheKeyView& key, KeptResultPtr result, MonotonicTime expires_at) {
  if (const auto found = index_.find(key); found != index_.end()) {
    if (found->second->result->begun_at > result->begun_at) return false;
    erase(found->second);
  }
  const std::size_t bytes = key.text.size() + result->json.size() + kEntryBytes;
  if (bytes > entry_bytes_max_) return false;
  while (bytes_ + bytes > bytes_max_) evict_one();
  entries_.push_front({.key = std::string(key.text),
                       .hash = key.hash,
                       .result = std::move(result),
                       .expires_at = expires_at});
  index_.emplace(CacheKeyView{key.hash, entries_.front().key}, entries_.begin());
  bytes_ += bytes;
  return true;
}

void ResultShelf::erase(Entries::iterator entry) {
  // The hand goes on to the next newer one; before the newest it begins again at the oldest.
  if (hand_ == entry) hand_ = entry == entries_.begin() ? entries_.end() : std::prev(entry);
  bytes_ -= entry->bytes();
  index_.erase(CacheKeyView{entry->hash, entry->key});
  entries_.erase(entry);
}

void ResultShelf::evict_one() {
  // Ends: the first round takes every mark away.
  while (true) {
    if (hand_ == entries_.end()) hand_ = std::prev(entries_.end());
    if (!std::exchange(hand_->asked_for, false)) break;
    hand_ = hand_ == entries_.begin() ? entries_.end() : std::prev(hand_);
  }
  ++evicted_;
  erase(hand_);
}

}  // namespace seam::functions
