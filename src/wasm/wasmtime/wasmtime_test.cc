#include "wasm/wasmtime/wasmtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

namespace seam::wasm {
namespace {

using testing::HasSubstr;

// One runtime with fuel and one without serve all tests: each maps its pool once.
Runtime& runtime() {
  static const std::unique_ptr<Runtime> made = *make_wasmtime({.instances_max = 16});
  return *made;
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

Outcome<Guest> try_make(std::string_view text, const HostModule& host = {},
                        const InstanceOptions& options = {}, Runtime& engine = runtime()) {
  Guest guest;
  SEAM_ASSIGN_OR_RETURN(guest.module, engine.compile(module_of(text)));
  SEAM_ASSIGN_OR_RETURN(guest.context, engine.link(*guest.module, host));
  SEAM_ASSIGN_OR_RETURN(guest.instance,
                        guest.context->instantiate(options, {Deadline::after(seconds(10)), {}}));
  return guest;
}

Guest make(std::string_view text, const HostModule& host = {},
           const InstanceOptions& options = {}) {
  Outcome<Guest> guest = try_make(text, host, options);
  EXPECT_TRUE(guest) << guest.error().message;
  return std::move(*guest);
}

ErrorCode code_of(const auto& outcome) {
  EXPECT_FALSE(outcome.has_value());
  return outcome.error().code;
}

Outcome<> call_void(Guest& guest, std::string_view name,
                    Deadline deadline = Deadline::after(seconds(10))) {
  return guest.instance->function(name)->call(deadline);
}

TEST(Wasmtime, CallsAnExport) {
  Guest guest = make(R"((module (func (export "add") (param i32 i32) (result i32)
                           local.get 0 local.get 1 i32.add)))");
  EXPECT_EQ(guest.instance->function("add")->call<std::int32_t>(Deadline::never(), 20, 22), 42);
}

TEST(Wasmtime, EveryNumberTypeCrossesBothWays) {
  HostModule host;
  host.add("env", "twice32", [](HostCall&, std::int32_t a) { return a * 2; });
  host.add("env", "twice64", [](HostCall&, std::int64_t a) { return a * 2; });
  host.add("env", "twicef", [](HostCall&, float a) { return a * 2; });
  host.add("env", "twiced", [](HostCall&, double a) { return a * 2; });
  Guest guest = make(R"((module
    (import "env" "twice32" (func $a (param i32) (result i32)))
    (import "env" "twice64" (func $b (param i64) (result i64)))
    (import "env" "twicef" (func $c (param f32) (result f32)))
    (import "env" "twiced" (func $d (param f64) (result f64)))
    (func (export "a") (param i32) (result i32) (call $a (local.get 0)))
    (func (export "b") (param i64) (result i64) (call $b (local.get 0)))
    (func (export "c") (param f32) (result f32) (call $c (local.get 0)))
    (func (export "d") (param f64) (result f64) (call $d (local.get 0)))))",
                     host);
  const Deadline never;
  EXPECT_EQ(guest.instance->function("a")->call<std::int32_t>(never, -21), -42);
  EXPECT_EQ(guest.instance->function("b")->call<std::int64_t>(never, std::int64_t{1} << 40),
            std::int64_t{1} << 41);
  EXPECT_EQ(guest.instance->function("c")->call<float>(never, 1.5F), 3.0F);
  EXPECT_EQ(guest.instance->function("d")->call<double>(never, -1e300 / 2), -1e300);
}

TEST(Wasmtime, RefusesBytesThatAreNoModule) {
  EXPECT_EQ(code_of(runtime().compile("")), ErrorCode::kModuleCompileFailed);
  EXPECT_EQ(code_of(runtime().compile("not a module")), ErrorCode::kModuleCompileFailed);
  const std::string good = module_of(R"((module (func (export "f") (result i32) i32.const 1)))");
  for (std::size_t size = 0; size < good.size(); ++size) {
    if (size == 8 || size == 15) continue;  // a cut behind the header or the types leaves a module
    EXPECT_EQ(code_of(runtime().compile(std::string_view(good).substr(0, size))),
              ErrorCode::kModuleCompileFailed)
        << size;
  }
}

