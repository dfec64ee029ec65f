#pragma once
// A Runtime over worker processes: what nodejs and python have in common. Each program has a home
// loop, by its id, that alone owns its workers, queue and limits (runtimes/loop_pool.h); a call
// from another loop hops there and back, and its sink hears everything on the loop it called from.
//
//   WorkerPool pool({.name = "nodejs", …}, std::move(launcher), loops);
//   Outcome outcome = co_await pool.run(program, call, sink);
//
// Make it before or while the loops run, destroy it after shut_down() has returned or the loops
// have stopped.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/event_loop.h"
#include "runtimes/limits.h"
#include "runtimes/loop_pool.h"
#include "runtimes/runtime.h"
#include "runtimes/worker.h"
#include "runtimes/worker_launcher.h"

namespace seam::runtimes {

struct WorkerPoolOptions {
  std::string_view name;  // of the runtime; static text
  WorkerKind kind;
  PoolLimits limits = {};
  std::uint64_t memory_bytes_max = ProgramLimits{}.memory_bytes_max;  // what launched workers have
};

class WorkerPool final : public Runtime {
 public:
  WorkerPool(const WorkerPoolOptions& options, std::unique_ptr<WorkerLauncher> launcher,
             std::span<EventLoop* const> loops);
  ~WorkerPool() override;

  [[nodiscard]] std::string_view name() const override { return options_.name; }
  [[nodiscard]] bool takes_folders() const override { return true; }
  [[nodiscard]] Task<Result<void>> prepare(ProgramPtr program) override;
  [[nodiscard]] Task<Outcome> run(ProgramPtr program, const Call& call, CallSink& sink) override;
  void release(const std::string& program_id) override;
  [[nodiscard]] RuntimeHealth health() const override;
  [[nodiscard]] Task<> shut_down() override;

  [[nodiscard]] Task<RuntimeCounts> counts() override;  // over all loops

 private:
  [[nodiscard]] LoopPool& home_of(const std::string& program_id);

  const WorkerPoolOptions options_;
  std::unique_ptr<WorkerLauncher> launcher_;
  std::vector<std::unique_ptr<LoopPool>> pools_;  // one a loop
};

}  // namespace seam::runtimes
