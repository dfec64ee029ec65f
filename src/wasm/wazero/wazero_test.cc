#include "wasm/wazero/wazero.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <latch>
#include <thread>

#include "wasm/shared_library.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::wasm {
namespace {

using testing::HasSubstr;
using Mode = WazeroOptions::Mode;

WazeroOptions options_of(Mode mode) {
  return {.mode = mode, .library_folder = SEAM_ENGINE_LIBRARIES};
}

std::string module_of(std::string_view text) {
  Outcome<std::string> bytes = wasm_from_text(text);
  EXPECT_TRUE(bytes) << bytes.error().message;
  return bytes.value_or("");
}

struct Guest {
  std::unique_ptr<CompiledModule> module;
  std::unique_ptr<Context> context;
  std::unique_ptr<ModuleInstance> instance;
};

Outcome<Guest> try_make(Runtime& engine, std::string_view text, const HostModule& host = {},
                        const InstanceOptions& options = {}) {
  Guest guest;
  SEAM_ASSIGN_OR_RETURN(guest.module, engine.compile(module_of(text)));
  SEAM_ASSIGN_OR_RETURN(guest.context, engine.link(*guest.module, host));
  SEAM_ASSIGN_OR_RETURN(guest.instance, guest.context->instantiate(options, {}));
  return guest;
}

Guest make(Runtime& engine, std::string_view text, const HostModule& host = {},
           const InstanceOptions& options = {}) {
  Outcome<Guest> guest = try_make(engine, text, host, options);
  EXPECT_TRUE(guest) << guest.error().message;
  return std::move(*guest);
}

ErrorCode code_of(const auto& outcome) {
  EXPECT_FALSE(outcome.has_value());
  return outcome ? ErrorCode::kNoRoom : outcome.error().code;
}

Outcome<> call_void(ModuleInstance& instance, std::string_view name, Deadline deadline = {}) {
  return instance.function(name)->call(deadline);
}

constexpr std::string_view kSpin = R"((module (func (export "spin") (loop $l (br $l)))))";
constexpr std::string_view kCount = R"((module
  (func (export "count") (param i64) (result i64) (local i64)
    (loop $l (local.set 1 (i64.add (local.get 1) (i64.const 1)))
             (br_if $l (i64.lt_u (local.get 1) (local.get 0))))
    (local.get 1))))";
constexpr std::string_view kTraps = R"((module
    (memory 1) (table 2 funcref) (elem (i32.const 1) $one) (type $none (func))
    (func $one (result i32) i32.const 1)
    (func (export "Unreachable") unreachable)
    (func (export "MemoryOutOfBounds") (drop (i32.load (i32.const 65536))))
    (func (export "TableOutOfBounds") (call_indirect (type $none) (i32.const 2)))
    (func (export "IndirectCallToNull") (call_indirect (type $none) (i32.const 0)))
    (func (export "BadSignature") (call_indirect (type $none) (i32.const 1)))
    (func (export "IntegerOverflow") (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
    (func (export "IntegerDivisionByZero") (drop (i32.div_u (i32.const 1) (i32.const 0))))
    (func (export "BadConversionToInteger") (drop (i32.trunc_f32_s (f32.const nan))))
    (func $deep (export "StackOverflow") (call $deep))))";
constexpr TrapKind kKinds[] = {TrapKind::kUnreachable,           TrapKind::kMemoryOutOfBounds,
                               TrapKind::kTableOutOfBounds,      TrapKind::kIndirectCallToNull,
                               TrapKind::kBadSignature,          TrapKind::kIntegerOverflow,
                               TrapKind::kIntegerDivisionByZero, TrapKind::kBadConversionToInteger,
                               TrapKind::kStackOverflow};

// Every test in both modes; one runtime of each serves them all.
class Wazero : public testing::TestWithParam<Mode> {
 protected:
  static Runtime& runtime() {
    static const std::unique_ptr<Runtime> compiled = *make_wazero(options_of(Mode::kCompiled));
    static const std::unique_ptr<Runtime> interpreter =
        *make_wazero(options_of(Mode::kInterpreter));
    return GetParam() == Mode::kCompiled ? *compiled : *interpreter;
  }
};

