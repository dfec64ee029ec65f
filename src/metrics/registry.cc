#include "metrics/registry.h"

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/check.h"
#include "metrics/text_writer.h"

namespace seam::metrics {
namespace internal {
namespace {

// Which thread numbers are taken, a bit each. One for the process, since a thread has one number
// whatever registries there are; it is the only state here that is not a registry's.
constinit std::atomic<std::uint64_t> taken{0};  // NOLINT: see above

// Gives the thread's number back when it ends; whoever takes it next adds on to the same cells.
struct NumberGuard {
  std::uint32_t number = kThreadsMax;
  NumberGuard() {
    std::uint64_t now = taken.load(std::memory_order_relaxed);
    do {
      number = static_cast<std::uint32_t>(std::countr_one(now));
      if (number >= kThreadsMax) {
        number = kThreadsMax;
        return;
      }
    } while (!taken.compare_exchange_weak(now, now | (std::uint64_t{1} << number),
                                          std::memory_order_acq_rel, std::memory_order_relaxed));
  }
  NumberGuard(const NumberGuard&) = delete;
  NumberGuard& operator=(const NumberGuard&) = delete;
  ~NumberGuard() {
    // Whatever still counts while the thread ends shares the last cells.
    thread_number = kThreadsMax;
    if (number < kThreadsMax)
      taken.fetch_and(~(std::uint64_t{1} << number), std::memory_order_acq_rel);
  }
};

template <class T>
T* made(std::atomic<T*>& place) {
  T* there = place.load(std::memory_order_acquire);
  if (there != nullptr) return there;
  auto fresh = std::make_unique<T>();
  // Only the shared thread number can lose this race.
  if (place.compare_exchange_strong(there, fresh.get(), std::memory_order_acq_rel))
    return fresh.release();
  return there;
}

}  // namespace

std::uint32_t claim_thread_number() {
  thread_local const NumberGuard guard;
  thread_number = guard.number;
  return thread_number;
}

Cell* make_cells(Cells& cells, std::uint32_t thread, std::uint32_t first) {
  Chunk* const chunk = made(made(cells.threads[thread])->chunks[first / kChunkCells]);
  return &chunk->cells[first % kChunkCells];
}

struct SeriesState {
  std::size_t family = 0;
  std::vector<std::string> values;
  std::uint32_t first = 0;
  std::uint32_t size = 0;
  std::size_t handles = 0;
};

struct FamilyState {
  FamilyOptions options;
  Kind kind = Kind::kCounter;
  std::span<const nanoseconds> bounds;
  std::map<std::vector<std::string>, std::unique_ptr<SeriesState>> series;

  [[nodiscard]] std::uint32_t cells_each() const {
    return kind == Kind::kHistogram ? static_cast<std::uint32_t>(bounds.size()) + 2 : 1;
  }
};

struct Ledger {
  Cells cells;
  mutable std::mutex mutex;  // guards what follows
  std::vector<std::unique_ptr<FamilyState>> families;
  std::map<std::uint32_t, std::vector<std::uint32_t>> free;  // first cells, by how many
  std::uint32_t next_cell = 0;

  Ledger() = default;
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  ~Ledger() {
    for (auto& thread : cells.threads) {
      const std::unique_ptr<ThreadCells> own(thread.load());
      if (own == nullptr) continue;
      for (auto& chunk : own->chunks) delete chunk.load();
    }
  }

  // None where all cells are taken.
  std::optional<std::uint32_t> take_cells(std::uint32_t size) {
    if (std::vector<std::uint32_t>& kept = free[size]; !kept.empty()) {
      const std::uint32_t first = kept.back();
      kept.pop_back();
      return first;
    }
    // A series lies in one chunk.
    if (next_cell % kChunkCells + size > kChunkCells)
      next_cell = (next_cell / kChunkCells + 1) * kChunkCells;
    if (next_cell + size > kChunkCells * kChunksMax) return std::nullopt;
    return std::exchange(next_cell, next_cell + size);
  }

  // `bounds` receives the family's.
  SeriesState& take(std::size_t index, std::span<const std::string_view> wanted,
                    std::span<const nanoseconds>& bounds) {
    std::vector<std::string> values(wanted.begin(), wanted.end());
    const std::scoped_lock lock(mutex);
    FamilyState& family = *families[index];
    CHECK(wanted.size() == family.options.labels.size());
    bounds = family.bounds;
    auto found = family.series.find(values);
    if (found == family.series.end()) {
      // What is over the limit has a series for each combination of the other labels, which are
      // the server's own words and few.
      const bool over = !values.empty() && family.series.size() >= family.options.series_max;
      if (over) values.front() = kOther;
      found = family.series.find(values);
      if (found == family.series.end()) {
        const std::optional<std::uint32_t> first = take_cells(family.cells_each());
        CHECK(first.has_value());  // families x series_max exceed the cells there are
        auto state = std::make_unique<SeriesState>();
        state->family = index;
        state->values = values;
        state->first = *first;
        state->size = family.cells_each();
        found = family.series.emplace(std::move(values), std::move(state)).first;
      }
    }
    ++found->second->handles;
    return *found->second;
  }