TEST(Wasmtime, TellsImportsAndExports) {
  const auto module = *runtime().compile(module_of(R"((module
    (import "env" "f" (func (param i32 i64) (result f64)))
    (memory (export "memory") 3) (global (export "g") i32 (i32.const 1))
    (func (export "h") (result i32 i32) i32.const 1 i32.const 2)))"));
  ASSERT_EQ(module->imports().size(), 1U);
  EXPECT_EQ(to_string(module->imports()[0].function), "(i32, i64) -> f64");
  ASSERT_NE(module->find_export("memory"), nullptr);
  EXPECT_EQ(module->find_export("memory")->memory_pages_min, 3U);
  EXPECT_EQ(module->find_export("g")->kind, ExternKind::kGlobal);
  EXPECT_EQ(to_string(module->find_export("h")->function), "() -> (i32, i32)");
  EXPECT_EQ(module->find_export("nothing"), nullptr);
  EXPECT_GT(module->code_bytes(), 0U);
}

TEST(Wasmtime, NamesAnImportThatIsNotOffered) {
  const auto missing = try_make(R"((module (import "env" "f" (func))))");
  EXPECT_EQ(code_of(missing), ErrorCode::kModuleInstantiateFailed);
  EXPECT_EQ(missing.error().message, "it imports env.f, which is not offered");
  HostModule host;
  host.add("env", "f", [](HostCall&, std::int32_t) {});
  const auto mistyped = try_make(R"((module (import "env" "f" (func (result i32)))))", host);
  EXPECT_EQ(code_of(mistyped), ErrorCode::kModuleInstantiateFailed);
  EXPECT_EQ(mistyped.error().message, "it imports env.f as () -> i32, which is (i32) -> ()");
}

TEST(Wasmtime, CallsWithOtherTypesAreRefusedAndLeaveTheInstanceUsable) {
  Guest guest = make(R"((module (func (export "f") (param i32) (result i32) local.get 0)))");
  const auto function = guest.instance->function("f");
  EXPECT_EQ(code_of(function->call<std::int64_t>(Deadline::never(), 1)),
            ErrorCode::kInvalidConfiguration);
  EXPECT_EQ(code_of(function->call<std::int32_t>(Deadline::never(), 1.0)),
            ErrorCode::kInvalidConfiguration);
  EXPECT_EQ(code_of(function->call<std::int32_t>(Deadline::never())),
            ErrorCode::kInvalidConfiguration);
  EXPECT_EQ(function->call<std::int32_t>(Deadline::never(), 7), 7);
  EXPECT_EQ(guest.instance->function("g"), nullptr);
}

TEST(Wasmtime, EachTrapHasItsKind) {
  Guest guest = make(R"((module
    (memory 1) (table 2 funcref) (elem (i32.const 1) $one) (type $none (func)) (func $one (result i32) i32.const 1)
    (func (export "Unreachable") unreachable)
    (func (export "MemoryOutOfBounds") (drop (i32.load (i32.const 65536))))
    (func (export "TableOutOfBounds") (call_indirect (type $none) (i32.const 2)))
    (func (export "IndirectCallToNull") (call_indirect (type $none) (i32.const 0)))
    (func (export "BadSignature") (call_indirect (type $none) (i32.const 1)))
    (func (export "IntegerOverflow") (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
    (func (export "IntegerDivisionByZero") (drop (i32.div_u (i32.const 1) (i32.const 0))))
    (func (export "BadConversionToInteger") (drop (i32.trunc_f32_s (f32.const nan))))
    (func $deep (export "StackOverflow") (call $deep))))");
  for (const TrapKind kind :
       {TrapKind::kUnreachable, TrapKind::kMemoryOutOfBounds, TrapKind::kTableOutOfBounds,
        TrapKind::kIndirectCallToNull, TrapKind::kBadSignature, TrapKind::kIntegerOverflow,
        TrapKind::kIntegerDivisionByZero, TrapKind::kBadConversionToInteger,
        TrapKind::kStackOverflow}) {
    const Outcome<> outcome = call_void(guest, to_string(kind));
    EXPECT_EQ(code_of(outcome), ErrorCode::kTrapped) << to_string(kind);
    EXPECT_EQ(to_string(outcome.error().trap), to_string(kind));
    EXPECT_FALSE(outcome.error().backtrace.empty());
  }
}

TEST(Wasmtime, ATrapTellsWhoCalledWhom) {
  Guest guest =
      make(R"((module (func $inner unreachable) (func $outer (export "f") call $inner)))");
  const Outcome<> outcome = call_void(guest, "f");
  ASSERT_FALSE(outcome);
  ASSERT_EQ(outcome.error().backtrace.size(), 2U);
  EXPECT_EQ(outcome.error().backtrace[0].function, "inner");
  EXPECT_EQ(outcome.error().backtrace[1].function, "outer");
  EXPECT_THAT(outcome.error().trace(), HasSubstr("  at outer (function 1, offset 0x"));
}

TEST(Wasmtime, AHostFunctionsErrorEndsTheGuestWithThatError) {
  HostModule host;
  host.add("env", "leave", [](HostCall&, std::int32_t code) -> Outcome<> {
    return std::unexpected(Error{.code = ErrorCode::kExited, .message = "bye", .exit_code = code});
  });
  Guest guest = make(R"((module (import "env" "leave" (func $leave (param i32)))
                           (func (export "f") (call $leave (i32.const 3)) unreachable)))",
                     host);
  const Outcome<> outcome = call_void(guest, "f");
  EXPECT_EQ(code_of(outcome), ErrorCode::kExited);
  EXPECT_EQ(outcome.error().exit_code, 3);
  EXPECT_EQ(outcome.error().message, "bye");
}

