#pragma once
// Counters, gauges and histograms that many threads feed and a scrape reads. Each thread adds to
// cells of its own, which nobody else writes: an increment is a load and a store, without a lock
// or a cache line that another thread writes. A scrape sums the cells of all threads.
//
//   Registry registry;
//   const Counter hits = registry
//                            .counters({.name = "seam_cache_hits_total",
//                                       .help = "Calls answered by the result cache.",
//                                       .labels = {"runtime"}})
//                            .with({"nodejs"});      // once, ahead: takes a lock and hashes
//   hits.add();                                     // any thread, as often as wanted: about 1 ns
//   TextWriter writer(TextWriter::Format::kText);
//   registry.write(writer);                         // any thread but those that answer calls
//
// A series lives as long as a handle to it: when the last goes, so does the series. A family has at
// most `series_max` of them; above that, a new one is shared by all that come, with "(other)" as
// the value of its first label, so that what outsiders name cannot grow without bound.
//
// thread    all of it any thread; with(), the destructor of a handle and write() take a lock.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace seam::metrics {

class TextWriter;

// Upper bounds of the buckets of durations: from a warm WebAssembly call to a slow compilation.
inline constexpr std::array<nanoseconds, 16> kDurationBounds = {
    microseconds(100),  microseconds(250),  microseconds(500), milliseconds(1),
    microseconds(2500), milliseconds(5),    milliseconds(10),  milliseconds(25),
    milliseconds(50),   milliseconds(100),  milliseconds(250), milliseconds(500),
    seconds(1),         milliseconds(2500), seconds(10),       seconds(30)};

// The value of the first label of what is over a family's limit.
inline constexpr std::string_view kOther = "(other)";

struct FamilyOptions {
  std::string
      name;  // "seam_calls_total": base units; counters end in _total, durations in _seconds
  std::string help;                      // a sentence
  std::vector<std::string> labels = {};  // names; the one that outsiders fill comes first
  std::size_t series_max = 1000;
  bool hide_empty = false;  // a series appears with its first event, not before
};

enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };

namespace internal {

struct Ledger;
struct SeriesState;

// The number of the calling thread, below kThreadsMax; kThreadsMax is shared by all threads beyond.
inline constexpr std::uint32_t kThreadsMax = 63;
inline constexpr std::uint32_t kUnclaimed = ~std::uint32_t{0};
inline constinit thread_local std::uint32_t thread_number = kUnclaimed;
std::uint32_t claim_thread_number();

inline constexpr std::uint32_t kChunkCells = 1024;
inline constexpr std::uint32_t kChunksMax = 1024;
using Cell = std::atomic<std::uint64_t>;
struct alignas(64) Chunk {
  std::array<Cell, kChunkCells> cells{};
};
struct ThreadCells {
  std::array<std::atomic<Chunk*>, kChunksMax> chunks{};
};
struct Cells {
  std::array<std::atomic<ThreadCells*>, kThreadsMax + 1> threads{};
};
Cell* make_cells(Cells& cells, std::uint32_t thread, std::uint32_t first);

// The calling thread's own cells of a series, from its first on.
inline Cell* own_cells(Cells& cells, std::uint32_t first, std::uint32_t& thread) {
  thread = thread_number;
  if (thread == kUnclaimed) [[unlikely]]
    thread = claim_thread_number();
  ThreadCells* const own = cells.threads[thread].load(std::memory_order_acquire);
  Chunk* const chunk =
      own == nullptr ? nullptr : own->chunks[first / kChunkCells].load(std::memory_order_acquire);
  if (chunk == nullptr) [[unlikely]]
    return make_cells(cells, thread, first);
  return &chunk->cells[first % kChunkCells];
}

inline void add(Cell& cell, std::uint64_t by, std::uint32_t thread) {
  if (thread < kThreadsMax) [[likely]] {
    cell.store(cell.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  } else {
    cell.fetch_add(by, std::memory_order_relaxed);
  }
}

// A share in a series.
class Handle {
 public:
  Handle() = default;  // of nothing: to be assigned before it is used
  Handle(Ledger* ledger, SeriesState* series, Cells* cells, std::uint32_t first,
         std::span<const nanoseconds> bounds)
      : ledger_(ledger), series_(series), cells_(cells), bounds_(bounds), first_(first) {}
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;
  ~Handle() { release(); }

 protected:
  void release();
  Ledger* ledger_ = nullptr;
  SeriesState* series_ = nullptr;
  Cells* cells_ = nullptr;
  std::span<const nanoseconds> bounds_;
  std::uint32_t first_ = 0;
};

}  // namespace internal

// Handles; each may be used by any number of threads at once, and must not outlive its registry.
class Counter : public internal::Handle {
 public:
  using Handle::Handle;
  static constexpr Kind kKind = Kind::kCounter;
  void add(std::uint64_t by = 1) const {
    std::uint32_t thread = 0;
    internal::Cell* const cell = internal::own_cells(*cells_, first_, thread);
    internal::add(*cell, by, thread);
  }
};

// Goes up and down; what one thread added another may take away.
class Gauge : public internal::Handle {
 public:
  using Handle::Handle;
  static constexpr Kind kKind = Kind::kGauge;
  void add(std::int64_t by) const {
    std::uint32_t thread = 0;
    internal::Cell* const cell = internal::own_cells(*cells_, first_, thread);
    internal::add(*cell, static_cast<std::uint64_t>(by), thread);
  }
};

class Histogram : public internal::Handle {
 public:
  using Handle::Handle;
  static constexpr Kind kKind = Kind::kHistogram;
  // A negative span counts as none.
  void observe(nanoseconds span) const {
    std::uint32_t thread = 0;
    internal::Cell* const cells = internal::own_cells(*cells_, first_, thread);
    std::size_t bucket = 0;
    while (bucket < bounds_.size() && span > bounds_[bucket]) ++bucket;
    internal::add(cells[bucket], 1, thread);
    if (span.count() > 0)
      internal::add(cells[bounds_.size() + 1], static_cast<std::uint64_t>(span.count()), thread);
  }
};

// What has one name, one meaning and one set of labels.
template <class Metric>
class Family {
 public:
  // The series with these values, one for each label of the family in its order; made if it is not
  // there. Another number of values is a bug.
  [[nodiscard]] Metric with(std::initializer_list<std::string_view> values) const {
    return take(std::span(values.begin(), values.size()));
  }
  [[nodiscard]] Metric one() const { return take({}); }  // of a family without labels

 private:
  friend class Registry;
  Family(internal::Ledger* ledger, std::size_t index) : ledger_(ledger), index_(index) {}
  [[nodiscard]] Metric take(std::span<const std::string_view> values) const;
  internal::Ledger* ledger_;
  std::size_t index_;
};

class Registry {
 public:
  Registry();
  ~Registry();  // after every handle
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // A family of a name that is there already is the same family; another kind or other labels under
  // one name are a bug.
  [[nodiscard]] Family<Counter> counters(FamilyOptions options);
  [[nodiscard]] Family<Gauge> gauges(FamilyOptions options);
  // `bounds` ascend and live as long as the registry.
  [[nodiscard]] Family<Histogram> histograms(FamilyOptions options,
                                             std::span<const nanoseconds> bounds = kDurationBounds);

  // Writes all families, by name. Sums are of one moment for each cell, not for all at once: a
  // histogram's count is the sum of the buckets that are written with it.
  void write(TextWriter& writer) const;

 private:
  std::unique_ptr<internal::Ledger> ledger_;
};

}  // namespace seam::metrics
