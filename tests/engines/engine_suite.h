#pragma once
// What every engine must do alike, as parametrised tests: each runs once for each engine and mode
// of endurance/engines.h. What an engine cannot do by its EngineCapabilities is left out for it.
//
//   TEST_P(Calls, CallsAnExport) {
//     Guest guest = make(R"((module (func (export "f"))))");
//     EXPECT_TRUE(guest.instance->function("f")->call(Deadline::never()));
//   }
//   INSTANTIATE_TEST_SUITE_P(Engines, Calls, every_engine(), name_of);

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "wasm/engines.h"

namespace seam::wasm {

// One engine in one mode.
struct Subject {
  EngineAdapter adapter;
  std::string mode;

  friend void PrintTo(const Subject& subject, std::ostream* out);
};

[[nodiscard]] testing::internal::ParamGenerator<Subject> every_engine();
// "wasmtime_cranelift", "wasmi".
[[nodiscard]] std::string name_of(const testing::TestParamInfo<Subject>& info);

// Counts to its parameter, one at a time.
inline constexpr std::string_view kCount = R"((module
  (func (export "count") (param i64) (result i64) (local i64)
    (loop $l (local.set 1 (i64.add (local.get 1) (i64.const 1)))
             (br_if $l (i64.lt_u (local.get 1) (local.get 0))))
    (local.get 1))))";

struct Guest {
  std::unique_ptr<CompiledModule> module;
  std::unique_ptr<Context> context;
  std::unique_ptr<ModuleInstance> instance;
};

class EngineSuite : public testing::TestWithParam<Subject> {
 protected:
  // Made once for all tests of an engine.
  static Runtime& runtime(bool fuel = false);
  [[nodiscard]] static EngineCapabilities can();
  // The text as a module.
  static std::string module_of(std::string_view text);
  static Outcome<Guest> try_make(std::string_view text, const HostModule& host = {},
                                 const InstanceOptions& options = {}, Runtime& engine = runtime());
  static Guest make(std::string_view text, const HostModule& host = {},
                    const InstanceOptions& options = {});
  static Outcome<> call_void(Guest& guest, std::string_view name,
                             Deadline deadline = Deadline::after(seconds(10)));
  static ErrorCode code_of(const auto& outcome) {
    EXPECT_FALSE(outcome.has_value());
    return outcome.error().code;
  }
};

}  // namespace seam::wasm
