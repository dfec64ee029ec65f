// Several engines in one process: each on two threads, all at once, with traps and deadlines among
// the calls. Goal: no engine's handlers, threads or signals harm another's. Method: every answer is
// known.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "endurance/engines.h"
#include "endurance/workload.h"

namespace seam::endurance {
namespace {

constexpr std::uint32_t kRounds = 40;
constexpr std::uint32_t kCallsARound = 25;

// One thread's part: calls, traps, a guest that spins until its deadline, a module compiled.
void work(const Workload& workload, std::string_view engine, std::uint32_t seed) {
  for (std::uint32_t round = 0; round < kRounds; ++round) {
    for (std::uint32_t i = 0; i < kCallsARound; ++i) {
      ASSERT_EQ(workload.call(seed + round * kCallsARound + i), "") << engine;
      ASSERT_EQ(workload.trap(round * kCallsARound + i), "") << engine;
    }
    ASSERT_EQ(workload.compile(seed + round), "") << engine;
    if (round % 4 == 0) ASSERT_EQ(workload.spin(), "") << engine;
  }
}

TEST(Together, EveryEngineOnTwoThreadsAtOnceGivesRightAnswersThroughout) {
  std::vector<std::pair<std::string, std::unique_ptr<Workload>>> workloads;
  for (const wasm::EngineAdapter& adapter : engines()) {
    for (const std::string& mode : modes_of(adapter)) {
      const wasm::EngineOptions options{
          .mode = mode, .instances_max = 16, .library_folder = library_folder()};
      workloads.emplace_back(name_of(adapter, mode), std::make_unique<Workload>(adapter, options));
    }
  }
  ASSERT_GE(workloads.size(), 1U);
  std::vector<std::jthread> threads;
  for (std::uint32_t i = 0; i < 2 * workloads.size(); ++i) {
    const auto& [name, workload] = workloads[i / 2];
    threads.emplace_back([&name, &workload, i] { work(*workload, name, i * 1'000'000); });
  }
}

}  // namespace
}  // namespace seam::endurance
