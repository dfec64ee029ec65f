// Instances that are linked with each other, and values that are no numbers.
#include <gmock/gmock.h>

#include <stdexcept>

#include "engines/engine_suite.h"

namespace seam::wasm {
namespace {

using testing::HasSubstr;

class Linking : public EngineSuite {
 protected:
  static Outcome<std::unique_ptr<ModuleInstance>> try_link(std::string_view text,
                                                           std::vector<LinkedInstance> linked = {},
                                                           const HostModule& host = {},
                                                           const InstanceOptions& options = {}) {
    SEAM_ASSIGN_OR_RETURN(const auto module, runtime().compile(module_of(text)));
    return runtime().instantiate_linked(*module, host, linked, options, {});
  }
  static std::unique_ptr<ModuleInstance> link(std::string_view text,
                                              std::vector<LinkedInstance> linked = {},
                                              const HostModule& host = {},
                                              const InstanceOptions& options = {}) {
    auto instance = try_link(text, std::move(linked), host, options);
    if (!instance) throw std::runtime_error(instance.error().message);  // fails the test
    return std::move(*instance);
  }
};
INSTANTIATE_TEST_SUITE_P(Engines, Linking, every_engine(), name_of);

template <class R, class... Args>
R call(ModuleInstance& instance, std::string_view name, Args... args) {
  const Outcome<R> result = instance.function(name)->call<R>(Deadline::never(), args...);
  EXPECT_TRUE(result) << result.error().message;
  return result.value_or(R{});
}

Value reference(std::uint64_t number) {
  Value value = Value::of(number);
  value.bytes[8] = 1;
  return value;
}

Outcome<Value> call_values(ModuleInstance& instance, std::string_view name,
                           std::vector<Value> slots) {
  const auto function = instance.function(name);
  slots.resize(std::max<std::size_t>(slots.size(), function->type().slots()));
  SEAM_RETURN_IF_ERROR(function->call(Interruption{}, slots));
  return slots.empty() ? Value{} : slots[0];
}

constexpr std::string_view kCounter = R"((module
  (memory (export "memory") 1) (global (export "step") (mut i32) (i32.const 1))
  (table (export "table") 2 funcref)
  (func (export "read") (result i32) (i32.load (i32.const 0)))
  (func (export "add") (param i32) (result i32)
    (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0)))
    (i32.load (i32.const 0)))
  (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))))";

constexpr std::string_view kUser = R"((module
  (import "counter" "add" (func $add (param i32) (result i32)))
  (import "counter" "step" (global $step (mut i32)))
  (import "counter" "memory" (memory 1))
  (import "counter" "table" (table 2 funcref))
  (func $seven (result i32) i32.const 7)
  (elem (i32.const 1) $seven)
  (func (export "twice") (result i32)
    (drop (call $add (global.get $step))) (global.set $step (i32.const 10))
    (call $add (global.get $step)))
  (func (export "peek") (result i32) (i32.load (i32.const 0)))))";

TEST_P(Linking, InstancesShareFunctionsMemoriesTablesAndGlobals) {
  const auto counter = link(kCounter);
  const auto user = link(kUser, {{"counter", counter.get()}});
  EXPECT_EQ(call<std::int32_t>(*user, "twice"), 11);
  EXPECT_EQ(call<std::int32_t>(*counter, "read"), 11);
  EXPECT_EQ(call<std::int32_t>(*user, "peek"), 11);
  EXPECT_EQ(call<std::int32_t>(*counter, "call", 1), 7);
  EXPECT_EQ(counter->global("step")->value.as<std::int32_t>(), 10);
  EXPECT_EQ(counter->global("read"), std::nullopt);
  EXPECT_EQ(counter->memory("memory")->view().size(), 65536U);
}

TEST_P(Linking, AnInstanceMayGoBeforeThoseThatUseIt) {
  auto counter = link(kCounter);
  auto user = link(kUser, {{"counter", counter.get()}});
  counter.reset();
  EXPECT_EQ(call<std::int32_t>(*user, "twice"), 11);
}

TEST_P(Linking, OfTwoUnderOneNameTheLaterCounts) {
  const auto one = link("(module (func (export \"f\") (result i32) i32.const 1))");
  const auto two =
      link("(module (func (export \"f\") (result i32) i32.const 2)) ", {{"other", one.get()}});
  const auto user = link(
      R"((module (import "m" "f" (func $f (result i32))) (func (export "g") (result i32) call $f)))",
      {{"m", one.get()}, {"m", two.get()}});
  EXPECT_EQ(call<std::int32_t>(*user, "g"), 2);
}

