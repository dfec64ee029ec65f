#include "wasm/wasmtime/wasmtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "wasm/wasmtime/wasmtime_testing.h"

namespace seam::wasm {
namespace {

using testing::HasSubstr;

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
                        const InstanceOptions& options = {},
                        Runtime& engine = wasmtime_for_test()) {
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

TEST(Wasmtime, AnEngineWithoutInstancesIsRefused) {
  EXPECT_EQ(code_of(make_wasmtime({.instances_max = 0})), ErrorCode::kInvalidConfiguration);
}

}  // namespace
}  // namespace seam::wasm
