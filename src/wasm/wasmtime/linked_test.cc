// Instances that are linked with each other, and the values that are no numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wasm/wasmtime/wasmtime_testing.h"

namespace seam::wasm {
namespace {

using testing::HasSubstr;

std::unique_ptr<CompiledModule> compile(std::string_view text,
                                        Runtime& engine = wasmtime_for_test()) {
  auto module = engine.compile(wasm_from_text(text).value_or(""));
  EXPECT_TRUE(module) << module.error().message;
  return std::move(*module);
}

Outcome<std::unique_ptr<ModuleInstance>> try_link(std::string_view text,
                                                  std::vector<LinkedInstance> linked = {},
                                                  const HostModule& host = {},
                                                  const InstanceOptions& options = {}) {
  return wasmtime_for_test().instantiate_linked(*compile(text), host, linked, options, {});
}

std::unique_ptr<ModuleInstance> link(std::string_view text, std::vector<LinkedInstance> linked = {},
                                     const HostModule& host = {},
                                     const InstanceOptions& options = {}) {
  auto instance = try_link(text, std::move(linked), host, options);
  EXPECT_TRUE(instance) << instance.error().message;
  return std::move(*instance);
}

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

// Guests may export functions whose types the interfaces have no names for.
TEST(Values, ReferencesOfLaterProposalsShowWhetherTheyAreNull) {
  const auto instance = link(R"((module
    (type $s (struct (field i32))) (type $f (func))
    (func $f (export "f"))
    (func (export "struct") (result (ref $s)) (struct.new $s (i32.const 1)))
    (func (export "any") (param anyref) (result anyref) (local.get 0))
    (func (export "typed") (param (ref null $f)) (result (ref null $f)) (local.get 0))
    (func (export "never_null") (param (ref extern)))))");
  EXPECT_EQ(call_values(*instance, "struct", {})->bytes[8], 1);
  EXPECT_EQ(call_values(*instance, "any", {Value{}})->bytes[8], 0);
  EXPECT_EQ(call_values(*instance, "typed", {Value{}})->bytes[8], 0);
  EXPECT_EQ(instance->function("typed")->type().params[0], ValueType::kFuncref);
  for (const auto& [name, value] :
       {std::pair{"any", reference(1)}, {"typed", reference(1)}, {"never_null", Value{}}}) {
    const auto refused = call_values(*instance, name, {value});
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidConfiguration) << name;
  }
  EXPECT_TRUE(call_values(*instance, "never_null", {reference(1)}));
}

TEST(Values, AnExceptionThatNothingCatchesIsATrap) {
  const auto instance =
      link(R"((module (tag $t) (func (export "f") (throw $t)) (func (export "g"))))");
  const auto failed = call_values(*instance, "f", {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kTrapped);
  EXPECT_EQ(failed.error().trap, TrapKind::kUncaughtException);
  EXPECT_TRUE(call_values(*instance, "g", {}));
}

// ---- the adapter

TEST(Adapter, MakesWhatItOffers) {
  const EngineAdapter adapter = wasmtime_adapter();
  EXPECT_EQ(adapter.name, "wasmtime");
  ASSERT_FALSE(adapter.modes.empty());
  EXPECT_EQ(adapter.modes.front(), "cranelift");
  EXPECT_THAT(*adapter.version({}), HasSubstr("48."));
  for (const std::string_view mode : adapter.modes) {
    const auto made = adapter.make({.mode = std::string(mode), .instances_max = 8});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_THAT((*made)->engine_key(), HasSubstr(mode));
    const auto module = compile(R"((module (func (export "f") (result i32) i32.const 5)))", **made);
    const auto instance = *(*made)->instantiate_linked(*module, {}, {}, {}, {});
    EXPECT_EQ(call<std::int32_t>(*instance, "f"), 5);
    EXPECT_TRUE(adapter.capabilities(mode).fuel);
  }
}

}  // namespace
}  // namespace seam::wasm