TEST_P(Linking, TheHostServesWhatNoInstanceExports) {
  HostModule host;
  host.add("counter", "more", [](HostCall& call, std::uint32_t at) -> std::int32_t {
    const std::span<std::byte> bytes = call.slice(at, 1);
    return call.state<std::int32_t>() + (bytes.empty() ? -1 : static_cast<std::int32_t>(bytes[0]));
  });
  std::int32_t first = 100;
  std::int32_t second = 200;
  constexpr std::string_view kText = R"((module
    (import "counter" "more" (func $more (param i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 0) "\05")
    (export "more" (func $more))
    (func (export "f") (result i32) (call $more (i32.const 0)))))";
  const auto one = link(kText, {}, host, {.state = &first});
  const auto two = link(kText, {{"one", one.get()}}, host, {.state = &second});
  EXPECT_EQ(call<std::int32_t>(*one, "f"), 105);
  EXPECT_EQ(call<std::int32_t>(*two, "f"), 205);
  // Called through another instance it still belongs to the one that imported it from the host.
  const auto three = link(R"((module (import "one" "more" (func $more (param i32) (result i32)))
    (memory (export "memory") 1) (data (i32.const 0) "\07")
    (func (export "f") (result i32) (call $more (i32.const 0)))))",
                          {{"one", one.get()}});
  EXPECT_EQ(call<std::int32_t>(*three, "f"), 107);
}

TEST_P(Linking, NamesWhatCannotBeLinked) {
  const auto counter = link(kCounter);
  const auto refused = [&](std::string_view text, std::string_view words) {
    const auto instance = try_link(text, {{"counter", counter.get()}});
    ASSERT_FALSE(instance);
    EXPECT_EQ(instance.error().code, ErrorCode::kModuleInstantiateFailed);
    EXPECT_THAT(instance.error().message, HasSubstr(words));
  };
  refused(R"((module (import "counter" "missing" (func))))",
          "it imports counter.missing, which is not offered");
  refused(R"((module (import "nobody" "add" (func))))", "nobody.add");
  refused(R"((module (import "counter" "add" (func))))", "counter");
  refused(R"((module (import "counter" "add" (memory 1))))", "counter");
  refused(R"((module (import "counter" "memory" (memory 2))))", "counter");
}

TEST_P(Linking, AnInstanceOfAnotherGroupOrEngineIsRefused) {
  const auto one = link(kCounter);
  const auto two = link(kCounter);
  const auto both = try_link("(module)", {{"one", one.get()}, {"two", two.get()}});
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().code, ErrorCode::kInvalidConfiguration);
  Runtime* const engine = &runtime(can().fuel);
  if (engine == &runtime()) return;
  const auto module = *engine->compile(module_of("(module)"));
  const LinkedInstance linked[] = {{"one", one.get()}};
  EXPECT_EQ(engine->instantiate_linked(*module, {}, linked, {}, {}).error().code,
            ErrorCode::kInvalidConfiguration);
}

TEST_P(Linking, WhatAFailingStartWroteStays) {
  const auto counter = link(kCounter);
  const auto failed = try_link(R"((module (import "counter" "memory" (memory 1))
    (data (i32.const 0) "\2a") (func $s unreachable) (start $s)))",
                               {{"counter", counter.get()}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kTrapped);
  EXPECT_EQ(failed.error().trap, TrapKind::kUnreachable);
  EXPECT_EQ(call<std::int32_t>(*counter, "read"), 42);
}

TEST_P(Linking, TheLimitsAreThoseOfTheFirst) {
  const auto first = link("(module (memory 1))", {}, {},
                          {.limits = {.memory_bytes_max = 2 << 16, .table_elements_max = 4}});
  const auto second = link(
      R"((module (memory 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))))",
      {{"first", first.get()}});
  EXPECT_EQ(call<std::int32_t>(*second, "grow", 2), -1);
  EXPECT_EQ(call<std::int32_t>(*second, "grow", 1), 1);
  const auto large = try_link("(module (memory 3))", {{"first", first.get()}});
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kLimitExceeded);
}

TEST_P(Linking, ASpinningStartIsInterrupted) {
  const auto module =
      *runtime().compile(module_of("(module (func $s (loop $l (br $l))) (start $s))"));
  const auto instance =
      runtime().instantiate_linked(*module, {}, {}, {}, {Deadline::after(milliseconds(20)), {}});
  ASSERT_FALSE(instance);
  EXPECT_EQ(instance.error().code, ErrorCode::kDeadlineExceeded);
}

// ---- values that are no numbers

TEST_P(Linking, ExternrefsGoInAndComeOutByNumber) {
  const auto instance = link(R"((module
    (table 1 externref) (global (export "kept") (mut externref) (ref.null extern))
    (func (export "same") (param externref) (result externref) local.get 0)
    (func (export "keep") (param externref) (global.set 0 (local.get 0)))
    (func (export "is_null") (param externref) (result i32) (ref.is_null (local.get 0)))))");
  for (const std::uint64_t number : {0ULL, 1ULL, 0xfedcba9876543210ULL}) {
    const auto out = call_values(*instance, "same", {reference(number)});
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(out->as<std::uint64_t>(), number);
    EXPECT_EQ(out->bytes[8], 1);
  }
  EXPECT_EQ(call_values(*instance, "same", {Value{}})->bytes[8], 0);
  EXPECT_EQ(call_values(*instance, "is_null", {Value{}})->as<std::int32_t>(), 1);
  EXPECT_EQ(call_values(*instance, "is_null", {reference(0)})->as<std::int32_t>(), 0);
  EXPECT_EQ(instance->global("kept")->value.bytes[8], 0);
  ASSERT_TRUE(call_values(*instance, "keep", {reference(9)}));
  EXPECT_EQ(instance->global("kept")->type, ValueType::kExternref);
  EXPECT_EQ(instance->global("kept")->value.as<std::uint64_t>(), 9U);
}