INSTANTIATE_TEST_SUITE_P(Modes, Wazero, testing::Values(Mode::kCompiled, Mode::kInterpreter),
                         [](const auto& mode) {
                           return mode.param == Mode::kCompiled ? "compiled" : "interpreter";
                         });

TEST_P(Wazero, CallsAnExport) {
  Guest guest = make(runtime(), R"((module (func (export "add") (param i32 i32) (result i32)
                           local.get 0 local.get 1 i32.add)))");
  EXPECT_EQ(guest.instance->function("add")->call<std::int32_t>(Deadline::never(), 20, 22), 42);
  EXPECT_EQ(guest.instance->function("sub"), nullptr);
}

TEST_P(Wazero, RefusesBytesThatAreNoModule) {
  EXPECT_EQ(code_of(runtime().compile("")), ErrorCode::kModuleCompileFailed);
  const std::string good = module_of(R"((module (func (export "f") (result i32) i32.const 1)))");
  for (std::size_t size = 0; size < good.size(); ++size) {
    if (size == 8 || size == 15) continue;  // a cut behind the header or the types leaves a module
    EXPECT_EQ(code_of(runtime().compile(std::string_view(good).substr(0, size))),
              ErrorCode::kModuleCompileFailed)
        << size;
  }
}

// Goal: a few bytes that announce thousands of millions of items take no memory for them.
TEST_P(Wazero, CountsThatTheModuleCannotHoldAreRefused) {
  const std::string header("\0asm\1\0\0\0", 8);
  const std::string many = "\xff\xff\xff\xff\x0f";
  for (char section = 1; section <= 11; ++section) {
    if (section == 8) continue;  // of a start section there is one
    EXPECT_EQ(code_of(runtime().compile(header + section + "\x05" + many)),
              ErrorCode::kModuleCompileFailed)
        << int{section};
    EXPECT_EQ(code_of(runtime().compile(header + section + many + many)),
              ErrorCode::kModuleCompileFailed)
        << int{section};
  }
  // One function with 2^32 - 1 locals.
  const std::string locals = header + "\1\4\1\x60" + std::string(2, '\0') + "\3\2\1" +
                             std::string(1, '\0') + "\x0a\x0a\1\x08\1" + many + "\x7f\x0b";
  EXPECT_EQ(code_of(runtime().compile(locals)), ErrorCode::kModuleCompileFailed);
}

// Goal: kind, functions and places are those that wasmtime reports.
TEST_P(Wazero, TrapsAreThoseOfTheOtherEngine) {
  const std::unique_ptr<Runtime> other = *make_wasmtime({.instances_max = 8});
  Guest guest = make(runtime(), kTraps);
  Guest same = make(*other, kTraps);
  for (const TrapKind kind : kKinds) {
    const Outcome<> outcome = call_void(*guest.instance, to_string(kind));
    const Outcome<> wanted = call_void(*same.instance, to_string(kind));
    EXPECT_EQ(code_of(outcome), ErrorCode::kTrapped) << to_string(kind);
    EXPECT_EQ(to_string(outcome.error().trap), to_string(kind));
    EXPECT_EQ(outcome.error().message, wanted.error().message);
    if (kind == TrapKind::kStackOverflow) {
      EXPECT_EQ(outcome.error().backtrace.size(), 20U);
    } else if (kind != TrapKind::kUnreachable) {  // wasmtime has none of a function's first place
      EXPECT_EQ(outcome.error().trace(), wanted.error().trace());
    }
  }
}

TEST_P(Wazero, ATrapTellsWhoCalledWhomFromWhere) {
  Guest guest = make(
      runtime(), R"((module (func $inner unreachable) (func $outer (export "f") call $inner)))");
  const Outcome<> outcome = call_void(*guest.instance, "f");
  ASSERT_FALSE(outcome);
  // As `wasm-tools dump` has the instructions.
  EXPECT_EQ(outcome.error().trace(),
            "  at inner (function 0, offset 0x1f)\n  at outer (function 1, offset 0x23)\n");
}