  void release(SeriesState& series) {
    const std::scoped_lock lock(mutex);
    if (--series.handles > 0) return;
    // Nobody adds to these cells any more; whoever gets them next begins at 0.
    for (auto& thread : cells.threads) {
      ThreadCells* const own = thread.load(std::memory_order_acquire);
      Chunk* const chunk =
          own == nullptr ? nullptr
                         : own->chunks[series.first / kChunkCells].load(std::memory_order_acquire);
      if (chunk == nullptr) continue;
      for (std::uint32_t i = 0; i < series.size; ++i)
        chunk->cells[series.first % kChunkCells + i].store(0, std::memory_order_relaxed);
    }
    free[series.size].push_back(series.first);
    FamilyState& family = *families[series.family];
    family.series.erase(family.series.find(series.values));
  }

  std::vector<std::uint64_t> sums(const SeriesState& series) const {
    std::vector<std::uint64_t> out(series.size);
    for (const auto& thread : cells.threads) {
      const ThreadCells* const own = thread.load(std::memory_order_acquire);
      const Chunk* const chunk =
          own == nullptr ? nullptr
                         : own->chunks[series.first / kChunkCells].load(std::memory_order_acquire);
      if (chunk == nullptr) continue;
      for (std::uint32_t i = 0; i < series.size; ++i)
        out[i] += chunk->cells[series.first % kChunkCells + i].load(std::memory_order_relaxed);
    }
    return out;
  }

  std::size_t declare(FamilyOptions options, Kind kind, std::span<const nanoseconds> bounds) {
    const std::scoped_lock lock(mutex);
    for (std::size_t i = 0; i < families.size(); ++i) {
      const FamilyState& there = *families[i];
      if (there.options.name != options.name) continue;
      CHECK(there.kind == kind);
      CHECK(there.options.labels == options.labels);
      return i;
    }
    auto family = std::make_unique<FamilyState>();
    family->options = std::move(options);
    family->kind = kind;
    family->bounds = bounds;
    families.push_back(std::move(family));
    return families.size() - 1;
  }
};

Handle::Handle(Handle&& other) noexcept
    : ledger_(other.ledger_),
      series_(std::exchange(other.series_, nullptr)),
      cells_(other.cells_),
      bounds_(other.bounds_),
      first_(other.first_) {}

Handle& Handle::operator=(Handle&& other) noexcept {
  if (this == &other) return *this;
  release();
  ledger_ = other.ledger_;
  series_ = std::exchange(other.series_, nullptr);
  cells_ = other.cells_;
  bounds_ = other.bounds_;
  first_ = other.first_;
  return *this;
}

void Handle::release() {
  if (series_ != nullptr) ledger_->release(*std::exchange(series_, nullptr));
}

namespace {

void write_series(TextWriter& writer, const FamilyState& family, const SeriesState& series,
                  const std::vector<std::uint64_t>& sums) {
  if (family.options.hide_empty && std::ranges::all_of(sums, [](auto sum) { return sum == 0; }))
    return;
  writer.begin_series();
  for (std::size_t i = 0; i < series.values.size(); ++i)
    writer.label(family.options.labels[i], series.values[i]);
  switch (family.kind) {
    case Kind::kCounter:
      return writer.value(sums[0]);
    case Kind::kGauge:
      return writer.value(static_cast<std::int64_t>(sums[0]));
    case Kind::kHistogram: {
      const std::span buckets(sums.data(), family.bounds.size() + 1);
      return writer.histogram(family.bounds, buckets, nanoseconds(sums.back()));
    }
  }
}

}  // namespace
}  // namespace internal

Registry::Registry() : ledger_(std::make_unique<internal::Ledger>()) {}
Registry::~Registry() = default;

template <class Metric>
Metric Family<Metric>::take(std::span<const std::string_view> values) const {
  std::span<const nanoseconds> bounds;
  internal::SeriesState& series = ledger_->take(index_, values, bounds);
  return Metric(ledger_, &series, &ledger_->cells, series.first, bounds);
}
template Counter Family<Counter>::take(std::span<const std::string_view>) const;
template Gauge Family<Gauge>::take(std::span<const std::string_view>) const;
template Histogram Family<Histogram>::take(std::span<const std::string_view>) const;

Family<Counter> Registry::counters(FamilyOptions options) {
  return {ledger_.get(), ledger_->declare(std::move(options), Kind::kCounter, {})};
}
Family<Gauge> Registry::gauges(FamilyOptions options) {
  return {ledger_.get(), ledger_->declare(std::move(options), Kind::kGauge, {})};
}
Family<Histogram> Registry::histograms(FamilyOptions options, std::span<const nanoseconds> bounds) {
  CHECK(!bounds.empty() && std::ranges::is_sorted(bounds));
  return {ledger_.get(), ledger_->declare(std::move(options), Kind::kHistogram, bounds)};
}

void Registry::write(TextWriter& writer) const {
  const std::scoped_lock lock(ledger_->mutex);
  std::vector<const internal::FamilyState*> in_order;
  for (const auto& family : ledger_->families) in_order.push_back(family.get());
  std::ranges::sort(in_order, {}, [](const auto* family) { return family->options.name; });
  for (const internal::FamilyState* family : in_order) {
    if (!writer.wants_family(family->options.name)) continue;
    writer.begin_family(family->options.name, family->kind, family->options.help);
    const std::vector<std::string>& labels = family->options.labels;
    const bool of_functions = !labels.empty() && labels.front() == "function";
    for (const auto& [values, series] : family->series) {
      if (of_functions && !writer.wants_function(values.front())) continue;
      internal::write_series(writer, *family, *series, ledger_->sums(*series));
    }
  }
}

}  // namespace seam::metrics