TEST_P(Linking, OfAFuncrefAHostLearnsWhetherItIsNull) {
  const auto instance = link(R"((module
    (func $f (export "one") (result funcref) (ref.func $f))
    (func (export "none") (result funcref) (ref.null func))
    (func (export "is_null") (param funcref) (result i32) (ref.is_null (local.get 0)))))");
  EXPECT_EQ(instance->function("one")->type().results[0], ValueType::kFuncref);
  EXPECT_EQ(call_values(*instance, "one", {})->bytes[8], 1);
  EXPECT_EQ(call_values(*instance, "none", {})->bytes[8], 0);
  EXPECT_EQ(call_values(*instance, "is_null", {Value{}})->as<std::int32_t>(), 1);
  const auto refused = call_values(*instance, "is_null", {reference(0)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidConfiguration);
}

TEST_P(Linking, VectorsHaveSixteenBytes) {
  const auto instance = link(R"((module
    (global (export "g") v128 (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15))
    (func (export "add") (param v128 v128) (result v128)
      (i8x16.add (local.get 0) (local.get 1)))))");
  EXPECT_EQ(instance->function("add")->type().params[0], ValueType::kV128);
  const TypedValue constant = *instance->global("g");
  EXPECT_EQ(constant.type, ValueType::kV128);
  const auto sum = call_values(*instance, "add", {constant.value, constant.value});
  ASSERT_TRUE(sum);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(sum->bytes[i], 2 * i);
}

// Goal: what was linked late stays with the group, and a module linked again and again costs
// nothing.
TEST_P(Linking, AnInstanceOfAContextMayBeLinkedToo) {
  Guest guest = make(kCounter);
  const auto module = *runtime().compile(module_of(kUser));
  const LinkedInstance linked[] = {{"counter", guest.instance.get()}};
  for (int i = 1; i < 10; ++i) {
    const auto user = runtime().instantiate_linked(*module, {}, linked, {}, {});
    ASSERT_TRUE(user) << user.error().message;
    EXPECT_GT(call<std::int32_t>(**user, "twice"), i);
  }
}

// A segment that does not fit stops the instantiation, and what was written before it stays: a
// table of another instance may hold a function of one that never came to be.
TEST_P(Linking, AFunctionOfAFailedInstanceCanBeCalled) {
  const auto counter = link(kCounter);
  const auto failed = try_link(R"((module
    (import "counter" "table" (table 2 funcref)) (import "counter" "memory" (memory 1))
    (func $nine (result i32) (i32.load (i32.const 4)))
    (elem (i32.const 0) $nine) (data (i32.const 4) "\09") (data (i32.const 65536) "x")))",
                               {{"counter", counter.get()}});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kTrapped);
  EXPECT_EQ(failed.error().trap, TrapKind::kMemoryOutOfBounds);
  EXPECT_EQ(call<std::int32_t>(*counter, "call", 0), 9);
}

// The same where the offset is that of an import, and the segments are written as expressions.
TEST_P(Linking, WhatASegmentThatDoesNotFitLeavesBehind) {
  const auto base = link(R"((module (global (export "at") i32 (i32.const 2))
    (table (export "table") 4 funcref)
    (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))))");
  const auto failed = try_link(R"((module
    (import "base" "table" (table 4 funcref)) (import "base" "at" (global $at i32))
    (memory 1) (data (i32.const 0) "\07")
    (func $f (result i32) (i32.load (i32.const 8))) (func $g (result i32) (i32.const 2))
    (elem (i32.const 0) funcref (ref.func $f))
    (elem declare func $g)
    (elem (table 0) (global.get $at) func $g $g $g)
    (elem (i32.const 3) $g)))",
                               {{"base", base.get()}});
  EXPECT_EQ(code_of(failed), ErrorCode::kTrapped);
  EXPECT_EQ(failed.error().trap, TrapKind::kTableOutOfBounds);
  EXPECT_EQ(call<std::int32_t>(*base, "call", 0), 0);  // its memory was not written yet
  for (int i = 1; i < 4; ++i) {
    const auto none = base->function("call")->call<std::int32_t>(Deadline::never(), i);
    EXPECT_EQ(code_of(none), ErrorCode::kTrapped);
    EXPECT_EQ(none.error().trap, TrapKind::kIndirectCallToNull);
  }
}

}  // namespace
}  // namespace seam::wasm
