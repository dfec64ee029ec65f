#pragma once
// The workers of one runtime that live on one event loop, and the calls that wait for them. All of
// it runs on that loop, so none of it is locked; runtimes/worker_pool.h spreads programs over such
// pools.
//
// A program's calls go, in the order they came, to its idle worker that was used last: one hot
// worker before two cool ones. Another worker is started only where a call has waited kGrowAfter
// with all of them busy. A worker is one program's for life; empty ones are kept ready. A program
// with a folder needs workers that see it, which are started for it alone.
//
//   Outcome outcome = co_await pool.run(program, &call, &sink, call.deadline);   // on the loop

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/event_loop.h"
#include "runtimes/limits.h"
#include "runtimes/runtime.h"
#include "runtimes/worker.h"
#include "runtimes/worker_launcher.h"

namespace seam::runtimes {

struct LoopPoolOptions {
  PoolLimits limits;
  std::uint32_t workers_max = 1;       // this loop's share of limits.workers_max
  std::uint64_t memory_bytes_max = 0;  // that new workers start with
};

class LoopPool final : WorkerOwner {
 public:
  LoopPool(EventLoop& loop, WorkerLauncher& launcher, const WorkerKind& kind,
           LoopPoolOptions options);
  ~LoopPool() override;

  [[nodiscard]] EventLoop& loop() { return loop_; }

  // Starts the empty workers.
  void open() { refill(); }

  // As Runtime::run(); with `call` and `sink` null the program is only loaded, into a worker that
  // is kept for its first call.
  [[nodiscard]] Task<Outcome> run(ProgramPtr program, const Call* call, CallSink* sink,
                                  Deadline deadline);
  void release(const std::string& program_id);
  [[nodiscard]] Task<> shut_down();
  [[nodiscard]] RuntimeCounts counts() const;

 private:
  struct Slot {  // one program here
    ProgramPtr program;
    std::vector<Worker*> workers;      // all but those that end
    std::vector<Worker*> idle;         // the one used last at the back
    std::deque<PendingCall*> waiting;  // the oldest in front
    std::size_t running = 0;
    std::size_t adopting = 0;  // workers whose memory limit is being set
    bool wants = false;        // is in wanting_ or wanting_own_, or its own worker starts
    bool released = false;
    [[nodiscard]] std::size_t capacity() const;
  };
  using Slots = std::unordered_map<std::string, Slot>;

  void on_worker_ready(Worker& worker) override;
  void on_call_end(Worker& worker, PendingCall& call,
                   std::variant<Completed, FunctionError, Error> outcome) override;
  void on_worker_done(Worker& worker) override;

  [[nodiscard]] std::optional<Error> admit(PendingCall& call);
  void dispatch(Slot& slot);
  void grow(Slot& slot);
  void adopt(Slot& slot, Worker& worker);
  [[nodiscard]] Task<> adopt_with_memory(std::string program_id, std::uint64_t worker_id,
                                         std::uint64_t bytes_max);
  // Ends calls that no worker has, where their program has no worker.
  void fail_waiting(Slot& slot, const Error& error);
  void end_early(PendingCall& call, Error error);

  void refill();
  [[nodiscard]] Task<> start_worker(ProgramPtr meant_for);
  // `meant_for` as Worker's.
  void start_failed(Error error, const ProgramPtr& meant_for);
  void start_own();
  [[nodiscard]] bool has_waited_long(const std::deque<Slot*>& wanting, const Slot& other,
                                     MonotonicTime now) const;
  enum class Evict : std::uint8_t { kIdle, kWarmToo };
  void evict_one(Evict which);
  // What the process of a program may take.
  [[nodiscard]] std::uint64_t memory_bytes_max(const Program& program) const {
    return program.limits.memory_bytes_max + kind_.memory_bytes_beside;
  }
  // Of workers for whoever wants one.
  [[nodiscard]] std::size_t starting() const { return launching_ + booting_ - own_starting_; }
  void retire(Worker& worker);
  void detach(Worker& worker);
  [[nodiscard]] Task<> end_worker(std::uint64_t id);
  [[nodiscard]] Task<> look_at_memory(std::uint64_t id);

  void ensure_ticking();
  void tick();
  void ensure_maintenance();
  void maintain();

  EventLoop& loop_;
  WorkerLauncher& launcher_;
  const WorkerKind& kind_;
  const LoopPoolOptions options_;
  Slots slots_;  // erased in maintain() alone, so that references to them hold elsewhere
  std::unordered_map<std::uint64_t, std::unique_ptr<Worker>> workers_;  // by id
  std::vector<Worker*> warm_;
  // In the order they began to want a worker: any, or one of their own.
  std::deque<Slot*> wanting_;
  std::deque<Slot*> wanting_own_;
  CallLink calls_;  // all of them, running and waiting
  std::size_t calls_count_ = 0;
  std::size_t launching_ = 0;     // not yet in workers_
  std::size_t booting_ = 0;       // in workers_, not yet ready
  std::size_t own_starting_ = 0;  // of those two, meant for one program
  std::uint64_t started_ = 0;
  std::uint64_t start_failures_ever_ = 0;
  std::uint32_t start_failures_ = 0;  // in a row
  MonotonicTime start_not_before_{};
  Error start_error_;
  bool closed_ = false;
  bool ticking_ = false;
  bool maintaining_ = false;
  Timer tick_timer_;
  Timer maintenance_timer_;
};

}  // namespace seam::runtimes
