#pragma once
// One guest, any engine. An engine is one adapter folder that implements these interfaces; nothing
// above it sees the engine's own headers.
//
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<Runtime> runtime, make_wasmtime({}));
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<CompiledModule> module, runtime->compile(bytes));
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<ModuleInstance> instance,
//                         runtime->instantiate_with_host(*module, host, {.limits = limits}));
//   SEAM_ASSIGN_OR_RETURN(std::int32_t sum, instance->function("add")->call<std::int32_t>(deadline,
//   20, 22));
//
// A call has three outcomes: a result, the guest's own failure (kTrapped, kExited, kLimitExceeded),
// and the host's (the other codes). A trap harms its own instance alone.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "wasm/error.h"
#include "wasm/host.h"
#include "wasm/value.h"

namespace seam::wasm {

// Limits of one instance.
struct Limits {
  std::uint64_t memory_bytes_max = 256U << 20U;  // memory.grow past it returns -1
  std::uint32_t table_elements_max = 20'000;     // table.grow past it returns -1
  std::optional<std::uint64_t> fuel =
      {};  // instructions, as the engine counts them; needs an engine with fuel
};

struct InstanceOptions {
  Limits limits = {};
  void* state =
      nullptr;  // what host functions get from HostCall::state(); borrowed, outlives the instance
};

// What ends a guest from outside, borrowed for the time of a call. An engine looks at it about
// every millisecond that the guest runs.
struct Bounds {
  Deadline deadline = {};                      // kDeadlineExceeded
  const std::stop_token* cancelled = nullptr;  // kCancelled; null: nobody can

  // Nothing can end it.
  [[nodiscard]] bool none() const { return deadline == Deadline::never() && cancelled == nullptr; }
  [[nodiscard]] bool passed() const {
    return (cancelled != nullptr && cancelled->stop_requested()) ||
           (deadline != Deadline::never() && deadline.passed(MonotonicClock::now()));
  }
  // What `cancelled` points to; where nobody can cancel, a token that never stops.
  [[nodiscard]] std::stop_token stop_token() const {
    return cancelled == nullptr ? std::stop_token() : *cancelled;
  }
};
// Why the guest ends, once they are passed().
[[nodiscard]] Failure failure_of(Bounds bounds);
// Holds the thread until `until` or until the bounds are passed, whichever comes first: how an
// engine without fibers waits for a host function (HostCall::waits_until).
void sleep_until(MonotonicTime until, Bounds bounds);

// What an engine keeps of the run that goes on: what can end it, and what did where that was not
// the guest itself. One thread at a time, the one that runs the guest.
struct GuestRun {
  Bounds bounds = {};
  std::optional<Error> failure = {};  // of the bounds, or a host function's

  // Whether the caller wants no more of it; then `failure` says why.
  [[nodiscard]] bool interrupted();
};

// The same, owned.
struct Interruption {
  Deadline deadline = {};
  std::stop_token cancelled = {};

  [[nodiscard]] Bounds bounds() const {
    return {.deadline = deadline, .cancelled = cancelled.stop_possible() ? &cancelled : nullptr};
  }
};

// A guest's work in slices, where the engine has fibers. At most one an instance at a time; it must
// end or be destroyed before the instance is used otherwise. Any thread may resume it, one at a
// time; destroying it half-way ends the guest, and the instance is spent.
//
//   while (!execution->resume(kSlice)) queue.push(execution, execution->ready_at());
//   Outcome<> outcome = execution->outcome();
class Execution {
 public:
  virtual ~Execution() = default;
  // Runs the guest until it is done (true) or has run for about `slice` milliseconds, or waits
  // (false). An engine without fibers runs to the end.
  [[nodiscard]] virtual bool resume(milliseconds slice) = 0;
  // When resume() is worth calling: in the past unless the guest waits.
  [[nodiscard]] virtual MonotonicTime ready_at() const = 0;
  // After resume() returned true, once.
  [[nodiscard]] virtual Outcome<> outcome() = 0;
  // The results, after an outcome without error; for an instantiation there are none.
  [[nodiscard]] virtual std::span<const Value> results() const = 0;
};

// Resumes until the end, sleeping while the guest waits.
[[nodiscard]] Outcome<> run_to_end(Execution& execution);

// A linear memory. Belongs to its instance and dies with it.
class Memory {
 public:
  virtual ~Memory() = default;
  // All of it. The view dies with the next call that runs the guest: that may grow and move it.
  [[nodiscard]] virtual std::span<std::byte> view() = 0;
  // errors    kTrapped   of kind kMemoryOutOfBounds: the range leaves the memory; nothing was
  // touched,
  //                      the instance stays usable
  [[nodiscard]] Outcome<std::span<const std::byte>> read(std::uint64_t offset, std::uint64_t size);
  [[nodiscard]] Outcome<> write(std::uint64_t offset, std::span<const std::byte> bytes);
};

// An exported function. Belongs to its instance and dies with it. Not to be called by a host
// function that this instance or one linked with it has called: the guest is still in that call.
class FunctionInstance {
 public:
  virtual ~FunctionInstance() = default;
  [[nodiscard]] const FunctionType& type() const { return type_; }

