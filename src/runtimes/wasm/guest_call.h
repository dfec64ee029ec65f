#pragma once
// One call of one guest, from its fresh instance to its result, in slices.
//
//   GuestCall guest(*program, limits, call);
//   while (!guest.run(milliseconds(5))) wait_until(guest.ready_at());
//   outcome.value = guest.finish(sink, outcome.stats);

#include <memory>
#include <optional>
#include <string>

#include "runtimes/runtime.h"
#include "wasm/runtime.h"
#include "wasm/wasi.h"

namespace seam::runtimes {

// A module that was found to be a function, ready to be instantiated. Immutable; any thread.
struct GuestProgram {
  enum class Form { kCommand, kReactor };

  std::unique_ptr<wasm::CompiledModule> module;
  std::unique_ptr<wasm::Context> context;
  Form form = Form::kCommand;
  std::string entry;             // "_start", or the reactor's "handle"
  bool has_initialize = false;   // a reactor's constructors
  bool has_environment = false;  // it asks for arguments or environment
  std::size_t code_bytes = 0;

  // Checks the exports of both forms.
  // errors    kInvalidArgument   the message names the export that is missing or of another type
  [[nodiscard]] static Result<std::unique_ptr<GuestProgram>> make(
      wasm::Runtime& engine, const wasm::HostModule& host,
      std::unique_ptr<wasm::CompiledModule> module, const std::string& entry);
};

// A guest that sleeps is looked at so often, for its deadline and for its call's cancellation.
inline constexpr milliseconds kWaitMax{20};

// One thread at a time.
class GuestCall {
 public:
  // All three are borrowed.
  GuestCall(const GuestProgram& guest, const Program& program, const Call& call);
  GuestCall(const GuestCall&) = delete;
  GuestCall& operator=(const GuestCall&) = delete;

  // Runs for about `slice`; true once the call is over.
  [[nodiscard]] bool run(milliseconds slice);
  // When the next slice is worth running: later than now only while the guest waits.
  [[nodiscard]] MonotonicTime ready_at() const {
    return execution_ ? execution_->ready_at() : MonotonicTime();
  }
  // After run() returned true, once, on the thread that awaits the call: gives logs and result.
  [[nodiscard]] decltype(Outcome::value) finish(CallSink& sink, CallStats& stats);

 private:
  enum class Phase { kInstantiate, kInitialize, kAllocate, kHandle, kStart, kOver };

  bool begin(Phase phase);
  bool begin_call(std::string_view name, std::span<const wasm::Value> params);
  void fail_guest(FunctionError::Kind kind, std::string message);
  Phase after(Phase phase);
  bool deliver_params();
  FunctionError describe(const wasm::Error& error, std::uint64_t memory_bytes) const;
  decltype(Outcome::value) take_result(CallSink& sink);
  decltype(Outcome::value) failed_outcome(std::uint64_t memory_bytes);

  const GuestProgram& guest_;
  const Program& program_;
  const Call& call_;
  wasm::WasiState wasi_;
  std::unique_ptr<wasm::ModuleInstance> instance_;
  std::unique_ptr<wasm::FunctionInstance> function_;
  std::unique_ptr<wasm::Execution> execution_;
  Phase phase_ = Phase::kInstantiate;
  std::optional<wasm::Error> error_;      // the engine's word on how it ended
  std::optional<FunctionError> failure_;  // ours
  std::uint32_t params_at_ = 0;
  std::uint64_t result_ = 0;
  nanoseconds start_time_{0};
  nanoseconds run_time_{0};
};

}  // namespace seam::runtimes