TEST_P(Wazero, AHostFunctionsErrorEndsTheGuestWithThatError) {
  HostModule host;
  host.add("env", "leave", [](HostCall&, std::int32_t code) -> Outcome<> {
    return std::unexpected(Error{.code = ErrorCode::kExited, .message = "bye", .exit_code = code});
  });
  Guest guest = make(runtime(), R"((module (import "env" "leave" (func $leave (param i32)))
                           (export "leave" (func $leave))
                           (func $f (export "f") (call $leave (i32.const 3)) unreachable)))",
                     host);
  const Outcome<> outcome = call_void(*guest.instance, "f");
  EXPECT_EQ(code_of(outcome), ErrorCode::kExited);
  EXPECT_EQ(outcome.error().exit_code, 3);
  EXPECT_EQ(outcome.error().message, "bye");
  // An export that is an import of the host's.
  const Outcome<> direct = guest.instance->function("leave")->call<void>(Deadline::never(), 4);
  EXPECT_EQ(code_of(direct), ErrorCode::kExited);
  EXPECT_EQ(direct.error().exit_code, 4);
}

TEST_P(Wazero, HostFunctionsSeeTheGuestsMemoryAsItGrows) {
  HostModule host;
  host.add("env", "size", [](HostCall& call) -> std::int64_t {
    return static_cast<std::int64_t>(call.memory().size());
  });
  Guest guest = make(runtime(), R"((module (import "env" "size" (func $size (result i64)))
      (memory (export "memory") 1)
      (func (export "f") (result i64) (drop (memory.grow (i32.const 2))) (call $size))
      (func (export "set") (i32.store8 (i32.const 196607) (i32.const 7)))))",
                     host);
  const auto memory = guest.instance->memory();
  const std::byte* const base = memory->view().data();
  EXPECT_EQ(guest.instance->function("f")->call<std::int64_t>(Deadline::never()), 3 << 16);
  ASSERT_TRUE(call_void(*guest.instance, "set"));
  ASSERT_EQ(memory->view().size(), 3U << 16);
  EXPECT_EQ(memory->view().back(), std::byte{7});
  EXPECT_EQ(memory->view().data(), base);
}

TEST_P(Wazero, LimitsHold) {
  constexpr std::string_view kGrowing = R"((module (memory (export "memory") 1) (table $t 1 funcref)
      (func (export "memory_grow") (param i32) (result i32) (memory.grow (local.get 0)))
      (func (export "table_grow") (param i32) (result i32)
        (table.grow $t (ref.null func) (local.get 0)))))";
  const InstanceOptions small{.limits = {.memory_bytes_max = 4 << 16, .table_elements_max = 10}};
  Guest guest = make(runtime(), kGrowing, {}, small);
  const auto grow = [&](std::string_view name, std::int32_t by) {
    return guest.instance->function(name)->call<std::int32_t>(Deadline::never(), by);
  };
  EXPECT_EQ(grow("memory_grow", 4), -1);
  EXPECT_EQ(grow("memory_grow", 3), 1);
  EXPECT_EQ(grow("memory_grow", 1), -1);
  EXPECT_EQ(grow("memory_grow", 0), 4);
  EXPECT_EQ(grow("table_grow", 10), -1);
  EXPECT_EQ(grow("table_grow", 9), 1);
  EXPECT_EQ(grow("table_grow", 1), -1);
  EXPECT_EQ(code_of(try_make(runtime(), "(module (memory 5))", {}, small)),
            ErrorCode::kLimitExceeded);
  EXPECT_EQ(code_of(try_make(runtime(), "(module (table 11 funcref))", {}, small)),
            ErrorCode::kLimitExceeded);
  EXPECT_TRUE(try_make(runtime(), "(module (memory 4) (table 10 funcref))", {}, small));
  EXPECT_EQ(code_of(try_make(runtime(), kCount, {}, {.limits = {.fuel = 1000}})),
            ErrorCode::kInvalidConfiguration);
}

TEST_P(Wazero, ASegmentThatLeavesItsMemoryOrTableTraps) {
  const auto kind = [&](std::string_view text) {
    const Outcome<Guest> guest = try_make(runtime(), text);
    EXPECT_EQ(code_of(guest), ErrorCode::kTrapped) << text;
    return guest ? TrapKind::kOther : guest.error().trap;
  };
  EXPECT_EQ(kind(R"((module (memory 1) (data (i32.const 65535) "ab")))"),
            TrapKind::kMemoryOutOfBounds);
  EXPECT_EQ(kind(R"((module (memory 1) (data (i32.const -1) "")))"), TrapKind::kMemoryOutOfBounds);
  EXPECT_EQ(kind(R"((module (table 1 funcref) (func $f) (elem (i32.const 1) $f)))"),
            TrapKind::kTableOutOfBounds);
}

