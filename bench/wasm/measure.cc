#include "measure.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>

namespace seam::bench {
namespace {

constexpr int kResamples = 2000;
constexpr std::uint64_t kTimesMax = 1'000'000;

// As many as asked for, or fewer where one piece of work takes longer than a block.
int blocks_of(const Effort& effort, double took) {
  constexpr int kBlocksMin = 15;
  if (took <= effort.block_ns || effort.blocks <= kBlocksMin) return effort.blocks;
  return std::max(kBlocksMin, static_cast<int>(effort.blocks * effort.block_ns / took));
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

double processor_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

Estimate estimate(std::span<const double> ratios) {
  std::mt19937_64 random(ratios.size());
  std::uniform_int_distribution<std::size_t> any(0, ratios.size() - 1);
  std::vector<double> medians;
  std::vector<double> resample(ratios.size());
  for (int i = 0; i < kResamples; ++i) {
    for (double& value : resample) value = ratios[any(random)];
    medians.push_back(median(resample));
  }
  std::ranges::sort(medians);
  return {.median = median({ratios.begin(), ratios.end()}),
          .low = medians[kResamples / 40],
          .high = medians[kResamples - 1 - kResamples / 40]};
}

Comparison compare(const Pair& pair, const Effort& effort) {
  // The first time of either may compile or map something; then the block's size is found.
  constexpr std::uint64_t kFirst = 3;
  const std::uint64_t ours = pair.ours(kFirst).sum;
  const std::uint64_t direct = pair.direct(kFirst).sum;
  if (ours != direct)
    throw std::runtime_error(fmt::format("ours gave {}, the engine itself {}", ours, direct));
  std::uint64_t times = 1;
  for (double took = 0; times < kTimesMax; times *= 2) {
    took = std::max(pair.ours(times).ns, pair.direct(times).ns);
    if (took * 2 > effort.block_ns) break;
  }
  const int blocks = blocks_of(effort, std::max(pair.ours(times).ns, pair.direct(times).ns));
  std::mt19937_64 random(static_cast<std::uint64_t>(effort.blocks));
  std::vector<double> ours_ns;
  std::vector<double> direct_ns;
  std::vector<double> ratios;
  std::uint64_t allocated = 0;
  for (int block = 0; block < blocks; ++block) {
    const bool ours_first = (random() & 1U) != 0;
    for (const bool of_ours : {ours_first, !ours_first}) {
      if (of_ours) {
        const std::uint64_t before = allocations();
        const double took = pair.ours(times).ns;
        allocated += allocations() - before;
        ours_ns.push_back(took);
      } else {
        direct_ns.push_back(pair.direct(times).ns);
      }
    }
    ratios.push_back(ours_ns.back() / direct_ns.back());
  }
  const auto each = static_cast<double>(times);
  return {.ratio = estimate(ratios),
          .ours = median(ours_ns) / each,
          .direct = median(direct_ns) / each,
          .allocations = static_cast<double>(allocated) / (each * blocks)};
}

Comparison compare_samples(const std::function<double()>& ours,
                           const std::function<double()>& direct, int samples) {
  std::mt19937_64 random(static_cast<std::uint64_t>(samples));
  std::vector<double> of_ours;
  std::vector<double> of_direct;
  std::vector<double> ratios;
  for (int i = 0; i < samples; ++i) {
    const bool ours_first = (random() & 1U) != 0;
    for (const bool mine : {ours_first, !ours_first})
      (mine ? of_ours : of_direct).push_back(mine ? ours() : direct());
    ratios.push_back(of_ours.back() / of_direct.back());
  }
  return {.ratio = estimate(ratios),
          .ours = median(of_ours),
          .direct = median(of_direct),
          .allocations = 0};
}

}  // namespace seam::bench
