// What counting costs the thread that counts, alone and with others that count the same, and what a
// scrape of many series costs.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <vector>

#include "metrics/registry.h"
#include "metrics/text_writer.h"

namespace seam::metrics {
namespace {

Registry& registry() {
  static Registry shared;
  return shared;
}

void count(benchmark::State& state) {
  const Counter counter = registry().counters({.name = "a_total", .help = "A."}).one();
  for (auto _ : state) {
    counter.add();
    benchmark::ClobberMemory();
  }
}
BENCHMARK(count)->Threads(1)->Threads(2)->UseRealTime();

void observe(benchmark::State& state) {
  const Histogram histogram = registry().histograms({.name = "a_seconds", .help = "A."}).one();
  nanoseconds span{0};
  for (auto _ : state) {
    histogram.observe(span);
    span = (span + nanoseconds(7919)) % milliseconds(20);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(observe)->Threads(1)->Threads(2)->UseRealTime();

void scrape(benchmark::State& state) {
  Registry many;
  std::vector<Histogram> histograms;
  const auto family =
      many.histograms({.name = "a_seconds", .help = "A.", .labels = {"f"}, .series_max = 10'000});
  for (int i = 0; i < state.range(0); ++i) {
    histograms.push_back(family.with({fmt::format("nodejs-function_{}", i)}));
    histograms.back().observe(milliseconds(i));
  }
  std::size_t bytes = 0;
  for (auto _ : state) {
    TextWriter writer(TextWriter::Format::kText);
    many.write(writer);
    bytes = writer.finish().size();
  }
  state.counters["bytes"] = static_cast<double>(bytes);
}
BENCHMARK(scrape)->Arg(100)->Arg(4000);

}  // namespace
}  // namespace seam::metrics