TEST_P(Wazero, ASpinningGuestIsInterruptedAtItsDeadline) {
  for (const std::string_view text :
       {kSpin, std::string_view(R"((module (func $f (export "spin") (return_call $f))))"),
        // Deep only in its breadth: no loop, and a stack that never ends.
        std::string_view(R"((module (func $f (param i32) (if (local.get 0) (then
           (call $f (i32.sub (local.get 0) (i32.const 1)))
           (call $f (i32.sub (local.get 0) (i32.const 1))))))
           (func (export "spin") (call $f (i32.const 60)))))"),
        std::string_view(R"((module (import "env" "f" (func $f))
           (func (export "spin") (loop $l (call $f) (br $l)))))")}) {
    HostModule host;
    host.add("env", "f", [](HostCall&) {});
    Guest guest = make(runtime(), text, host);
    const Outcome<> outcome = call_void(*guest.instance, "spin", Deadline::after(milliseconds(20)));
    EXPECT_EQ(code_of(outcome), ErrorCode::kDeadlineExceeded) << text;
    EXPECT_FALSE(outcome.error().backtrace.empty());
  }
}

TEST_P(Wazero, ADeadlineThatHasPassedRunsNothing) {
  Guest guest = make(runtime(), R"((module (func (export "f") unreachable)))");
  EXPECT_EQ(code_of(call_void(*guest.instance, "f", Deadline::after(milliseconds(0)))),
            ErrorCode::kDeadlineExceeded);
}

TEST_P(Wazero, ASpinningGuestIsInterruptedWhenCancelled) {
  Guest guest = make(runtime(), kSpin);
  std::stop_source source;
  std::jthread canceller([&] {
    std::this_thread::sleep_for(milliseconds(20));
    source.request_stop();
  });
  EXPECT_EQ(
      code_of(guest.instance->function("spin")->call({Deadline::never(), source.get_token()}, {})),
      ErrorCode::kCancelled);
}

TEST_P(Wazero, AStartFunctionIsInterruptedAndMayTrap) {
  const auto spins =
      *runtime().compile(module_of("(module (func $s (loop $l (br $l))) (start $s))"));
  const auto context = *runtime().link(*spins, {});
  EXPECT_EQ(code_of(context->instantiate({}, {Deadline::after(milliseconds(20)), {}})),
            ErrorCode::kDeadlineExceeded);
  const auto traps = try_make(runtime(), "(module (func $s unreachable) (start $s))");
  EXPECT_EQ(code_of(traps), ErrorCode::kTrapped);
  EXPECT_EQ(traps.error().trap, TrapKind::kUnreachable);
  EXPECT_EQ(traps.error().backtrace.size(), 1U);
}