  // Calls it and blocks. `slots` holds the params and receives the results; type().slots() of them.
  // errors    kInvalidConfiguration   fewer slots than that; the instance stays usable
  //           else as the code says
  [[nodiscard]] Outcome<> call(const Interruption& interruption, std::span<Value> slots);
  // The same, to be resumed by the caller. `params` is copied.
  [[nodiscard]] virtual Outcome<std::unique_ptr<Execution>> start(
      Interruption interruption, std::span<const Value> params) = 0;

  // A typed call: what the types come to is compared each time, which costs one load.
  // errors    kInvalidConfiguration   the function's type is another; the message gives both
  template <class R = void, GuestNumber... Args>
  [[nodiscard]] [[gnu::always_inline]] Outcome<R> call(Deadline deadline, Args... args) {
    if (signature_ != signature_of<R, Args...>() && !has_type<R, Args...>()) [[unlikely]]
      return std::unexpected(wrong_type());
    std::array<Value, std::max<std::size_t>(sizeof...(Args), 1)> slots = {Value::of(args)...};
    if (Failure failure = invoke({.deadline = deadline}, slots.data())) [[unlikely]]
      return std::unexpected(std::move(failure).take());
    if constexpr (std::is_void_v<R>) {
      return {};
    } else {
      return slots[0].template as<R>();
    }
  }

 protected:
  // `type` outlives it.
  explicit FunctionInstance(const FunctionType& type) : type_(type), slots_(type.slots()) {}

  // The call, with as many slots as the type needs, at least one.
  virtual Failure invoke(Bounds bounds, Value* slots) = 0;
  [[nodiscard]] std::size_t slots() const { return slots_; }
  [[nodiscard]] Error too_few(std::size_t given) const;

 private:
  // A number for each list of C++ types that is not zero: base 8, the result first. Zero where that
  // would not fit, so that has_type() is asked each time.
  template <class R, GuestNumber... Args>
  [[nodiscard]] static constexpr std::uint64_t signature_of() {
    if (sizeof...(Args) > 19) return 0;
    std::uint64_t number = 1;
    const auto add = [&](std::uint64_t digit) { number = number * 8 + digit; };
    if constexpr (std::is_void_v<R>) {
      add(7);
    } else {
      add(static_cast<std::uint64_t>(value_type_of<R>()));
    }
    (add(static_cast<std::uint64_t>(value_type_of<Args>())), ...);
    return number;
  }
  // Compares type itself, and remembers that it is so.
  template <class R, GuestNumber... Args>
  [[nodiscard]] [[gnu::noinline]] bool has_type() {
    constexpr std::array<ValueType, sizeof...(Args)> params = {value_type_of<Args>()...};
    if (!std::ranges::equal(type_.params, params)) return false;
    if constexpr (std::is_void_v<R>) {
      if (!type_.results.empty()) return false;
    } else {
      if (type_.results.size() != 1 || type_.results[0] != value_type_of<R>()) return false;
    }
    signature_ = signature_of<R, Args...>();
    return true;
  }
  [[nodiscard]] Error wrong_type() const;

  const FunctionType& type_;
  std::size_t slots_;
  std::uint64_t signature_ = 1;  // of the typed calls that suit; 1 is none's
};

// One instance. One thread at a time.
class ModuleInstance {
 public:
  virtual ~ModuleInstance() = default;
  // Runs the module's start function, to be resumed by the caller: once, before anything else,
  // unless instantiate() did it. The outcome's errors:
  //           kLimitExceeded   a memory or table that begins over its limit
  //           kNoRoom          as many live as the engine can hold
  //           else as a call's
  [[nodiscard]] virtual Outcome<std::unique_ptr<Execution>> start(Interruption interruption) = 0;

