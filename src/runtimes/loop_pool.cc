#include "runtimes/loop_pool.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"

namespace seam::runtimes {

std::size_t LoopPool::Slot::capacity() const {
  const ProgramLimits& limits = program->limits;
  return std::max(1U, std::min(limits.workers_max, limits.concurrency_max));
}

LoopPool::LoopPool(EventLoop& loop, WorkerLauncher& launcher, const WorkerKind& kind,
                   LoopPoolOptions options)
    : loop_(loop),
      launcher_(launcher),
      kind_(kind),
      options_(options),
      tick_timer_(loop),
      maintenance_timer_(loop) {}

LoopPool::~LoopPool() = default;

Task<Outcome> LoopPool::run(ProgramPtr program, const Call* call, CallSink* sink,
                            Deadline deadline) {
  PendingCall pending(std::move(program), call, sink);
  pending.deadline = deadline;
  pending.stats.engine = kind_.engine;
  if (std::optional<Error> refused = admit(pending)) {
    co_return Outcome{*std::move(refused), pending.stats};
  }
  std::variant<Completed, FunctionError, Error> outcome = co_await pending.outcome;
  co_return Outcome{std::move(outcome), pending.stats};
}

std::optional<Error> LoopPool::admit(PendingCall& call) {
  call.admitted_at = MonotonicClock::now();
  if (closed_) return Error{ErrorCode::kUnavailable, "the server is shutting down", {}};
  if (call.deadline.passed(call.admitted_at))
    return Error{ErrorCode::kDeadlineExceeded, "its time was up before it began", {}};
  if (calls_count_ >= options_.limits.calls_per_loop_max) {
    return Error{ErrorCode::kUnavailable,
                 fmt::format("the server holds {} calls, its limit: retry later", calls_count_),
                 {}};
  }
  Slot& slot = slots_[call.program->id];
  if (!slot.program) slot.program = call.program;
  const std::uint32_t queue_max = call.program->limits.queue_max;
  if (slot.running + slot.waiting.size() >= slot.capacity() + queue_max) {
    return Error{ErrorCode::kUnavailable,
                 fmt::format("every worker of this function is busy and its queue of {} is full: "
                             "retry later",
                             queue_max),
                 {}};
  }
  call.was_cold = slot.workers.empty();
  slot.waiting.push_back(&call);
  call.insert_before(calls_);
  ++calls_count_;
  dispatch(slot);
  ensure_ticking();
  ensure_maintenance();
  return std::nullopt;
}

void LoopPool::dispatch(Slot& slot) {
  while (!slot.waiting.empty() && !slot.idle.empty() && slot.running < slot.capacity()) {
    Worker& worker = *slot.idle.back();
    PendingCall& call = *slot.waiting.front();
    slot.idle.pop_back();
    slot.waiting.pop_front();
    ++slot.running;
    worker.begin(call);
  }
  if (!slot.waiting.empty()) grow(slot);
}

void LoopPool::grow(Slot& slot) {
  if (slot.wants || slot.adopting > 0 || slot.workers.size() >= slot.capacity()) return;
  const MonotonicTime now = MonotonicClock::now();
  if (!slot.workers.empty() && now - slot.waiting.front()->admitted_at < kGrowAfter) return;
  const bool own = slot.program->folder != nullptr;
  if (!own && !warm_.empty()) {
    Worker& worker = *warm_.back();
    warm_.pop_back();
    adopt(slot, worker);
    refill();
    return;
  }
  if ((own || starting() == 0) && now < start_not_before_) {
    if (slot.workers.empty()) fail_waiting(slot, start_error_);
    return;
  }
  slot.wants = true;
  (own ? wanting_own_ : wanting_).push_back(&slot);
  refill();
}

void LoopPool::adopt(Slot& slot, Worker& worker) {
  worker.adopt(slot.program);
  slot.workers.push_back(&worker);
  const std::uint64_t bytes_max = memory_bytes_max(*slot.program);
  if (bytes_max != options_.memory_bytes_max) {
    ++slot.adopting;
    start(adopt_with_memory(slot.program->id, worker.id(), bytes_max));
    return;
  }
  worker.idle_since = MonotonicClock::now();
  slot.idle.push_back(&worker);
  dispatch(slot);
}

Task<> LoopPool::adopt_with_memory(std::string program_id, std::uint64_t worker_id,
                                   std::uint64_t bytes_max) {
  const Result<void> set = co_await launcher_.set_memory_limit(worker_id, bytes_max);
  Slot& slot = slots_.at(program_id);  // kept while it adopts
  --slot.adopting;
  const auto found = workers_.find(worker_id);
  const bool alive = found != workers_.end() && found->second->state() == Worker::State::kIdle;
  if (alive && set && !closed_) {
    found->second->idle_since = MonotonicClock::now();
    slot.idle.push_back(found->second.get());
  } else if (alive) {
    retire(*found->second);
  }
  if (!set && slot.workers.empty()) {
    fail_waiting(slot, {ErrorCode::kUnavailable,
                        "a worker's memory limit cannot be set: " + set.error().message,
                        {}});
    co_return;
  }
  dispatch(slot);
}

void LoopPool::fail_waiting(Slot& slot, const Error& error) {
  const std::deque<PendingCall*> failed = std::exchange(slot.waiting, {});
  for (PendingCall* call : failed) {
    call->unlink();
    --calls_count_;
  }
  for (PendingCall* call : failed) call->outcome.set(error);
}

void LoopPool::on_worker_ready(Worker& worker) {
  --booting_;
  start_failures_ = 0;
  start_not_before_ = {};
  if (worker.meant_for) {
    --own_starting_;
    Slot& slot = slots_.at(worker.meant_for->id);  // kept while it wants
    slot.wants = false;
    if (slot.released && slot.waiting.empty()) {
      retire(worker);
    } else {
      adopt(slot, worker);
    }
    refill();
    return;
  }
  while (!wanting_.empty()) {
    Slot& slot = *wanting_.front();
    wanting_.pop_front();
    slot.wants = false;
    if (slot.waiting.empty()) continue;
    adopt(slot, worker);
    refill();
    return;
  }
  // More than that where the one who wanted it was served by another meanwhile.
  if (warm_.size() < options_.limits.warm_per_loop) {
    warm_.push_back(&worker);
  } else {
    retire(worker);
  }
  refill();
}

void LoopPool::on_call_end(Worker& worker, PendingCall& call,
                           std::variant<Completed, FunctionError, Error> outcome) {
  Slot& slot = slots_.at(call.program->id);
  const MonotonicTime now = MonotonicClock::now();
  const bool loaded_here = call.loaded_at != MonotonicTime{};
  const MonotonicTime began = loaded_here ? call.loaded_at : call.given_at;
  nanoseconds& waited = call.was_cold ? call.stats.start_time : call.stats.queue_time;
  waited = call.given_at - call.admitted_at;
  call.stats.start_time += began - call.given_at;
  call.stats.run_time = now - began;
  call.stats.cold_start = loaded_here;
  call.stats.memory_bytes = worker.memory_bytes;
  --slot.running;
  --calls_count_;
  call.unlink();

  if (worker.state() == Worker::State::kIdle) {
    // Another program has waited long while all room is taken: this worker makes place, or calls
    // that never end coming would keep the other out.
    const bool others_wait =
        (has_waited_long(wanting_, slot, now) || has_waited_long(wanting_own_, slot, now)) &&
        workers_.size() + launching_ >= options_.workers_max;
    if (worker.retire || others_wait || worker.calls() >= options_.limits.calls_max) {
      retire(worker);
    } else {
      slot.idle.push_back(&worker);
    }
  }
  dispatch(slot);
  if (!wanting_.empty() || !wanting_own_.empty()) refill();
  call.outcome.set(std::move(outcome));  // last: it resumes who waits, who may call again
}

bool LoopPool::has_waited_long(const std::deque<Slot*>& wanting, const Slot& other,
                               MonotonicTime now) const {
  constexpr milliseconds kOthersWaitMax{100};
  return !wanting.empty() && wanting.front() != &other && !wanting.front()->waiting.empty() &&
         now - wanting.front()->waiting.front()->admitted_at > kOthersWaitMax;
}

void LoopPool::end_early(PendingCall& call, Error error) {
  Slot& slot = slots_.at(call.program->id);
  call.unlink();
  --calls_count_;
  const MonotonicTime now = MonotonicClock::now();
  if (call.worker != nullptr) {
    call.stats.queue_time = call.given_at - call.admitted_at;
    call.stats.run_time = now - call.given_at;
    --slot.running;
    call.worker->abandon();
  } else {
    call.stats.queue_time = now - call.admitted_at;
    std::erase(slot.waiting, &call);
  }
  call.outcome.set(std::move(error));
}

void LoopPool::on_worker_done(Worker& worker) {
  detach(worker);
  start(end_worker(worker.id()));
  if (!worker.program()) return;
  Slot& slot = slots_.at(worker.program()->id);
  if (!slot.waiting.empty()) dispatch(slot);
}

// Takes a worker out of every list that calls are given from.
void LoopPool::detach(Worker& worker) {
  std::erase(warm_, &worker);
  if (!worker.program()) return;
  Slot& slot = slots_.at(worker.program()->id);
  std::erase(slot.workers, &worker);
  std::erase(slot.idle, &worker);
}

void LoopPool::retire(Worker& worker) {
  worker.finish();
  detach(worker);
  start(end_worker(worker.id()));
}

Task<> LoopPool::end_worker(std::uint64_t id) {
  const process::WorkerExit exit = co_await launcher_.reap(id);
  co_await loop_.yield();  // nobody up the stack may still use the worker
  const auto found = workers_.find(id);
  CHECK(found != workers_.end());
  const std::unique_ptr<Worker> worker = std::move(found->second);
  workers_.erase(found);
  if (!worker->was_ready()) {
    --booting_;
    start_failed(worker->start_error(exit), worker->meant_for);
  } else {
    worker->explain_end(exit);
  }
  refill();
}

// Starts workers for programs with a folder, as far as there is room; they go before warm ones,
// which are started anew when there is room for both.
void LoopPool::start_own() {
  while (!wanting_own_.empty() && launching_ + booting_ < options_.limits.starts_at_once_max) {
    Slot& slot = *wanting_own_.front();
    if (slot.waiting.empty()) {  // its calls have ended, or another of its workers took them
      wanting_own_.pop_front();
      slot.wants = false;
      continue;
    }
    if (MonotonicClock::now() < start_not_before_) return;
    if (workers_.size() + launching_ >= options_.workers_max) {
      evict_one(Evict::kWarmToo);
      return;
    }
    wanting_own_.pop_front();
    start(start_worker(slot.program));
  }
}

void LoopPool::refill() {
  if (closed_) return;
  start_own();
  const std::size_t warm_missing =
      options_.limits.warm_per_loop -
      std::min<std::size_t>(options_.limits.warm_per_loop, warm_.size());
  const std::size_t needed =
      std::min<std::size_t>(wanting_.size() + warm_missing, options_.limits.starts_at_once_max);
  while (starting() < needed) {
    if (MonotonicClock::now() < start_not_before_) break;
    // What no retry cures is tried again for a call only, not to keep a warm worker.
    if (start_failures_ > 0 && wanting_.empty() &&
        start_error_.code == ErrorCode::kFailedPrecondition)
      break;
    if (workers_.size() + launching_ >= options_.workers_max) {
      // The room comes when the other has ended, which calls this again.
      if (!wanting_.empty()) evict_one(Evict::kIdle);
      break;
    }
    start(start_worker(nullptr));
  }
  ensure_maintenance();
}

Task<> LoopPool::start_worker(ProgramPtr meant_for) {
  ++launching_;
  if (meant_for) ++own_starting_;
  std::string folder = meant_for ? *meant_for->folder : std::string();
  Result<process::SpawnedWorker> process = co_await launcher_.launch(std::move(folder));
  --launching_;
  if (!process) {
    start_failed(std::move(process).error(), meant_for);
    co_return;
  }
  ++started_;
  ++booting_;
  const std::uint64_t id = process->id;
  auto worker =
      std::make_unique<Worker>(loop_, *std::move(process), kind_, static_cast<WorkerOwner&>(*this));
  Worker& made = *worker;
  if (meant_for) made.folder = launcher_.seen_folder(*meant_for->folder);
  made.meant_for = std::move(meant_for);
  CHECK(workers_.emplace(id, std::move(worker)).second);
  ensure_ticking();
  if (closed_) retire(made);
}

void LoopPool::start_failed(Error error, const ProgramPtr& meant_for) {
  if (meant_for) --own_starting_;
  if (closed_) return;
  ++start_failures_ever_;
  // What is wrong with one program's folder does not keep others from starting.
  const bool is_folder = meant_for && error.code == ErrorCode::kFailedPrecondition;
  if (is_folder && error.message.starts_with("bind "))
    error.message.append("; start the server again to have it unpacked again");
  if (!is_folder) start_not_before_ = MonotonicClock::now() + backoff_after(++start_failures_);
  if (error.code != ErrorCode::kFailedPrecondition) error.code = ErrorCode::kUnavailable;
  // What the spawner says of a program that cannot be executed.
  if (error.message.starts_with("run ")) error.message.append("; ").append(kind_.install_remedy);
  error.message.insert(0, "cannot start a worker: ");
  log_warning("{}", error.message);
  if (!is_folder) start_error_ = error;
  ensure_maintenance();
  if (meant_for) {
    Slot& slot = slots_.at(meant_for->id);
    slot.wants = false;
    if (slot.workers.empty()) fail_waiting(slot, error);
    return;
  }
  if (starting() > 0) return;  // another start may serve those who want one
  const std::deque<Slot*> wanting = std::exchange(wanting_, {});
  for (Slot* slot : wanting) slot->wants = false;
  const Error told = start_error_;
  for (Slot* slot : wanting) {
    if (slot->workers.empty()) fail_waiting(*slot, told);
  }
}

void LoopPool::evict_one(Evict which) {
  Worker* oldest = nullptr;
  for (const auto& [id, slot] : slots_) {
    for (Worker* worker : slot.idle) {
      if (oldest == nullptr || worker->idle_since < oldest->idle_since) oldest = worker;
    }
  }
  // One that ends already makes the room that is wanted.
  const bool one_ends = std::ranges::any_of(
      workers_, [](const auto& entry) { return entry.second->state() == Worker::State::kDone; });
  if (oldest == nullptr && which == Evict::kWarmToo && !warm_.empty()) oldest = warm_.back();
  if (oldest != nullptr && !one_ends) retire(*oldest);
}

void LoopPool::release(const std::string& program_id) {
  const auto found = slots_.find(program_id);
  if (found == slots_.end()) return;
  found->second.released = true;
  const std::vector<Worker*> workers = found->second.workers;
  for (Worker* worker : workers) {
    if (std::ranges::find(found->second.idle, worker) != found->second.idle.end()) {
      retire(*worker);
    } else {
      worker->retire = true;
    }
  }
}

Task<> LoopPool::shut_down() {
  closed_ = true;
  maintenance_timer_.cancel();
  std::vector<Worker*> workers;
  for (const auto& [id, worker] : workers_) {
    CHECK(worker->state() != Worker::State::kRunning && worker->state() != Worker::State::kLoading);
    if (worker->state() != Worker::State::kDone) workers.push_back(worker.get());
  }
  for (Worker* worker : workers) retire(*worker);
  while (!workers_.empty() || launching_ > 0) co_await loop_.sleep(Deadline::after(kTick));
  tick_timer_.cancel();
}

RuntimeCounts LoopPool::counts() const {
  RuntimeCounts counts{.workers = workers_.size() + launching_,
                       .warm = warm_.size(),
                       .started = started_,
                       .start_failures = start_failures_ever_};
  for (const auto& [id, slot] : slots_) {
    counts.idle += slot.idle.size();
    counts.running += slot.running;
    counts.waiting += slot.waiting.size();
  }
  return counts;
}

void LoopPool::ensure_ticking() {
  if (std::exchange(ticking_, true)) return;
  tick_timer_.start(Deadline::after(kTick), [this] { tick(); });
}

void LoopPool::tick() {
  ticking_ = false;
  const MonotonicTime now = MonotonicClock::now();
  // What is ended here resumes code that may add calls and end others: those whose time has come
  // are put aside first, and leave that ring too when they end otherwise.
  CallLink late;
  for (CallLink* link = calls_.after; link != &calls_;) {
    auto& call = static_cast<PendingCall&>(*link);
    link = link->after;
    const bool cancelled = call.call != nullptr && call.call->cancelled.stop_requested();
    const bool ends_itself = call.worker != nullptr && kind_.ends_calls_itself;
    if (!cancelled && !call.deadline.passed(ends_itself ? now - kOverrunMax : now)) continue;
    call.unlink();
    call.insert_before(late);
  }
  while (late.after != &late) {
    auto& call = static_cast<PendingCall&>(*late.after);
    if (call.call != nullptr && call.call->cancelled.stop_requested()) {
      end_early(call, {ErrorCode::kCancelled, "the caller is gone", {}});
    } else if (call.worker != nullptr) {
      end_early(
          call,
          {ErrorCode::kDeadlineExceeded, "its time was up while it ran; its worker was ended", {}});
    } else {
      end_early(call, {ErrorCode::kDeadlineExceeded,
                       "its time was up while it waited for a worker; it has not run",
                       {}});
    }
  }
  std::vector<std::uint64_t> ticked;
  for (const auto& [id, worker] : workers_) {
    if (worker->waits_for_time()) ticked.push_back(id);
  }
  for (const std::uint64_t id : ticked) {
    if (const auto found = workers_.find(id); found != workers_.end()) found->second->tick(now);
  }
  std::vector<Slot*> waiting;  // slots are not erased meanwhile
  for (auto& [id, slot] : slots_) {
    if (!slot.waiting.empty()) waiting.push_back(&slot);
  }
  for (Slot* slot : waiting) {
    if (!slot->waiting.empty()) dispatch(*slot);
  }
  if (calls_count_ > 0 || booting_ > 0 || !ticked.empty()) ensure_ticking();
}

void LoopPool::ensure_maintenance() {
  if (closed_ || std::exchange(maintaining_, true)) return;
  maintenance_timer_.start(Deadline::after(kMaintenanceInterval), [this] { maintain(); });
}

void LoopPool::maintain() {
  maintaining_ = false;
  const MonotonicTime now = MonotonicClock::now();
  std::vector<Worker*> too_long;
  for (auto& [id, slot] : slots_) {
    for (Worker* worker : slot.idle) {
      if (now - worker->idle_since > options_.limits.idle_max) too_long.push_back(worker);
    }
    for (Worker* worker : slot.workers) {
      if (worker->calls() == worker->calls_at_last_look) continue;
      worker->calls_at_last_look = worker->calls();
      start(look_at_memory(worker->id()));
    }
  }
  for (Worker* worker : too_long) {
    if (worker->state() == Worker::State::kIdle) retire(*worker);
  }
  std::erase_if(slots_, [](const auto& entry) {
    const Slot& slot = entry.second;
    return slot.workers.empty() && slot.waiting.empty() && slot.running == 0 &&
           slot.adopting == 0 && !slot.wants;
  });
  refill();
  if (!workers_.empty() || !slots_.empty()) ensure_maintenance();
}

Task<> LoopPool::look_at_memory(std::uint64_t id) {
  const std::uint64_t bytes = co_await launcher_.memory_bytes(id);
  const auto found = workers_.find(id);
  if (found == workers_.end()) co_return;
  Worker& worker = *found->second;
  worker.memory_bytes = bytes;
  if (!worker.program() || worker.state() == Worker::State::kDone) co_return;
  const double limit = static_cast<double>(memory_bytes_max(*worker.program()));
  if (static_cast<double>(bytes) < limit * options_.limits.memory_fraction_max) co_return;
  worker.retire = true;
  Slot& slot = slots_.at(worker.program()->id);
  if (std::ranges::find(slot.idle, &worker) != slot.idle.end()) retire(worker);
}

}  // namespace seam::runtimes