// Goal: what looking up does to a guest's registers and stack. Method: many values alive in a loop
// that is made to look up again and again, against the same loop in closed form.
TEST_P(Wazero, AGuestThatLooksUpGoesOnAsItWas) {
  constexpr std::string_view kLooking = R"((module
    (func $spread (param i64 f64) (result i64 i64 f64 f64 i64)
      (i64.add (local.get 0) (i64.const 1)) (i64.add (local.get 0) (i64.const 2))
      (f64.add (local.get 1) (f64.const 1)) (f64.add (local.get 1) (f64.const 2))
      (i64.xor (local.get 0) (i64.const -1)))
    (func (export "f") (param i64) (result i64)
      (local $i i64) (local $a i64) (local $b i64) (local $c i64) (local $d i64) (local $e i64)
      (local $f i64) (local $g i64) (local $h i64) (local $x f64) (local $y f64) (local $v v128)
      (loop $l
        (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (local.set $a (i64.add (local.get $a) (local.get $i)))
        (local.set $b (i64.add (local.get $b) (i64.const 3)))
        (local.set $c (i64.sub (local.get $c) (i64.const 5)))
        (local.set $d (i64.add (local.get $d) (i64.const 7)))
        (local.set $e (i64.sub (local.get $e) (i64.const 11)))
        (local.set $f (i64.add (local.get $f) (i64.const 13)))
        (local.set $g (i64.sub (local.get $g) (i64.const 17)))
        (local.set $h (i64.add (local.get $h) (i64.const 19)))
        (local.set $x (f64.add (local.get $x) (f64.const 2)))
        (local.set $y (f64.sub (local.get $y) (f64.const 4)))
        (local.set $v (i64x2.add (local.get $v) (i64x2.splat (i64.const 23))))
        (br_if $l (i64.lt_u (local.get $i) (local.get 0))))
      (i64.add (local.get $a) (i64.add (local.get $b) (i64.add (local.get $c) (i64.add
        (local.get $d) (i64.add (local.get $e) (i64.add (local.get $f) (i64.add (local.get $g)
        (i64.add (local.get $h) (i64.add (i64.trunc_f64_s (local.get $x))
        (i64.add (i64.trunc_f64_s (local.get $y))
        (i64x2.extract_lane 1 (local.get $v)))))))))))))))";
  Guest guest = make(runtime(), kLooking);
  const auto function = guest.instance->function("f");
  const std::int64_t rounds = GetParam() == Mode::kCompiled ? 50'000'000 : 500'000;
  EXPECT_EQ(function->call<std::int64_t>(Deadline::never(), rounds),
            rounds * (rounds + 1) / 2 + rounds * (3 - 5 + 7 - 11 + 13 - 17 + 19 + 2 - 4 + 23));
}

// Goal: Go's collector, which waits for every thread, does not wait for a guest that spins.
// Method: one spins until the other, which makes garbage, is done.
TEST_P(Wazero, AGuestThatSpinsHoldsUpNoOther) {
  Guest spinning = make(runtime(), kSpin);
  std::stop_source source;
  std::latch begun(1);
  std::jthread spinner([&] {
    begun.count_down();
    EXPECT_EQ(code_of(spinning.instance->function("spin")->call(
                  {Deadline::never(), source.get_token()}, {})),
              ErrorCode::kCancelled);
  });
  begun.wait();
  const std::string bytes = module_of(kTraps);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(runtime().compile(bytes));
  for (int i = 0; i < 2000; ++i) {
    const auto both = runtime().instantiate_with_host(*spinning.module, {}, {});
    ASSERT_TRUE(both);
    ASSERT_NE(both->instance->function("spin"), nullptr);
  }
  source.request_stop();
}

TEST_P(Wazero, AWaitingHostFunctionIsInterrupted) {
  HostModule host;
  host.add_waiting("env", "sleep_ms", [](HostCall& call, std::int32_t span) -> std::int32_t {
    call.wait_until(Deadline::after(milliseconds(span)));
    return span + 1;
  });
  Guest guest = make(runtime(),
                     R"((module (import "env" "sleep_ms" (func $s (param i32) (result i32)))
                           (func (export "f") (param i32) (result i32) (call $s (local.get 0)))))",
                     host);
  const auto function = guest.instance->function("f");
  const auto begin = MonotonicClock::now();
  EXPECT_EQ(function->call<std::int32_t>(Deadline::never(), 30), 31);
  EXPECT_GE(MonotonicClock::now() - begin, milliseconds(30));
  EXPECT_EQ(code_of(function->call<std::int32_t>(Deadline::after(milliseconds(5)), 1 << 30)),
            ErrorCode::kDeadlineExceeded);
  std::stop_source source;
  std::jthread canceller([&] { source.request_stop(); });
  Value slots[] = {Value::of(1 << 30)};
  EXPECT_EQ(code_of(function->call({Deadline::never(), source.get_token()}, slots)),
            ErrorCode::kCancelled);
}