  // An export by name, or nothing. Of this instance, and one object for each call.
  [[nodiscard]] virtual std::unique_ptr<FunctionInstance> function(std::string_view name) = 0;
  [[nodiscard]] virtual std::unique_ptr<Memory> memory(std::string_view name = "memory") = 0;
  // The value of an exported global at this moment, or nothing.
  [[nodiscard]] virtual std::optional<TypedValue> global(std::string_view name) = 0;
  // What is left of Limits::fuel, where there was any.
  [[nodiscard]] virtual std::optional<std::uint64_t> fuel_left() const = 0;
};

// What an engine keeps beside an instance (store, limits, the state of host functions) lives in the
// ModuleInstance; Context is what it keeps between instances of one module and one host: the
// resolved imports. Any thread.
class Context {
 public:
  virtual ~Context() = default;
  // An instance in which nothing has run yet.
  // errors    kInvalidConfiguration   fuel, and the engine was made without
  [[nodiscard]] virtual Outcome<std::unique_ptr<ModuleInstance>> create(
      const InstanceOptions& options) = 0;
  // The same, started; blocks.
  [[nodiscard]] Outcome<std::unique_ptr<ModuleInstance>> instantiate(
      const InstanceOptions& options, const Interruption& interruption);
};

// A validated, compiled module. Any thread.
class CompiledModule {
 public:
  virtual ~CompiledModule() = default;
  [[nodiscard]] virtual const std::vector<ExternType>& exports() const = 0;
  [[nodiscard]] virtual const std::vector<ExternType>& imports() const = 0;
  // Machine code for Runtime::load() of the same engine_key().
  // errors    kInvalidConfiguration   the engine has no such form
  [[nodiscard]] virtual Outcome<std::string> serialise() const = 0;
  // Memory that the module's code takes.
  [[nodiscard]] virtual std::size_t code_bytes() const = 0;

  [[nodiscard]] const ExternType* find_export(std::string_view name) const;
};

// An instance whose exports another module may import, under `name`. Borrowed.
struct LinkedInstance {
  std::string_view name;
  ModuleInstance* instance = nullptr;
};

// An engine in one configuration. Any thread. Outlives everything made by it.
class Runtime {
 public:
  virtual ~Runtime() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;  // "wasmtime"
  // Engine, version and whatever of the configuration and machine its code depends on.
  [[nodiscard]] virtual std::string engine_key() const = 0;

  // Blocks while it compiles.
  // errors    kModuleCompileFailed
  [[nodiscard]] virtual Outcome<std::unique_ptr<CompiledModule>> compile(
      std::string_view bytes) = 0;
  // `machine_code` is run as it is: it must be what serialise() gave in this process or come from
  // files that only we can write (wasm/module_cache.h).
  // errors    kModuleCompileFailed   of another engine, version or machine
  [[nodiscard]] virtual Outcome<std::unique_ptr<CompiledModule>> load(
      std::string_view machine_code) = 0;
  // Resolves the module's imports. The host is copied; module and runtime may not go first.
  // errors    kModuleInstantiateFailed   the message names the import
  [[nodiscard]] virtual Outcome<std::unique_ptr<Context>> link(const CompiledModule& module,
                                                               const HostModule& host) = 0;

  // A started instance that imports what the linked instances export, and `host`'s functions for
  // the rest; of two under one name the later one counts. All that are linked with each other are
  // one group: one thread at a time for all of them, the limits of the first, and what they hold is
  // given back when the last of them goes. Slower than a Context, for programs of several modules.
  // Blocks.
  // errors    kModuleInstantiateFailed   the message names the import
  //           else as ModuleInstance::start()'s; what a start function wrote into the memory or
  //           table of another instance before it failed stays there
  [[nodiscard]] virtual Outcome<std::unique_ptr<ModuleInstance>> instantiate_linked(
      const CompiledModule& module, const HostModule& host, std::span<const LinkedInstance> linked,
      const InstanceOptions& options, const Interruption& interruption) = 0;

  // Links and instantiates; blocks. Keep the Context where the same is instantiated again.
  struct InstanceAndContext {
    std::unique_ptr<Context> context;
    std::unique_ptr<ModuleInstance> instance;  // goes first
  };
  [[nodiscard]] Outcome<InstanceAndContext> instantiate_with_host(
      const CompiledModule& module, const HostModule& host, const InstanceOptions& options,
      const Interruption& interruption = {});
};

}  // namespace seam::wasm
