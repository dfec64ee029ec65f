// Modules, calls, host functions, memory and traps.
#include <gmock/gmock.h>

#include <fstream>
#include <thread>

#include "engines/engine_suite.h"

namespace seam::wasm {
namespace {

using testing::HasSubstr;

class Calls : public EngineSuite {};
INSTANTIATE_TEST_SUITE_P(Engines, Calls, every_engine(), name_of);

TEST_P(Calls, CallsAnExport) {
  Guest guest = make(R"((module (func (export "add") (param i32 i32) (result i32)
                           local.get 0 local.get 1 i32.add)))");
  EXPECT_EQ(guest.instance->function("add")->call<std::int32_t>(Deadline::never(), 20, 22), 42);
}

TEST_P(Calls, EveryNumberTypeCrossesBothWays) {
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

TEST_P(Calls, RefusesBytesThatAreNoModule) {
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

TEST_P(Calls, TellsImportsAndExports) {
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

TEST_P(Calls, NamesAnImportThatIsNotOffered) {
  const auto missing = try_make(R"((module (import "env" "f" (func))))");
  EXPECT_EQ(code_of(missing), ErrorCode::kModuleInstantiateFailed);
  EXPECT_EQ(missing.error().message, "it imports env.f, which is not offered");
  HostModule host;
  host.add("env", "f", [](HostCall&, std::int32_t) {});
  const auto mistyped = try_make(R"((module (import "env" "f" (func (result i32)))))", host);
  EXPECT_EQ(code_of(mistyped), ErrorCode::kModuleInstantiateFailed);
  EXPECT_EQ(mistyped.error().message, "it imports env.f as () -> i32, which is (i32) -> ()");
}

TEST_P(Calls, CallsWithOtherTypesAreRefusedAndLeaveTheInstanceUsable) {
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

TEST_P(Calls, EachTrapHasItsKind) {
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
    EXPECT_EQ(outcome.error().message, message_of(kind));
  }
}

// Goal: every shape of signature goes through, the rare ones too, with all bits where they belong.
// Method: the guest passes on what it gets to a host function, which gives back one of its params.
TEST_P(Calls, SignaturesOfEveryShapeCross) {
  HostModule host;
  host.add("h", "none", [](HostCall&) {});
  host.add("h", "pick2", [](HostCall&, float a, std::int64_t b) -> double {
    return static_cast<double>(a) + static_cast<double>(b);
  });
  host.add("h", "pick4", [](HostCall&, double, float, std::int64_t c, std::int32_t) { return c; });
  host.add(
      "h", "pick5",
      [](HostCall&, std::int32_t a, std::int64_t b, float c, double d, std::int64_t e) -> double {
        return a + static_cast<double>(b) + c + d + static_cast<double>(e);
      });
  host.add("h", "pick9",
           [](HostCall&, std::int32_t, std::int32_t, std::int32_t, std::int32_t, std::int32_t,
              std::int64_t f, std::int64_t, std::int32_t,
              std::int32_t i) { return static_cast<std::int32_t>(f) * i; });
  Guest guest = make(R"((module
    (import "h" "none" (func $none))
    (import "h" "pick2" (func $pick2 (param f32 i64) (result f64)))
    (import "h" "pick4" (func $pick4 (param f64 f32 i64 i32) (result i64)))
    (import "h" "pick5" (func $pick5 (param i32 i64 f32 f64 i64) (result f64)))
    (import "h" "pick9" (func $pick9 (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (func (export "none") (call $none))
    (func (export "two") (param f32 i64) (result f64) (call $pick2 (local.get 0) (local.get 1)))
    (func (export "four") (param f64 f32 i64 i32) (result i64)
      (call $pick4 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
    (func (export "five") (param i32 i64 f32 f64 i64) (result f64)
      (call $pick5 (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
    (func (export "nine") (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)
      (call $pick9 (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
                   (local.get 5) (local.get 6) (local.get 7) (local.get 8)))
    (func (export "swap") (param i32 f64) (result f64 i32) local.get 1 local.get 0)
    (func (export "three") (result i32 i64 f32) i32.const -1 i64.const -2 f32.const 3)))",
                     host);
  const Deadline never;
  EXPECT_TRUE(call_void(guest, "none"));
  EXPECT_EQ(guest.instance->function("two")->call<double>(never, 0.5F, std::int64_t{1} << 40),
            0.5 + 1099511627776.0);
  EXPECT_EQ(
      guest.instance->function("four")->call<std::int64_t>(never, 1.0, 2.0F, std::int64_t{-3}, 4),
      -3);
  EXPECT_EQ(guest.instance->function("five")->call<double>(never, -1, std::int64_t{-2}, 3.5F, 4.25,
                                                           std::int64_t{-5}),
            -0.25);
  EXPECT_EQ(guest.instance->function("nine")->call<std::int32_t>(
                never, 1, 2, 3, 4, 5, std::int64_t{6}, std::int64_t{7}, 8, -9),
            -54);
  Value slots[] = {Value::of(-7), Value::of(2.5)};
  ASSERT_TRUE(guest.instance->function("swap")->call(Interruption{}, slots));
  EXPECT_EQ(slots[0].as<double>(), 2.5);
  EXPECT_EQ(slots[1].as<std::int32_t>(), -7);
  Value three[3];
  ASSERT_TRUE(guest.instance->function("three")->call(Interruption{}, three));
  EXPECT_EQ(three[0].as<std::int32_t>(), -1);
  EXPECT_EQ(three[1].as<std::int64_t>(), -2);
  EXPECT_EQ(three[2].as<float>(), 3.0F);
  EXPECT_EQ(code_of(guest.instance->function("three")->call(Interruption{}, slots)),
            ErrorCode::kInvalidConfiguration);
}

// Goal: an i32 means its 32 bits, whatever else stands in its slot.
TEST_P(Calls, WhatStandsAboveAnI32DoesNotMatter) {
  Guest guest = make(R"((module (memory 1)
    (func (export "load") (param i32) (result i32)
      (i32.store (local.get 0) (i32.const 5)) (i32.load (local.get 0)))
    (func (export "fill") (param i32) (memory.fill (local.get 0) (i32.const 1) (i32.const 4)))
    (func (export "wide") (param i32) (result i64) (i64.extend_i32_u (local.get 0)))))");
  for (const char* name : {"load", "fill"}) {
    Value slots[] = {Value::of(std::uint64_t{0xffffffff00000008})};
    EXPECT_TRUE(guest.instance->function(name)->call(Interruption{}, slots)) << name;
  }
  Value slots[] = {Value::of(~std::uint64_t{0})};
  ASSERT_TRUE(guest.instance->function("wide")->call(Interruption{}, slots));
  EXPECT_EQ(slots[0].as<std::uint64_t>(), 0xffffffffU);
}

TEST_P(Calls, AStartFunctionRunsOnceBeforeAnythingElse) {
  int calls = 0;
  HostModule host;
  host.add("h", "called", [](HostCall& call) { ++call.state<int>(); });
  Guest guest = make(R"((module (import "h" "called" (func $called))
    (global (export "start") (mut i32) (i32.const 1))
    (func $begin (call $called) (global.set 0 (i32.const 2))) (start $begin)
    (func (export "f"))))",
                     host, {.state = &calls});
  EXPECT_EQ(guest.module->exports().size(), 2U);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(guest.instance->global("start")->value.as<std::int32_t>(), 2);
  EXPECT_TRUE(call_void(guest, "f"));
  EXPECT_EQ(calls, 1);
  // The host's own function may be the start function.
  make(R"((module (import "h" "called" (func $called)) (start $called)))", host, {.state = &calls});
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(code_of(try_make("(module (func $begin unreachable) (start $begin))")),
            ErrorCode::kTrapped);
  // (module (func (param i32)) (start 0)): the text format refuses to write it.
  const std::string_view mistyped("\0asm\1\0\0\0\1\5\1\x60\1\x7f\0\3\2\1\0\x8\1\0\xa\4\1\2\0\xb",
                                  29);
  EXPECT_EQ(code_of(runtime().compile(mistyped)), ErrorCode::kModuleCompileFailed);
}

TEST_P(Calls, ASegmentThatDoesNotFitIsATrap) {
  const auto memory = try_make(R"((module (memory 1) (data (i32.const 65535) "ab")))");
  EXPECT_EQ(code_of(memory), ErrorCode::kTrapped);
  EXPECT_EQ(memory.error().trap, TrapKind::kMemoryOutOfBounds);
  const auto table = try_make(R"((module (table 1 funcref) (func $f) (elem (i32.const 1) $f)))");
  EXPECT_EQ(code_of(table), ErrorCode::kTrapped);
  EXPECT_EQ(table.error().trap, TrapKind::kTableOutOfBounds);
}

TEST_P(Calls, AHostFunctionsErrorEndsTheGuestWithThatError) {
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

TEST_P(Calls, HostFunctionsSeeTheGuestsMemoryAndTheInstancesState) {
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

TEST_P(Calls, MemoryIsBoundsChecked) {
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

TEST_P(Calls, SerialisedCodeRunsAndForeignCodeIsRefused) {
  const auto module = *runtime().compile(module_of(kCount));
  EXPECT_EQ(code_of(runtime().load("junk")), ErrorCode::kModuleCompileFailed);
  if (!can().code_cache) {
    EXPECT_EQ(code_of(module->serialise()), ErrorCode::kInvalidConfiguration);
    return;
  }
  const std::string code = *module->serialise();
  const auto loaded = *runtime().load(code);
  EXPECT_EQ(loaded->exports().size(), 1U);
  const auto both = *runtime().instantiate_with_host(*loaded, {}, {});
  EXPECT_EQ(
      both.instance->function("count")->call<std::int64_t>(Deadline::never(), std::int64_t{5}), 5);
  if (!can().fuel) return;
  EXPECT_EQ(code_of(runtime(true).load(code)), ErrorCode::kModuleCompileFailed);
  EXPECT_NE(runtime(true).engine_key(), runtime().engine_key());
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * 4096;
}

// Goal: instances give back all they took. Method: memory after ten times as many does not grow.
TEST_P(Calls, TenThousandInstancesLeaveMemoryFlat) {
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
TEST_P(Calls, AnInstanceSeesNothingOfTheOneBefore) {
  const auto module = *runtime().compile(module_of(R"((module (memory (export "memory") 4)
    (func (export "f") (result i32) (local i32) (local.set 0 (i32.load (i32.const 200000)))
      (i32.store (i32.const 200000) (i32.const 7)) (local.get 0))))"));
  const auto context = *runtime().link(*module, {});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ((*context->instantiate({}, {}))->function("f")->call<std::int32_t>(Deadline::never()),
              0);
  }
}

TEST_P(Calls, TwoThreadsShareOneModule) {
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

}  // namespace
}  // namespace seam::wasm