TEST(Wasmtime, HostFunctionsSeeTheGuestsMemoryAndTheInstancesState) {
  HostModule host;
  host.add("env", "sum", [](HostCall& call, std::uint32_t at, std::uint32_t size) -> std::int32_t {
    const std::span<std::byte> bytes = call.slice(at, size);
    if (bytes.data() == nullptr) return -1;
    std::int32_t sum = call.state<std::int32_t>();
    for (const std::byte byte : bytes) sum += static_cast<std::int32_t>(byte);
    return sum;
  });
  std::int32_t state = 1000;
  Guest guest = make(R"((module (import "env" "sum" (func $sum (param i32 i32) (result i32)))
                           (memory (export "memory") 1) (data (i32.const 8) "\01\02\03")
                           (func (export "f") (param i32 i32) (result i32) (call $sum (local.get 0) (local.get 1)))))",
                     host, {.state = &state});
  const auto function = guest.instance->function("f");
  const Deadline never;
  EXPECT_EQ(function->call<std::int32_t>(never, 8, 3), 1006);
  EXPECT_EQ(function->call<std::int32_t>(never, 65536, 0), 1000);
  EXPECT_EQ(function->call<std::int32_t>(never, 65536, 1), -1);
  EXPECT_EQ(function->call<std::int32_t>(never, 65535, 2), -1);
  EXPECT_EQ(function->call<std::int32_t>(never, -1, -1), -1);
}

TEST(Wasmtime, MemoryIsBoundsChecked) {
  Guest guest = make(
      R"((module (memory (export "memory") 1) (func (export "grow") (drop (memory.grow (i32.const 1))))))");
  const auto memory = guest.instance->memory();
  const std::string text = "hello";
  EXPECT_TRUE(memory->write(65531, std::as_bytes(std::span(text))));
  const auto read = memory->read(65531, 5);
  ASSERT_TRUE(read);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(read->data()), read->size()), "hello");
  EXPECT_EQ(code_of(memory->write(65532, std::as_bytes(std::span(text)))), ErrorCode::kTrapped);
  EXPECT_EQ(code_of(memory->read(~0ULL, 2)), ErrorCode::kTrapped);
  EXPECT_TRUE(call_void(guest, "grow"));
  EXPECT_EQ(memory->view().size(), 131072U);
}

TEST(Wasmtime, GrowingPastTheLimitGivesMinusOne) {
  Guest guest = make(R"((module (memory (export "memory") 1) (table $t 1 funcref)
                           (func (export "memory_grow") (param i32) (result i32) (memory.grow (local.get 0)))
                           (func (export "table_grow") (param i32) (result i32)
                             (table.grow $t (ref.null func) (local.get 0)))))",
                     {}, {.limits = {.memory_bytes_max = 4 << 16, .table_elements_max = 10}});
  const Deadline never;
  EXPECT_EQ(guest.instance->function("memory_grow")->call<std::int32_t>(never, 4), -1);
  EXPECT_EQ(guest.instance->function("memory_grow")->call<std::int32_t>(never, 3), 1);
  EXPECT_EQ(guest.instance->function("memory_grow")->call<std::int32_t>(never, 1), -1);
  EXPECT_EQ(guest.instance->function("table_grow")->call<std::int32_t>(never, 10), -1);
  EXPECT_EQ(guest.instance->function("table_grow")->call<std::int32_t>(never, 9), 1);
}

TEST(Wasmtime, ADeclaredMinimumOverTheLimitIsLimitExceeded) {
  const InstanceOptions small{.limits = {.memory_bytes_max = 2 << 16, .table_elements_max = 10}};
  EXPECT_EQ(code_of(try_make("(module (memory 3))", {}, small)), ErrorCode::kLimitExceeded);
  EXPECT_EQ(code_of(try_make("(module (table 11 funcref))", {}, small)), ErrorCode::kLimitExceeded);
  EXPECT_TRUE(try_make("(module (memory 2) (table 10 funcref))", {}, small));
}

