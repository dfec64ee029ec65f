#include "runtimes/rust/rust_runtime.h"

#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/identifier.h"
#include "runtimes/rust/guest_answer.h"

namespace seam::runtimes {

namespace {

// Gives results and logs through, and holds back an answer that may be an error.
class AnswerSink final : public CallSink {
 public:
  explicit AnswerSink(CallSink& sink) : sink_(sink) {}
  void on_result(std::string_view chunk) override {
    held_ = held_ || (!begun_ && chunk.starts_with(kRustErrorBegin));
    begun_ = true;
    if (held_) {
      answer_ += chunk;
    } else {
      sink_.on_result(chunk);
    }
  }
  void on_log(LogStream stream, std::string_view bytes) override { sink_.on_log(stream, bytes); }

  // After the last of the answer, once: the function's error, or nothing, and then the whole result
  // has been given.
  [[nodiscard]] std::optional<FunctionError> finish() {
    if (!held_) return {};
    std::optional<FunctionError> error = read_rust_error(answer_);
    if (!error) sink_.on_result(answer_);
    return error;
  }

 private:
  CallSink& sink_;
  bool begun_ = false;
  bool held_ = false;
  std::string answer_;
};

class RustRuntime final : public Runtime {
 public:
  RustRuntime(std::unique_ptr<RustCompiler> compiler, std::size_t modules_bytes_max, Runtime& wasm)
      : compiler_(std::move(compiler)), modules_bytes_max_(modules_bytes_max), wasm_(wasm) {}

  std::string_view name() const override { return "rust"; }

  Result<void> check_wish(const EngineWish& wish) const override { return wasm_.check_wish(wish); }

  Task<Result<void>> prepare(ProgramPtr program) override {
    SEAM_CO_ASSIGN_OR_RETURN(ProgramPtr guest, co_await compiled(program, Deadline::never(), {}));
    Result<void> prepared = co_await wasm_.prepare(std::move(guest));
    if (!prepared) release(program->id);
    co_return prepared;
  }

  Task<Outcome> run(ProgramPtr program, const Call& call, CallSink& sink) override {
    ProgramPtr guest = at_hand(program->id);
    nanoseconds compile_time{0};
    if (!guest) {
      const MonotonicTime begun = MonotonicClock::now();
      Result<ProgramPtr> made = co_await compiled(program, call.deadline, call.cancelled);
      compile_time = MonotonicClock::now() - begun;
      if (!made) {
        Outcome refused;
        refused.stats.cold_start = true;
        refused.stats.start_time = compile_time;
        refused.value = std::move(made).error();
        co_return refused;
      }
      guest = *std::move(made);
    }
    AnswerSink answer(sink);
    running_.fetch_add(1, std::memory_order_relaxed);
    Outcome outcome = co_await wasm_.run(std::move(guest), call, answer);
    running_.fetch_sub(1, std::memory_order_relaxed);
    outcome.stats.start_time += compile_time;
    outcome.stats.cold_start = outcome.stats.cold_start || compile_time.count() > 0;
    if (std::holds_alternative<Completed>(outcome.value)) {
      if (std::optional<FunctionError> error = answer.finish()) outcome.value = *std::move(error);
    } else if (auto* failure = std::get_if<FunctionError>(&outcome.value)) {
      outcome.value = failed(std::move(*failure));
    }
    co_return outcome;
  }

  void release(const std::string& program_id) override {
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = guests_.find(program_id); found != guests_.end()) {
        bytes_ -= found->second.guest->content.size();
        guests_.erase(found);
      }
    }
    wasm_.release(program_id);
  }

  RuntimeHealth health() const override { return compiler_->health(); }

  Task<RuntimeCounts> counts() override {
    RuntimeCounts counts;
    counts.running = running_.load(std::memory_order_relaxed);
    counts.started = compiler_->started();
    counts.start_failures = compiler_->start_failures();
    co_return counts;
  }

  Task<> shut_down() override { co_await compiler_->shut_down(); }

 private:
  struct Guest {
    ProgramPtr guest;
    std::uint64_t last_used = 0;
  };

  ProgramPtr at_hand(const std::string& program_id) {
    const std::lock_guard lock(mutex_);
    const auto found = guests_.find(program_id);
    if (found == guests_.end()) return nullptr;
    found->second.last_used = ++uses_;
    return found->second.guest;
  }

  Task<Result<ProgramPtr>> compiled(ProgramPtr program, Deadline deadline,
                                    std::stop_token cancelled) {
    if (!program->entry.empty() && program->entry != "handler") {
      co_return fail(ErrorCode::kInvalidArgument,
                     fmt::format("a function in Rust has no entry but handler: remove '{}'",
                                 program->entry.substr(0, 100)));
    }
    SEAM_CO_ASSIGN_OR_RETURN(const RustCompiler::Module module,
                             co_await compiler_->module(program, deadline, std::move(cancelled)));
    auto guest = std::make_shared<Program>(*program);
    guest->content = *module;
    guest->hash = sha256_hex(guest->content);
    guest->entry.clear();
    keep(guest);
    co_return guest;
  }

  void keep(const ProgramPtr& guest) {
    const std::lock_guard lock(mutex_);
    const auto [place, added] = guests_.try_emplace(guest->id);
    if (!added) bytes_ -= place->second.guest->content.size();
    place->second = {.guest = guest, .last_used = ++uses_};
    bytes_ += guest->content.size();
    while (bytes_ > modules_bytes_max_ && guests_.size() > 1) {
      auto oldest = guests_.begin();
      for (auto each = guests_.begin(); each != guests_.end(); ++each) {
        if (each->second.last_used < oldest->second.last_used) oldest = each;
      }
      bytes_ -= oldest->second.guest->content.size();
      guests_.erase(oldest);
    }
  }

  // A module that cannot be loaded was asked to be so by its source: an import that nobody offers.
  static decltype(Outcome::value) failed(FunctionError failure) {
    if (failure.kind == FunctionError::Kind::kLoadFailed)
      return Error{ErrorCode::kInvalidArgument, std::move(failure).message, {}};
    return read_rust_failure(std::move(failure));
  }

  const std::unique_ptr<RustCompiler> compiler_;
  const std::size_t modules_bytes_max_;
  Runtime& wasm_;
  std::atomic<std::size_t> running_{0};
  std::mutex mutex_;                               // guards what follows
  std::unordered_map<std::string, Guest> guests_;  // by the program's id
  std::size_t bytes_ = 0;                          // of their modules
  std::uint64_t uses_ = 0;
};

}  // namespace

Result<std::unique_ptr<Runtime>> create_rust_runtime(RustOptions options, process::Spawner& spawner,
                                                     Runtime& wasm) {
  SEAM_ASSIGN_OR_RETURN(std::unique_ptr<RustCompiler> compiler,
                        RustCompiler::start(std::move(options.compiler), spawner));
  return std::make_unique<RustRuntime>(std::move(compiler), options.modules_bytes_max, wasm);
}

}  // namespace seam::runtimes
