#pragma once
// How workers of one language come to life and end: the pool's view of the spawner.
//
//   ExecLauncher node(spawner, spec);             // each worker is a process of its own from exec
//   ZygoteLauncher python(spawner, spec, loop);   // each worker is forked from a warm zygote
//   Result<process::SpawnedWorker> worker = co_await launcher.launch("");

#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/result.h"
#include "base/task.h"
#include "process/spawner.h"
#include "runtimes/limits.h"

namespace seam::runtimes {

// Calls may come from any loop and resume there.
class WorkerLauncher {
 public:
  virtual ~WorkerLauncher() = default;

  // The program that its workers are, by path. Any thread.
  // errors    kUnavailable  no worker can be started until the server is started again
  //           kNotFound     there is no such program
  [[nodiscard]] virtual Result<std::string> program() const = 0;
  // `folder` is a path outside that the worker is to see at seen_folder(), or empty.
  // errors    as process::Spawner::spawn()
  [[nodiscard]] virtual Task<Result<process::SpawnedWorker>> launch(std::string folder) = 0;
  // Where a worker sees the folder that it was launched with. Any thread.
  [[nodiscard]] virtual std::string seen_folder(const std::string& folder) const = 0;
  // Ends what launch() needs; no launch() is in flight or comes later.
  [[nodiscard]] virtual Task<> shut_down() = 0;

  // As the spawner's.
  [[nodiscard]] virtual Task<Result<void>> set_memory_limit(std::uint64_t worker_id,
                                                            std::uint64_t bytes_max) = 0;
  [[nodiscard]] virtual Task<process::WorkerExit> reap(std::uint64_t worker_id) = 0;
  [[nodiscard]] virtual Task<std::uint64_t> memory_bytes(std::uint64_t worker_id) = 0;
};

class ExecLauncher : public WorkerLauncher {
 public:
  ExecLauncher(process::Spawner& spawner, process::WorkerSpec spec)
      : spawner_(spawner), spec_(std::move(spec)) {}
  [[nodiscard]] Result<std::string> program() const final;
  [[nodiscard]] Task<Result<process::SpawnedWorker>> launch(std::string folder) override;
  [[nodiscard]] std::string seen_folder(const std::string& folder) const final;
  [[nodiscard]] Task<> shut_down() override;
  [[nodiscard]] Task<Result<void>> set_memory_limit(std::uint64_t worker_id,
                                                    std::uint64_t bytes_max) final;
  [[nodiscard]] Task<process::WorkerExit> reap(std::uint64_t worker_id) final;
  [[nodiscard]] Task<std::uint64_t> memory_bytes(std::uint64_t worker_id) final;

 protected:
  process::Spawner& spawner_;
  const process::WorkerSpec spec_;
};

// Starts its zygote at the first launch(), and another when that one has ended: after a pause that
// doubles with each failure (kStartBackoffMin), so that a broken installation is not tried over
// and over.
class ZygoteLauncher final : public ExecLauncher {
 public:
  // `home` is the loop that alone looks after the zygote.
  ZygoteLauncher(process::Spawner& spawner, process::WorkerSpec spec, EventLoop& home);
  ~ZygoteLauncher() override;
  // The folder lies within one of the zygote's zygote_binds.
  [[nodiscard]] Task<Result<process::SpawnedWorker>> launch(std::string folder) override;
  [[nodiscard]] Task<> shut_down() override;

 private:
  struct Zygote;
  [[nodiscard]] Task<Result<std::uint64_t>> ready_zygote();
  void drain_output();
  [[nodiscard]] Task<> end_zygote(std::uint64_t id);

  EventLoop& home_;
  // All below belongs to home_.
  std::unique_ptr<Zygote> zygote_;
  bool starting_ = false;
  std::uint32_t failures_ = 0;
  MonotonicTime not_before_{};
  Error last_error_;
};

}  // namespace seam::runtimes
