#include "runtimes/worker_pool.h"

#include <algorithm>
#include <functional>

#include "base/check.h"

namespace seam::runtimes {

namespace {

// Carries what a call gives from its home loop to the loop that waits for it, in order: posted work
// runs in the order it was posted, and the call's own return comes last.
class RelaySink final : public CallSink {
 public:
  RelaySink(EventLoop& loop, CallSink& sink) : loop_(loop), sink_(sink) {}
  void on_result(std::string_view chunk) override { result_ += chunk; }
  void on_log(LogStream stream, std::string_view bytes) override {
    loop_.post([&sink = sink_, stream, text = std::string(bytes)] { sink.on_log(stream, text); });
  }
  // On the waiting loop, at the end.
  void deliver() {
    if (!result_.empty()) sink_.on_result(result_);
  }

 private:
  EventLoop& loop_;
  CallSink& sink_;
  std::string result_;
};

}  // namespace

WorkerPool::WorkerPool(const WorkerPoolOptions& options, std::unique_ptr<WorkerLauncher> launcher,
                       std::span<EventLoop* const> loops)
    : options_(options), launcher_(std::move(launcher)) {
  CHECK(!loops.empty());
  const auto share = std::max<std::size_t>(1, options_.limits.workers_max / loops.size());
  for (EventLoop* loop : loops) {
    pools_.push_back(
        std::make_unique<LoopPool>(*loop, *launcher_, options_.kind,
                                   LoopPoolOptions{.limits = options_.limits,
                                                   .workers_max = static_cast<std::uint32_t>(share),
                                                   .memory_bytes_max = options_.memory_bytes_max}));
    loop->post([pool = pools_.back().get()] { pool->open(); });
  }
}

WorkerPool::~WorkerPool() = default;

LoopPool& WorkerPool::home_of(const std::string& program_id) {
  return *pools_[std::hash<std::string>()(program_id) % pools_.size()];
}

Task<Outcome> WorkerPool::run(ProgramPtr program, const Call& call, CallSink& sink) {
  LoopPool& home = home_of(program->id);
  if (home.loop().is_current()) {
    co_return co_await home.run(std::move(program), &call, &sink, call.deadline);
  }
  EventLoop* const caller = EventLoop::current();
  CHECK(caller != nullptr);
  RelaySink relay(*caller, sink);
  co_await home.loop().schedule();
  Outcome outcome = co_await home.run(std::move(program), &call, &relay, call.deadline);
  co_await caller->schedule();
  relay.deliver();
  co_return outcome;
}

Task<Result<void>> WorkerPool::prepare(ProgramPtr program) {
  EventLoop* const caller = EventLoop::current();
  CHECK(caller != nullptr);
  LoopPool& home = home_of(program->id);
  co_await home.loop().schedule();
  Outcome outcome =
      co_await home.run(std::move(program), nullptr, nullptr, Deadline::after(kPrepareMax));
  co_await caller->schedule();
  if (std::holds_alternative<Completed>(outcome.value)) co_return Result<void>();
  if (Error* const error = std::get_if<Error>(&outcome.value)) co_return std::unexpected(*error);
  const FunctionError& error = std::get<FunctionError>(outcome.value);
  std::string message = error.type.empty() ? error.message : error.type + ": " + error.message;
  co_return fail(ErrorCode::kInvalidArgument, std::move(message), place_details(error));
}

void WorkerPool::release(const std::string& program_id) {
  LoopPool& home = home_of(program_id);
  home.loop().post([&home, program_id] { home.release(program_id); });
}

RuntimeHealth WorkerPool::health() const {
  Result<std::string> program = launcher_->program();
  if (program.has_value()) return {.up = true, .detail = *std::move(program)};
  std::string why = std::move(program.error().message);
  if (program.error().code == ErrorCode::kNotFound) {
    why.append("; ").append(options_.kind.install_remedy);
  }
  return {.up = false, .detail = std::move(why)};
}

Task<> WorkerPool::shut_down() {
  EventLoop* const caller = EventLoop::current();
  CHECK(caller != nullptr);
  for (const std::unique_ptr<LoopPool>& pool : pools_) {
    co_await pool->loop().schedule();
    co_await pool->shut_down();
  }
  co_await caller->schedule();
  co_await launcher_->shut_down();
}

Task<RuntimeCounts> WorkerPool::counts() {
  EventLoop* const caller = EventLoop::current();
  CHECK(caller != nullptr);
  RuntimeCounts sum;
  for (const std::unique_ptr<LoopPool>& pool : pools_) {
    co_await pool->loop().schedule();
    const RuntimeCounts counts = pool->counts();
    sum.workers += counts.workers;
    sum.warm += counts.warm;
    sum.idle += counts.idle;
    sum.running += counts.running;
    sum.waiting += counts.waiting;
    sum.started += counts.started;
    sum.start_failures += counts.start_failures;
  }
  co_await caller->schedule();
  co_return sum;
}

}  // namespace seam::runtimes
