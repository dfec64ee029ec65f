#pragma once
// The compiled modules that calls share: in memory up to a number of bytes, on disk behind that,
// and compiled once however many calls wait for it.
//
//   ProgramCache::Lease lease = programs.lease(program);
//   Result<std::shared_ptr<const GuestProgram>> guest = co_await programs.compiled(lease, program,
//   …);

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtimes/wait.h"
#include "runtimes/wasm/compute_pool.h"
#include "runtimes/wasm/guest_call.h"
#include "wasm/module_cache.h"

namespace seam::runtimes {

// What is kept for one program. Any thread.
struct ProgramSlot {
  using Compiled = Result<std::shared_ptr<const GuestProgram>>;
  struct Compilation {
    std::optional<Compiled> outcome;  // once it is over
    std::vector<std::shared_ptr<Wait>> waiting;
  };

  explicit ProgramSlot(const ProgramLimits& limits)
      : gate(limits.concurrency_max, limits.queue_max) {}

  Gate gate;
  std::mutex mutex;                           // guards what follows
  std::shared_ptr<const GuestProgram> guest;  // shared with calls, which may outlive its place here
  std::shared_ptr<Compilation> compiling;     // shared with those that wait for it
  std::uint64_t last_used = 0;
};

class ProgramCache {
 public:
  // The engine and the pool are borrowed.
  ProgramCache(wasm::Runtime& engine, ComputePool& compilers, std::optional<wasm::ModuleCache> disk,
               std::size_t bytes_max);

  // Shared: a call keeps its slot while release() takes it out of the cache.
  [[nodiscard]] std::shared_ptr<ProgramSlot> slot(const Program& program);
  void release(const std::string& program_id);
  [[nodiscard]] std::size_t waiting();  // calls, at the gates of all programs

  // On a loop; resumes on it.
  // errors    kInvalidArgument    not a module, or not a function
  //           kDeadlineExceeded, kCancelled   the compilation goes on, for the next
  [[nodiscard]] Task<Result<std::shared_ptr<const GuestProgram>>> compiled(
      std::shared_ptr<ProgramSlot> slot, ProgramPtr program, Deadline deadline,
      std::stop_token cancelled);
  // What is at hand, without waiting.
  [[nodiscard]] std::shared_ptr<const GuestProgram> at_hand(ProgramSlot& slot);

 private:
  ProgramSlot::Compiled compile(const Program& program);
  void finish(ProgramSlot& slot, ProgramSlot::Compilation& compilation,
              ProgramSlot::Compiled outcome);
  void trim();

  wasm::Runtime& engine_;
  ComputePool& compilers_;
  wasm::HostModule host_;
  std::optional<wasm::ModuleCache> disk_;
  const std::size_t bytes_max_;
  std::atomic<std::uint64_t> uses_{0};
  std::mutex mutex_;  // guards slots_; taken before a slot's own
  std::unordered_map<std::string, std::shared_ptr<ProgramSlot>> slots_;
};

}  // namespace seam::runtimes
