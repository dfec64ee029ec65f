// A call's way: its program's slot and compiled module (compiled on a thread of its own if need
// be), a place at the program's gate and at the engine's, then the guest's first slice here on the
// loop. Most guests are done by then. The others go on on the compute pool, slice by slice, behind
// each other, and the call resumes on its loop when its guest is done.

#include "runtimes/wasm/wasm_runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "runtimes/wasm/program_cache.h"

namespace seam::runtimes {
namespace {

constexpr std::size_t kEngineQueueMax = 4096;  // calls that wait for an instance, over all programs

std::optional<wasm::ModuleCache> open_disk(const WasmOptions& options) {
  if (options.cache_folder.empty()) return std::nullopt;
  Result<wasm::ModuleCache> cache =
      wasm::ModuleCache::open(options.cache_folder, options.cache_bytes_max);
  if (cache) return *std::move(cache);
  log_warning("modules are compiled anew at each start: {}", cache.error().message);
  return std::nullopt;
}

Error to_error(Gate::Entry entry) {
  switch (entry) {
    case Gate::Entry::kDeadline:
      return {ErrorCode::kDeadlineExceeded, "its time was up while it waited", {}};
    case Gate::Entry::kCancelled:
      return {ErrorCode::kCancelled, "the caller is gone", {}};
    default:
      return {ErrorCode::kUnavailable, "as many calls as may run do, and the queue is full", {}};
  }
}

// Steps a guest on the pool until it is done, and then ends the wait. The waiting call holds the
// guest.
void step(ComputePool& pool, GuestCall& guest, std::shared_ptr<Wait> done, milliseconds slice) {
  if (guest.run(slice)) {
    done->end(Wait::End::kReady);
    return;
  }
  const MonotonicTime ready_at = std::min(guest.ready_at(), MonotonicClock::now() + kWaitMax);
  pool.submit_at(
      ready_at, [&pool, &guest, done = std::move(done), slice] { step(pool, guest, done, slice); });
}

class WasmRuntime final : public Runtime {
 public:
  WasmRuntime(std::unique_ptr<wasm::Runtime> engine, WasmOptions options)
      : options_(std::move(options)),
        engine_(std::move(engine)),
        programs_(*engine_, compilers_, open_disk(options_), options_.modules_bytes_max),
        instances_(options_.instances_max, kEngineQueueMax),
        compilers_("wasm-compile", 1),
        guests_("wasm", options_.compute_threads) {}

  std::string_view name() const override { return "wasm"; }

  Task<Result<void>> prepare(ProgramPtr program) override {
    const std::shared_ptr<ProgramSlot> slot = programs_.slot(*program);
    auto guest = co_await programs_.compiled(slot, program, Deadline::never(), {});
    if (!guest) {
      programs_.release(program->id);
      co_return std::unexpected(guest.error());
    }
    co_return Result<void>();
  }

  Task<Outcome> run(ProgramPtr program, const Call& call, CallSink& sink) override {
    const MonotonicTime begun = MonotonicClock::now();
    Outcome outcome;
    outcome.stats.engine = options_.engine;
    const std::shared_ptr<ProgramSlot> slot = programs_.slot(*program);
    std::shared_ptr<const GuestProgram> guest = programs_.at_hand(*slot);
    if (!guest) {
      outcome.stats.cold_start = true;
      auto compiled = co_await programs_.compiled(slot, program, call.deadline, call.cancelled);
      outcome.stats.start_time = MonotonicClock::now() - begun;
      if (!compiled) {
        outcome.value = compiled.error();
        if (compiled.error().code == ErrorCode::kInvalidArgument) {
          outcome.value = FunctionError{.kind = FunctionError::Kind::kLoadFailed,
                                        .type = {},
                                        .message = compiled.error().message,
                                        .line = {},
                                        .column = {},
                                        .stack_trace = {}};
        }
        co_return outcome;
      }
      guest = *std::move(compiled);
    }
    const MonotonicTime queued = MonotonicClock::now();
    const Gate::Entry own = co_await slot->gate.enter(call.deadline, call.cancelled);
    if (own != Gate::Entry::kEntered) {
      outcome.value = to_error(own);
      outcome.stats.queue_time = MonotonicClock::now() - queued;
      co_return outcome;
    }
    const Gate::Entry all = co_await instances_.enter(call.deadline, call.cancelled);
    outcome.stats.queue_time = MonotonicClock::now() - queued;
    if (all == Gate::Entry::kEntered) {
      co_await run_guest(*guest, *program, call, sink, outcome);
      instances_.leave();
    } else {
      outcome.value = to_error(all);
    }
    slot->gate.leave();
    co_return outcome;
  }

  void release(const std::string& program_id) override { programs_.release(program_id); }

  RuntimeHealth health() const override { return {.up = true, .detail = engine_->engine_key()}; }

  Task<RuntimeCounts> counts() override {
    RuntimeCounts counts;
    counts.running = instances_.running();
    counts.waiting = instances_.waiting() + programs_.waiting();
    co_return counts;
  }

  Task<> shut_down() override {
    co_return;
  }  // threads end with the object; nothing else is kept warm

 private:
  // All are the caller's, which awaits this.
  Task<> run_guest(const GuestProgram& guest, const Program& program, const Call& call,
                   CallSink& sink, Outcome& outcome) {
    GuestCall running(guest, program, call);
    if (!options_.slices || !running.run(options_.first_slice)) {
      const auto done = std::make_shared<Wait>(*EventLoop::current());
      const MonotonicTime ready_at = std::min(running.ready_at(), MonotonicClock::now() + kWaitMax);
      guests_.submit_at(ready_at,
                        [this, &running, done] { step(guests_, running, done, options_.slice); });
      // The guest itself knows the deadline and the cancellation.
      co_await Wait::until(done, Deadline::never(), {});
    }
    outcome.value = running.finish(sink, outcome.stats);
  }

  const WasmOptions options_;
  const std::unique_ptr<wasm::Runtime> engine_;
  ProgramCache programs_;
  Gate instances_;
  ComputePool compilers_;  // the pools go first: their work uses what stands above
  ComputePool guests_;
};

}  // namespace

std::unique_ptr<Runtime> make_wasm_runtime(std::unique_ptr<seam::wasm::Runtime> engine,
                                           WasmOptions options) {
  return std::make_unique<WasmRuntime>(std::move(engine), std::move(options));
}

}  // namespace seam::runtimes