TEST(Wasmtime, OneInstanceTooManyIsNoRoom) {
  const std::unique_ptr<Runtime> engine = *make_wasmtime({.instances_max = 8});
  const auto module = *engine->compile(module_of("(module (memory 1))"));
  const auto context = *engine->link(*module, {});
  std::vector<std::unique_ptr<ModuleInstance>> instances;
  for (int i = 0; i < 8; ++i) instances.push_back(*context->instantiate({}, {}));
  EXPECT_EQ(code_of(context->instantiate({}, {})), ErrorCode::kNoRoom);
  instances.pop_back();
  EXPECT_TRUE(context->instantiate({}, {}));
}

constexpr std::string_view kSpin = R"((module (func (export "spin") (loop $l (br $l)))))";

TEST(Wasmtime, ASpinningGuestIsInterruptedAtItsDeadline) {
  Guest guest = make(kSpin);
  EXPECT_EQ(code_of(call_void(guest, "spin", Deadline::after(milliseconds(20)))),
            ErrorCode::kDeadlineExceeded);
}

TEST(Wasmtime, ADeadlineThatHasPassedRunsNothing) {
  Guest guest = make(R"((module (func (export "f") unreachable)))");
  EXPECT_EQ(code_of(call_void(guest, "f", Deadline::after(milliseconds(0)))),
            ErrorCode::kDeadlineExceeded);
}

TEST(Wasmtime, ASpinningGuestIsInterruptedWhenCancelled) {
  Guest guest = make(kSpin);
  std::stop_source source;
  std::jthread canceller([&] {
    std::this_thread::sleep_for(milliseconds(20));
    source.request_stop();
  });
  EXPECT_EQ(
      code_of(guest.instance->function("spin")->call({Deadline::never(), source.get_token()}, {})),
      ErrorCode::kCancelled);
}

TEST(Wasmtime, ASpinningStartFunctionIsInterruptedToo) {
  const auto module =
      *runtime().compile(module_of("(module (func $s (loop $l (br $l))) (start $s))"));
  const auto context = *runtime().link(*module, {});
  EXPECT_EQ(code_of(context->instantiate({}, {Deadline::after(milliseconds(20)), {}})),
            ErrorCode::kDeadlineExceeded);
}

constexpr std::string_view kCount = R"((module
  (func (export "count") (param i64) (result i64) (local i64)
    (loop $l (local.set 1 (i64.add (local.get 1) (i64.const 1)))
             (br_if $l (i64.lt_u (local.get 1) (local.get 0))))
    (local.get 1))))";

// Goal: a guest that yields goes on where it was, also on other threads.
TEST(Wasmtime, AGuestRunsInSlicesOnSeveralThreads) {
  Guest guest = make(kCount);
  const std::int64_t rounds = 200'000'000;
  const Value params[] = {Value::of(rounds)};
  const auto execution = *guest.instance->function("count")->start({}, params);
  int slices = 0;
  bool done = false;
  while (!done) {
    std::jthread([&] { done = execution->resume(milliseconds(1)); }).join();
    ++slices;
  }
  ASSERT_TRUE(execution->outcome());
  EXPECT_EQ(execution->results()[0].as<std::int64_t>(), rounds);
  EXPECT_GT(slices, 2);
}

TEST(Wasmtime, AnExecutionMayBeDroppedHalfWay) {
  for (int i = 0; i < 40; ++i) {  // more than the pool holds: each gives its slot back
    Guest guest = make(kSpin);
    const auto execution = *guest.instance->function("spin")->start({}, {});
    EXPECT_FALSE(execution->resume(milliseconds(1)));
  }
}

TEST(Wasmtime, AWaitingGuestHoldsNoThread) {
  HostModule host;
  host.add_waiting("env", "sleep_ms", [](HostCall& call, std::int32_t span) -> std::int32_t {
    call.wait_until(Deadline::after(milliseconds(span)));
    return span + 1;
  });
  Guest guest = make(R"((module (import "env" "sleep_ms" (func $s (param i32) (result i32)))
                           (func (export "f") (result i32) (call $s (i32.const 30)))))",
                     host);
  const auto start = MonotonicClock::now();
  const auto execution = *guest.instance->function("f")->start({}, {});
  EXPECT_FALSE(execution->resume(milliseconds(1)));
  EXPECT_GT(execution->ready_at(), MonotonicClock::now());
  EXPECT_TRUE(run_to_end(*execution));
  EXPECT_EQ(execution->results()[0].as<std::int32_t>(), 31);
  EXPECT_GE(MonotonicClock::now() - start, milliseconds(30));
  // The blocking call works on the same instance.
  EXPECT_EQ(guest.instance->function("f")->call<std::int32_t>(Deadline::never()), 31);
  EXPECT_EQ(
      code_of(guest.instance->function("f")->call<std::int32_t>(Deadline::after(milliseconds(5)))),
      ErrorCode::kDeadlineExceeded);
}

