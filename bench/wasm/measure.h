#pragma once
// Two ways of doing the same work, compared in one run. Blocks of each follow one another in random
// order, so that what else the machine does strikes both; each pair of blocks gives one ratio.
//
//   Comparison result = compare({.ours = …, .direct = …}, {.blocks = 200, .block_ns = 1e6});
//   result.ratio.median, result.ratio.low, result.ratio.high    // 95 % of resamples lie between
//   them
//
// Time is processor time of the whole process that works: an engine's own threads count.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace seam::bench {

// The sum of what came out, and the processor time that it took.
struct Done {
  std::uint64_t sum = 0;
  double ns = 0;
};

// Does the work so many times.
using Work = std::function<Done(std::uint64_t times)>;

struct Pair {
  Work ours;
  Work direct;
};

struct Effort {
  int blocks = 200;
  double block_ns = 1e6;  // how long a block takes, about
};

struct Estimate {
  double median = 0;
  double low = 0;  // the bootstrap interval of the median, 95 %
  double high = 0;
};

struct Comparison {
  Estimate ratio;   // ours / direct
  double ours = 0;  // the median of what one time costs
  double direct = 0;
  double allocations = 0;  // of ours, a time
};

// Seeded, so that the same numbers give the same interval.
[[nodiscard]] Estimate estimate(std::span<const double> ratios);
[[nodiscard]] double median(std::vector<double> values);

// Throws std::runtime_error where the two do not get the same results.
[[nodiscard]] Comparison compare(const Pair& pair, const Effort& effort);

// Throws std::runtime_error where it cannot be read.
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

// Samples of two programs taken in turn: each call of one measures once.
[[nodiscard]] Comparison compare_samples(const std::function<double()>& ours,
                                         const std::function<double()>& direct, int samples);

// Of the process, in nanoseconds.
[[nodiscard]] double processor_ns();

// What the calling thread took from the heap so far, in C, C++ and Rust (allocations.cc counts).
[[nodiscard]] std::uint64_t allocations();

}  // namespace seam::bench
