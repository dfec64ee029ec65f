#pragma once
// One worker process, from the host's side: it waits for the worker to be ready, gives it its
// program and its calls one after the other, collects results and logs, and sees it end. Lives on
// one loop; its pool (runtimes/loop_pool.h) is its owner and the one it tells.
//
//   starting → idle ⇄ loading → running → idle … → ended
//
// The worker's process belongs to its tenant from the first load on, and whatever the tenant left
// there (threads, timers, children) may go on between two calls: within its sandbox and its share
// of processor and memory, until the worker is taken for the next call, is idle for too long, or
// its program is released. No call's outcome waits for it, and what it prints then is dropped.
// Nothing that a worker sends is believed: a frame out of turn, over its limit or not what it
// should be ends the worker.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/event_loop.h"
#include "process/frames.h"
#include "process/spawner.h"
#include "runtimes/runtime.h"
#include "runtimes/worker_messages.h"

namespace seam::runtimes {

class Worker;

// A place in a ring of calls, whose head is one that is no call.
struct CallLink {
  CallLink* before = this;
  CallLink* after = this;
  void insert_before(CallLink& place) {
    before = place.before;
    after = &place;
    before->after = this;
    place.before = this;
  }
  void unlink() {
    before->after = after;
    after->before = before;
    before = after = this;
  }
};

// A call on its way through a pool; part of the coroutine that waits for it. On one loop.
struct PendingCall : CallLink {
  PendingCall(ProgramPtr program_, const Call* call_, CallSink* sink_)
      : program(std::move(program_)), call(call_), sink(sink_) {}
  PendingCall(const PendingCall&) = delete;
  PendingCall& operator=(const PendingCall&) = delete;

  ProgramPtr program;
  const Call* call;  // null: the program is only loaded (Runtime::prepare)
  CallSink* sink;    // null with it
  Deadline deadline;

  // Between the pool and the worker.
  Worker* worker = nullptr;  // while it runs
  bool was_cold = false;     // its program had no worker when it came

  MonotonicTime admitted_at{};
  MonotonicTime given_at{};   // to a worker
  MonotonicTime loaded_at{};  // where the worker had to load the program
  std::size_t log_bytes = 0;
  CallStats stats;

  OneShot<std::variant<Completed, FunctionError, Error>> outcome;
};

// What languages differ in, where a worker's end or a failure is explained.
struct WorkerKind {
  std::string_view ending_words;    // what in this language ends a process: "process.exit()"; may
                                    // be empty
  std::string_view install_remedy;  // what to do where there is no such program
  // Whether a failure says that memory ran out.
  bool (*is_memory_failure)(const FunctionError& error);
  // Whether a worker that wrote this before it ended ran out of memory.
  bool (*is_memory_end)(std::string_view output_tail);
  // It is told each call's deadline (kTimedCall) and ends the call by itself: the worker is ended
  // for it only once kOverrunMax has passed too.
  bool ends_calls_itself = false;
  // Memory that its process may take beside what its program may.
  std::uint64_t memory_bytes_beside = 0;
  std::string engine = {};  // CallStats::engine of its calls
};

// Called on the loop. The worker may be given its next call within these, not be destroyed: calls
// in hand go on with it.
class WorkerOwner {
 public:
  virtual ~WorkerOwner() = default;
  virtual void on_worker_ready(Worker& worker) = 0;
  // The call's outcome is known and the worker can take another, unless it is done for. The owner
  // sets the call's outcome.
  virtual void on_call_end(Worker& worker, PendingCall& call,
                           std::variant<Completed, FunctionError, Error> outcome) = 0;
  // The worker is of no more use: the owner reaps it and says how it ended to explain_end(), which
  // ends the call that it may still hold.
  virtual void on_worker_done(Worker& worker) = 0;
};

class Worker final : process::FrameReceiver {
 public:
  enum class State { kStarting, kIdle, kLoading, kRunning, kDone };

  Worker(EventLoop& loop, process::SpawnedWorker process, const WorkerKind& kind,
         WorkerOwner& owner);
  ~Worker() override;

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool was_ready() const { return ready_; }
  [[nodiscard]] std::uint64_t id() const { return process_.id; }
  [[nodiscard]] pid_t pid() const { return process_.pid; }
  [[nodiscard]] const ProgramPtr& program() const { return program_; }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }

  // Binds an idle, empty worker to its program, for good.
  void adopt(ProgramPtr program);
  // Gives an idle worker a call of its program; kLoad goes ahead of the first in the same send.
  void begin(PendingCall& call);
  // Takes the call off without an outcome; the worker is done.
  void abandon();
  // Ends an idle or starting worker: on_worker_done() is not called for it.
  void finish();

  // What became of the worker, with the output that it left; ends its call, if it has one. For a
  // worker that never was ready, returns that as an error.
  void explain_end(const process::WorkerExit& exit);
  [[nodiscard]] Error start_error(const process::WorkerExit& exit) const;

  // Looks at the time for a worker that has half ended or does not become ready.
  void tick(MonotonicTime now);
  [[nodiscard]] bool waits_for_time() const { return half_ended_ || state_ == State::kStarting; }

  // The pool's own notes.
  ProgramPtr meant_for;  // the one whose folder it was started with; null: any without a folder
  std::string folder;    // where it sees that
  MonotonicTime idle_since{};
  MonotonicTime started_at{};
  std::uint64_t calls_at_last_look = 0;
  std::uint64_t memory_bytes = 0;  // at the last look
  bool retire = false;             // ends when its call does

 private:
  [[nodiscard]] std::optional<std::size_t> frame_bytes_max(std::uint8_t type) const override;
  void on_frame(std::uint8_t type, std::string_view payload) override;
  void on_channel_end(Error error) override;
  void on_ready(std::string_view payload);
  void on_loaded(std::string_view payload);
  void on_log(std::string_view payload);
  void on_result(std::string_view payload);
  void on_failure(std::string_view payload);
  void on_exit();
  void on_output();
  // Reads what is in the pipe; false when it has ended.
  bool read_output(std::size_t bytes_max);
  void keep_log(LogStream stream, std::string_view bytes);
  void end_call(std::variant<Completed, FunctionError, Error> outcome);
  void half_end();
  void nonsense(std::string what);
  void done();

  process::SpawnedWorker process_;
  const WorkerKind& kind_;
  WorkerOwner& owner_;
  State state_ = State::kStarting;
  ProgramPtr program_;
  PendingCall* call_ = nullptr;
  bool ready_ = false;
  bool loaded_ = false;
  bool half_ended_ = false;  // its socket is closed or its process has ended, not yet both
  bool exited_ = false;
  bool output_in_call_ = false;
  MonotonicTime half_ended_at_{};
  std::uint64_t calls_ = 0;
  std::string nonsense_;  // why it was ended, where it broke the protocol
  std::string output_tail_;
  process::FrameChannel channel_;
  Readiness output_;
  Readiness pidfd_;
};

}  // namespace seam::runtimes
