// Does a thing to an engine a million times, and looks at what the process holds meanwhile:
//
//   build/release/tests/endurance/endurance                     every engine: 10^6 instances that
//   are called and
//                                                               dropped, 100,000 traps, 10,000
//                                                               modules compiled
//   … --engine wasmi --instances 10000 --traps 1000 --compiles 100
//
// The first tenth of each is warm-up. From then on the least memory of the second half may not be
// more than --allowance MiB above the least of the first (a collector lets memory rise and fall
// between), and descriptors and threads not beyond what the warm-up needed and a few of the
// engine's own. Exits with 1 where they do or where one answer was wrong.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>
#include <vector>

#include "endurance/engines.h"
#include "endurance/workload.h"

namespace seam::endurance {
namespace {

struct Options {
  std::vector<std::string> engines;
  std::string libraries = library_folder();
  std::uint32_t instances = 1'000'000;
  std::uint32_t traps = 100'000;
  std::uint32_t compiles = 10'000;
  double allowance_mib = 8;
};

constexpr int kSteps = 9;
// A runtime with threads of its own starts one now and then when all it has are blocked.
constexpr int kThreadsMore = 4;
// Go's poller opens an epoll and an eventfd, once, when it is first wanted.
constexpr int kDescriptorsMore = 2;

bool endure(std::string_view engine, std::string_view what, std::uint32_t times,
            double allowance_mib, const std::function<std::string(std::uint32_t)>& work) {
  std::uint32_t done = 0;
  const auto run = [&](std::uint32_t until) {
    for (; done < until; ++done) {
      if (const std::string wrong = work(done); !wrong.empty())
        throw std::runtime_error(fmt::format("{}, {} number {}: {}", engine, what, done, wrong));
    }
  };
  const MonotonicTime begin = MonotonicClock::now();
  run(times / (kSteps + 1));
  const Holdings first = holdings();
  Holdings last = first;
  double most = first.memory_mib;
  double least_early = first.memory_mib;  // of the first half
  double least_late = std::numeric_limits<double>::max();
  for (int step = 1; step <= kSteps; ++step) {
    run(static_cast<std::uint32_t>(std::uint64_t{times} * static_cast<std::uint64_t>(step + 1) /
                                   (kSteps + 1)));
    last = holdings();
    most = std::max(most, last.memory_mib);
    double& least = step <= kSteps / 2 ? least_early : least_late;
    least = std::min(least, last.memory_mib);
  }
  const double took = std::chrono::duration<double>(MonotonicClock::now() - begin).count();
  const bool flat = least_late <= least_early + allowance_mib &&
                    last.descriptors <= first.descriptors + kDescriptorsMore &&
                    last.threads <= first.threads + kThreadsMore;
  fmt::print(
      "| {:<20} | {:<22} | {:>9} | {:>7.1f} | {:>7.1f} | {:>7.1f} | {:>7.1f} | {:>9} | {:>7} | {} "
      "|\n",
      engine, what, times, took, first.memory_mib, most, last.memory_mib,
      fmt::format("{} → {}", first.descriptors, last.descriptors),
      fmt::format("{} → {}", first.threads, last.threads), flat ? "flat" : "GREW");
  (void)std::fflush(stdout);
  return flat;
}

int run(const Options& options) {
  fmt::print(
      "| engine | what | times | seconds | MiB after a tenth | most | at the end | descriptors | "
      "threads | |\n"
      "|---|---|--:|--:|--:|--:|--:|--:|--:|---|\n");
  bool flat = true;
  for (const wasm::EngineAdapter& adapter : engines()) {
    if (!options.engines.empty() &&
        std::ranges::find(options.engines, adapter.name) == options.engines.end())
      continue;
    for (const std::string& mode : modes_of(adapter)) {
      const std::string name = name_of(adapter, mode);
      const Workload workload(
          adapter, {.mode = mode, .instances_max = 16, .library_folder = options.libraries});
      flat &= endure(name, "instantiate, call, drop", options.instances, options.allowance_mib,
                     [&](std::uint32_t i) { return workload.call(i); });
      flat &= endure(name, "trap", options.traps, options.allowance_mib,
                     [&](std::uint32_t i) { return workload.trap(i); });
      flat &= endure(name, "compile and drop", options.compiles, options.allowance_mib,
                     [&](std::uint32_t i) { return workload.compile(i); });
    }
  }
  return flat ? 0 : 1;
}

}  // namespace
}  // namespace seam::endurance

int main(int argc, char** argv) {
  seam::endurance::Options options;
  CLI::App app("What an engine holds after a million instances.");
  app.add_option("--engine", options.engines, "only these");
  app.add_option("--libraries", options.libraries, "folder of the engines' shared libraries");
  app.add_option("--instances", options.instances, "instantiated, called and dropped");
  app.add_option("--traps", options.traps, "each in an instance of its own");
  app.add_option("--compiles", options.compiles, "modules, each another");
  app.add_option("--allowance", options.allowance_mib,
                 "MiB that memory may grow by after the first tenth");
  CLI11_PARSE(app, argc, argv);
  try {
    return seam::endurance::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "endurance: {}\n", error.what());
    return 2;
  }
}