TEST(Wasmtime, FuelThatIsUsedUpIsLimitExceeded) {
  EXPECT_EQ(code_of(try_make(kCount, {}, {.limits = {.fuel = 1000}})),
            ErrorCode::kInvalidConfiguration);
  const std::unique_ptr<Runtime> engine = *make_wasmtime({.instances_max = 8, .fuel = true});
  Guest guest = *try_make(kCount, {}, {.limits = {.fuel = 1000}}, *engine);
  EXPECT_EQ(
      guest.instance->function("count")->call<std::int64_t>(Deadline::never(), std::int64_t{10}),
      10);
  EXPECT_LT(*guest.instance->fuel_left(), 1000U);
  EXPECT_EQ(code_of(guest.instance->function("count")->call<std::int64_t>(Deadline::never(),
                                                                          std::int64_t{1'000'000})),
            ErrorCode::kLimitExceeded);
}

TEST(Wasmtime, SerialisedCodeRunsAndForeignCodeIsRefused) {
  const auto module = *runtime().compile(module_of(kCount));
  const std::string code = *module->serialise();
  const auto loaded = *runtime().load(code);
  EXPECT_EQ(loaded->exports().size(), 1U);
  const auto both = *runtime().instantiate_with_host(*loaded, {}, {});
  EXPECT_EQ(
      both.instance->function("count")->call<std::int64_t>(Deadline::never(), std::int64_t{5}), 5);
  EXPECT_EQ(code_of(runtime().load("junk")), ErrorCode::kModuleCompileFailed);
  const std::unique_ptr<Runtime> other = *make_wasmtime({.instances_max = 8, .fuel = true});
  EXPECT_EQ(code_of(other->load(code)), ErrorCode::kModuleCompileFailed);
  EXPECT_NE(other->engine_key(), runtime().engine_key());
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

// Goal: instances give back all they took. Method: memory after ten times as many does not grow.
TEST(Wasmtime, TenThousandInstancesLeaveMemoryFlat) {
  const auto module = *runtime().compile(module_of(R"((module (memory (export "memory") 1)
    (func (export "f") (param i32) (result i32) (i32.store (i32.const 64) (local.get 0)) (i32.load (i32.const 64)))))"));
  const auto context = *runtime().link(*module, {});
  const auto run = [&](int times) {
    for (int i = 0; i < times; ++i) {
      const auto instance = *context->instantiate({}, {});
      ASSERT_EQ(instance->function("f")->call<std::int32_t>(Deadline::never(), i), i);
    }
  };
  run(1000);
  const std::size_t before = resident_bytes();
  run(10'000);
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  EXPECT_GT(before, 0U);  // a sanitizer keeps what is freed for a while, and looks for leaks itself
#else
  EXPECT_LT(resident_bytes(), before + (8U << 20U));
#endif
}

// Goal: memory is fresh in each instance although its pages are used again.
TEST(Wasmtime, AnInstanceSeesNothingOfTheOneBefore) {
  const auto module = *runtime().compile(module_of(R"((module (memory (export "memory") 4)
    (func (export "f") (result i32) (local i32) (local.set 0 (i32.load (i32.const 200000)))
      (i32.store (i32.const 200000) (i32.const 7)) (local.get 0))))"));
  const auto context = *runtime().link(*module, {});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ((*context->instantiate({}, {}))->function("f")->call<std::int32_t>(Deadline::never()),
              0);
  }
}

TEST(Wasmtime, TwoThreadsShareOneModule) {
  const auto module = *runtime().compile(module_of(kCount));
  const auto context = *runtime().link(*module, {});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int i = 1; i < 300; ++i) {
        const auto instance = context->instantiate({}, {});
        ASSERT_TRUE(instance);
        EXPECT_EQ(
            (*instance)->function("count")->call<std::int64_t>(Deadline::never(), std::int64_t{i}),
            i);
      }
    });
  }
}

TEST(Wasmtime, AnEngineWithoutInstancesIsRefused) {
  EXPECT_EQ(code_of(make_wasmtime({.instances_max = 0})), ErrorCode::kInvalidConfiguration);
}

}  // namespace
}  // namespace seam::wasm