TEST_P(Wazero, AnExecutionRunsToItsEnd) {
  Guest guest = make(runtime(), kCount);
  const Value params[] = {Value::of(std::int64_t{100'000})};
  const auto function = guest.instance->function("count");
  const auto execution = *function->start({}, params);
  EXPECT_TRUE(execution->resume(milliseconds(0)));
  ASSERT_TRUE(execution->outcome());
  EXPECT_EQ(execution->results()[0].as<std::int64_t>(), 100'000);
  static_cast<void>(*function->start({}, params));  // dropped before it has run
  EXPECT_EQ(function->call<std::int64_t>(Deadline::never(), std::int64_t{5}), 5);
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

// Goal: instances give back all they took. Method: memory after ten times as many does not grow.
TEST_P(Wazero, TenThousandInstancesLeaveMemoryFlat) {
  Guest guest = make(runtime(), R"((module (memory (export "memory") 1)
    (func (export "f") (param i32) (result i32) (i32.store (i32.const 64) (local.get 0))
      (i32.load (i32.const 64)))))");
  const auto run = [&](int times) {
    for (int i = 0; i < times; ++i) {
      const auto instance = *guest.context->instantiate({}, {});
      ASSERT_EQ(instance->function("f")->call<std::int32_t>(Deadline::never(), i), i);
    }
  };
  run(1000);
  const std::size_t before = resident_bytes();
  run(10'000);
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  EXPECT_GT(before, 0U);  // a sanitizer keeps what is freed for a while, and looks for leaks itself
#else
  EXPECT_LT(resident_bytes(), before + (32U << 20U));  // Go's heap moves between one and two times
#endif
}

// Goal: Go's signal handlers and wasmtime's live in one process, under load.
TEST_P(Wazero, TwoEnginesTrapAndEndInOneProcess) {
  const std::unique_ptr<Runtime> other = *make_wasmtime({.instances_max = 16});
  std::vector<std::jthread> threads;
  for (Runtime* engine : {&runtime(), other.get()}) {
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([engine] {
        const std::string spin = module_of(kSpin);
        const std::string traps = module_of(kTraps);
        const auto spinning = *engine->compile(spin);
        const auto trapping = *engine->compile(traps);
        const auto spinning_context = *engine->link(*spinning, {});
        const auto trapping_context = *engine->link(*trapping, {});
        for (int i = 0; i < 30; ++i) {
          for (const TrapKind kind : kKinds) {
            const auto instance = *trapping_context->instantiate({}, {});
            const Outcome<> outcome = call_void(*instance, to_string(kind));
            ASSERT_FALSE(outcome);
            ASSERT_EQ(to_string(outcome.error().trap), to_string(kind));
          }
          const auto instance = *spinning_context->instantiate({}, {});
          ASSERT_EQ(code_of(call_void(*instance, "spin", Deadline::after(milliseconds(2)))),
                    ErrorCode::kDeadlineExceeded);
        }
      });
    }
  }
}

// What the guests of the following tests do: use much stack, come out to the host with it, and have
// their stack, memory and table grow while the calls of other instances wait for them.
constexpr std::string_view kBusy = R"((module
    (import "env" "next" (func $next (param i32) (result i32)))
    (memory (export "memory") 4 100) (table $t 1 100 funcref)
    (func $deep (param i32) (result i32)
      (if (result i32) (local.get 0)
        (then (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
        (else (i32.const 0))))
    (func $deep_and_next (param $depth i32) (param $levels i32) (result i32)
      (if (result i32) (local.get $depth)
        (then (i32.add (i32.const 1) (call $deep_and_next
          (i32.sub (local.get $depth) (i32.const 1)) (local.get $levels))))
        (else (call $next (local.get $levels)))))
    (func (export "descend") (param $levels i32) (result i32)
      (i32.add (call $deep (i32.const 100))
        (i32.add (call $deep_and_next (i32.const 200) (local.get $levels))
                 (call $deep (i32.const 3000)))))
    (func (export "at_depth") (param i32) (result i32)
      (call $deep_and_next (local.get 0) (i32.const 0)))
    (func (export "grow") (param $levels i32) (result i32) (local $at i32) (local $sum i32)
      (local.set $at (i32.shl (memory.size) (i32.const 16)))
      (drop (memory.grow (i32.const 1)))
      (local.set $sum (call $next (local.get $levels)))
      (i32.store (local.get $at) (local.get $sum))
      (drop (table.grow $t (ref.null func) (i32.const 1)))
      (i32.add (memory.size) (i32.load (local.get $at))))
    (func (export "trap") (param i32) (result i32) unreachable)
    (func (export "copy") (param $round i32) (result i32)
      (memory.fill (i32.const 0) (local.get $round) (i32.const 65536))
      (memory.copy (i32.const 65537) (i32.const 1) (i32.const 65000))
      (memory.copy (i32.const 131075) (i32.const 65540) (i32.const 300))
      (i32.load8_u (i32.const 131374)))
    (func (export "count") (param i32) (result i32) (local i32)
      (loop $l (local.set 1 (i32.add (local.get 1) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get 1) (local.get 0))))
      (local.get 1))))";
constexpr std::int32_t kDescend = 100 + 200 + 3000;  // each level of descend()

// Instances of kBusy, each of which calls a function of the next one, as many levels as it is told.
class Chain {
 public:
  Chain(Context& context, std::size_t count) : links_(count) {
    for (std::size_t i = 0; i < count; ++i) {
      links_[i].instance = *context.instantiate({.limits = {}, .state = &links_[i]}, {});
      if (i != 0) links_[i - 1].next = links_[i].instance.get();
    }
  }

  // Of the first instance, whose calls end with `last` of the last one that is called.
  Outcome<std::int32_t> call(std::string_view name, std::int32_t param,
                             std::string_view last = {}) {
    for (Link& link : links_) {
      link.calls = name;
      link.ends_with = last.empty() ? name : last;
    }
    return links_[0].instance->function(name)->call<std::int32_t>(Deadline::never(), param);
  }

  static HostModule host() {
    HostModule host;
    host.add("env", "next", [](HostCall& call, std::int32_t levels) -> Outcome<std::int32_t> {
      const auto& link = call.state<Link>();
      if (levels == 0) return 0;
      return link.next->function(levels == 1 ? link.ends_with : link.calls)
          ->call<std::int32_t>(Deadline::never(), levels - 1);
    });
    return host;
  }

 private:
  struct Link {
    std::unique_ptr<ModuleInstance> instance = nullptr;
    ModuleInstance* next = nullptr;
    std::string_view calls = {};
    std::string_view ends_with = {};
  };
  std::vector<Link> links_;
};

// All that busy guests can do; what they return is compared.
void run_busy_guests(Context& context, std::int32_t round) {
  Chain chain(context, 4);
  for (const std::int32_t levels : {0, 3, 1}) {
    ASSERT_EQ(chain.call("descend", levels), (levels + 1) * kDescend);
    // One of them traps, and all end: it is the host that passes it on.
    const Outcome<std::int32_t> failed = chain.call("descend", levels, "trap");
    ASSERT_EQ(failed.has_value(), levels == 0);
    if (!failed) ASSERT_EQ(failed.error().trap, TrapKind::kUnreachable);
  }
  for (std::int32_t pages = 5; pages < 9; ++pages) ASSERT_EQ(chain.call("grow", 3), 4 * pages);
  ASSERT_EQ(chain.call("copy", round & 127), round & 127);
  ASSERT_EQ(chain.call("count", 20'000), 20'000);
}

TEST_P(Wazero, HostFunctionsCallOtherInstances) {
  Guest guest = make(runtime(), kBusy, Chain::host());
  for (int round = 0; round < 3; ++round) run_busy_guests(*guest.context, round);
}

// Goal: a stack may have to grow at any place, on the way out to the host too. Method: a new stack
// for each depth.
TEST_P(Wazero, AHostFunctionIsCalledAtAnyDepthOfAStack) {
  Guest guest = make(runtime(), kBusy, Chain::host());
  Chain chain(*guest.context, 1);
  for (std::int32_t depth = 0; depth < 1000; ++depth)
    ASSERT_EQ(chain.call("at_depth", depth), depth);
}

// Goal: Go's collector, which sees nothing of threads that run guests, takes nothing from them.
// Method: it collects without a pause, beside one that makes garbage.
TEST_P(Wazero, GuestsRunWhileGoCollectsGarbage) {
  const auto module = *runtime().compile(module_of(kBusy));
  const auto context = *runtime().link(*module, Chain::host());
  const SharedLibrary library =
      *SharedLibrary::open(engine_library(SEAM_ENGINE_LIBRARIES, "wazero"));
  const auto collect = *library.function<void()>("seam_wazero_collect");
  std::vector<std::jthread> beside;
  beside.emplace_back([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) collect();
  });
  beside.emplace_back([&](const std::stop_token& stop) {
    const std::string bytes = module_of(kTraps);
    while (!stop.stop_requested()) EXPECT_TRUE(runtime().compile(bytes));
  });
  const std::int32_t rounds = GetParam() == Mode::kCompiled ? 100 : 10;
  std::vector<std::jthread> guests;
  for (int t = 0; t < 3; ++t) {
    guests.emplace_back([&] {
      for (std::int32_t round = 0; round < rounds; ++round) run_busy_guests(*context, round);
    });
  }
}

// Goal: a signal does not touch the stack of the guest that it interrupts. Method: Go's own, and
// one whose handler needs more than a guest's stack has left, to threads that run guests.
TEST_P(Wazero, SignalsComeWhileGuestsRun) {
  struct sigaction action = {};
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  action.sa_handler = [](int) {
    volatile char much[12'000];
    for (volatile char& each : much) each = 1;
  };
  struct sigaction before = {};
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  const auto module = *runtime().compile(module_of(kBusy));
  const auto context = *runtime().link(*module, Chain::host());
  const auto instance = *context->instantiate({}, {});
  const auto count = instance->function("count");
  const std::int32_t counts = GetParam() == Mode::kCompiled ? 2'000'000 : 20'000;
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> done = false;
    std::thread guest([&] {  // new to Go each time
      EXPECT_EQ(count->call<std::int32_t>(Deadline::never(), counts), counts);
      run_busy_guests(*context, round);
      done = true;
    });
    while (!done) {
      ::pthread_kill(guest.native_handle(), SIGUSR1);
      ::pthread_kill(guest.native_handle(), SIGURG);
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
    guest.join();
  }
  ASSERT_EQ(::sigaction(SIGUSR1, &before, nullptr), 0);
}

TEST(WazeroCode, IsSerialisedAndLoaded) {
  const std::unique_ptr<Runtime> first = *make_wazero(options_of(Mode::kCompiled));
  const std::string code = *(*first->compile(module_of(kCount)))->serialise();
  const std::unique_ptr<Runtime> second = *make_wazero(options_of(Mode::kCompiled));
  const auto loaded = second->load(code);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ((*loaded)->exports().size(), 1U);
  const auto both = *second->instantiate_with_host(**loaded, {}, {});
  EXPECT_EQ(
      both.instance->function("count")->call<std::int64_t>(Deadline::never(), std::int64_t{5}), 5);
  for (const std::string_view junk :
       {std::string_view("junk"), std::string_view(code).substr(0, 60)})
    EXPECT_EQ(code_of(second->load(junk)), ErrorCode::kModuleCompileFailed);
  const std::unique_ptr<Runtime> interpreter = *make_wazero(options_of(Mode::kInterpreter));
  EXPECT_EQ(code_of(interpreter->load(code)), ErrorCode::kModuleCompileFailed);
  EXPECT_EQ(code_of((*interpreter->compile(module_of(kCount)))->serialise()),
            ErrorCode::kInvalidConfiguration);
}

TEST(WazeroAdapter, TellsItsVersionAndWhyItCannotBeLoaded) {
  const EngineAdapter adapter = wazero_adapter();
  EngineOptions options{.library_folder = SEAM_ENGINE_LIBRARIES};
  EXPECT_THAT(*adapter.version(options), HasSubstr("1.12"));
  for (const std::string_view mode : adapter.modes) {
    options.mode = mode;
    EXPECT_THAT((*adapter.make(options))->engine_key(), HasSubstr(mode));
    EXPECT_EQ(adapter.capabilities(mode).generates_code, mode == "compiled");
  }
  options.mode = "fast";
  EXPECT_EQ(code_of(adapter.make(options)), ErrorCode::kInvalidConfiguration);
  options = {.library_folder = "/nonexistent"};
  EXPECT_EQ(code_of(adapter.version(options)), ErrorCode::kRuntimeNotFound);
  EXPECT_EQ(code_of(adapter.make(options)), ErrorCode::kRuntimeNotFound);
}

}  // namespace
}  // namespace seam::wasm
