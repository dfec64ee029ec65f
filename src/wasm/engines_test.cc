#include "wasm/engines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wasm/wasmtime/wasmtime.h"

namespace seam::wasm {
namespace {

using ::testing::HasSubstr;

Outcome<std::string> version(const EngineOptions&) { return std::string("1"); }
EngineCapabilities capabilities(std::string_view) { return {}; }

// The modes are taken for words here, so that a test sees which one arrives.
Outcome<std::unique_ptr<Runtime>> make_here(const EngineOptions& options) {
  if (options.mode == "winch") return fail(ErrorCode::kInvalidConfiguration, "no winch here");
  return make_wasmtime({.instances_max = options.instances_max});
}
Outcome<std::unique_ptr<Runtime>> cannot_load(const EngineOptions& options) {
  return fail(ErrorCode::kRuntimeNotFound,
              options.library_folder.string() + "/libseam_wazero.so is not there.");
}

Engines engines() {
  return Engines(
      {{"wasmtime", "strategy", {"cranelift", "winch"}, capabilities, version, make_here},
       {"wazero", "mode", {"compiled", "interpreter"}, capabilities, version, cannot_load},
       {"wasmi", "", {}, capabilities, version, make_here},
       {"gone", "mode", {"one"}, capabilities, version, cannot_load}},
      "wazero");
}

Error error_of(const Outcome<EngineChoice>& choice) {
  return choice ? Error{.message = "chosen: " + choice->engine} : choice.error();
}

TEST(Engines, ChoosesByTypeAndMode) {
  const Engines all = engines();
  EXPECT_EQ(all.choose({}), (EngineChoice{"wasmtime", "cranelift"}));
  EXPECT_EQ(all.choose("wazero"), (EngineChoice{"wazero", "compiled"}));
  EXPECT_EQ(all.choose("wazero", "interpreter"), (EngineChoice{"wazero", "interpreter"}));
  EXPECT_EQ(all.choose("wasmi"), (EngineChoice{"wasmi", ""}));
  EXPECT_EQ(all.find("wasmi")->name, "wasmi");
  EXPECT_EQ(all.find("wasm3"), nullptr);
  EXPECT_EQ(all.all().size(), 4);
}

TEST(Engines, SaysWhatWouldBeRight) {
  const Engines all = engines();
  const auto expect = [&](const Outcome<EngineChoice>& choice, ErrorCode code,
                          std::string_view message) {
    EXPECT_EQ(error_of(choice).message, message);
    EXPECT_EQ(to_string(error_of(choice).code), to_string(code));
  };
  expect(all.choose("wazer"), ErrorCode::kRuntimeNotFound,
         "runtime_config.type: \"wazer\" is no WebAssembly engine of this build. Give wasmtime, "
         "wazero, wasmi or gone. Did you mean wazero?");
  expect(all.choose("v8", "compiled"), ErrorCode::kRuntimeNotFound,
         "runtime_config.type: \"v8\" is no WebAssembly engine of this build. Give wasmtime, "
         "wazero, wasmi or gone.");
  expect(all.choose("wazero", "compile"), ErrorCode::kInvalidConfiguration,
         "runtime_config.wazero.mode: \"compile\" is no mode of wazero. Give compiled or "
         "interpreter. Did you mean compiled?");
  expect(all.choose("wasmi", "compiled"), ErrorCode::kInvalidConfiguration,
         "runtime_config.wasmi.mode: wasmi has one mode only. Remove \"compiled\".");
  expect(all.read("{type: wasmtime, fallback: wasm}"), ErrorCode::kRuntimeNotFound,
         "runtime_config.fallback: \"wasm\" is no WebAssembly engine of this build. Give "
         "wasmtime, wazero, wasmi or gone. Did you mean wasmi?");
  expect(all.read("{wasmtime: {strategy: cranlift}}"), ErrorCode::kInvalidConfiguration,
         "runtime_config.wasmtime.strategy: \"cranlift\" is no mode of wasmtime. Give cranelift "
         "or winch. Did you mean cranelift?");
  expect(all.read("{wasmtime: {mode: cranelift}}"), ErrorCode::kInvalidConfiguration,
         "runtime_config.wasmtime.mode: unknown. runtime_config.wasmtime takes strategy: cranelift "
         "or winch.");
  expect(all.read("{wasmi: {mode: x}}"), ErrorCode::kInvalidConfiguration,
         "runtime_config.wasmi.mode: unknown: wasmi takes no settings. Remove it.");
  expect(all.read("{typ: wasmi}"), ErrorCode::kInvalidConfiguration,
         "runtime_config: \"typ\" is unknown here. Give type, fallback, wasmtime, wazero, wasmi or "
         "gone. Did you mean type?");
  expect(all.read("{type: [wasmi]}"), ErrorCode::kInvalidConfiguration,
         "runtime_config.type: must be one word.");
  expect(all.read("wasmi"), ErrorCode::kInvalidConfiguration,
         "runtime_config: must be a mapping, such as { type: wasmtime }.");
  expect(all.read("{wazero: compiled}"), ErrorCode::kInvalidConfiguration,
         "runtime_config.wazero: must be a mapping, such as { mode: compiled }.");
  expect(all.read("{type: wasmi, fallback: wasmi}"), ErrorCode::kInvalidConfiguration,
         "runtime_config.fallback: is the same engine as type, wasmi. Name another, or remove it.");
  EXPECT_THAT(error_of(all.read("{type: ")).message, HasSubstr("runtime_config:1: not YAML"));
  EXPECT_THAT(error_of(all.read("{type: wasmi, type: wasmi}")).message, HasSubstr("set twice"));
}

TEST(Engines, ReadsAMappingInYamlOrJson) {
  const Engines all = engines();
  EXPECT_EQ(all.read(""), (EngineChoice{"wasmtime", "cranelift"}));
  EXPECT_EQ(all.read("{}"), (EngineChoice{"wasmtime", "cranelift"}));
  EXPECT_EQ(all.read("type: wasmtime\n"
                     "wasmtime: { strategy: winch }\n"
                     "wazero: { mode: interpreter }\n"
                     "wasmi: {}\n"),
            (EngineChoice{"wasmtime", "winch"}));
  EXPECT_EQ(all.read("type: wasmi\nwasmi:\n"), (EngineChoice{"wasmi", ""}));
  EXPECT_EQ(all.read("{fallback: wazero, wazero: {mode: interpreter}}"),
            (EngineChoice{"wasmtime", "cranelift", "wazero", "interpreter"}));
  EXPECT_EQ(all.read(R"({"type": "wazero", "fallback": "wasmi"})"),
            (EngineChoice{"wazero", "compiled", "wasmi", ""}));
  // No engine is loaded by reading, however little there is of it.
  EXPECT_EQ(all.read("type: gone"), (EngineChoice{"gone", "one"}));
}

TEST(Engines, TakesTheOlderForm) {
  const Engines all = engines();
  EXPECT_EQ(all.read("runtime: { mode: interpreter }"), (EngineChoice{"wazero", "interpreter"}));
  EXPECT_EQ(all.read("{runtime: {mode: compiled}, fallback: wasmi}"),
            (EngineChoice{"wazero", "compiled", "wasmi", ""}));
  EXPECT_EQ(error_of(all.read("runtime: { mode: jit }")).message,
            "runtime.mode: \"jit\" is no mode of wazero. Give compiled or interpreter.");
  EXPECT_EQ(error_of(all.read("{type: wasmi, runtime: {mode: compiled}}")).message,
            "runtime: is the older form of type: wazero with wazero: { mode: compiled }. Keep one "
            "of the two.");
  EXPECT_EQ(error_of(all.read("runtime: interpreter")).message,
            "runtime: must be { mode: compiled or interpreter }, and is the older form: write "
            "type: wazero and wazero: { mode: … } instead.");
  const Engines without({{"wasmi", "", {}, capabilities, version, make_here}});
  EXPECT_THAT(error_of(without.read("runtime: { mode: compiled }")).message,
              HasSubstr("\"runtime\" is unknown here. Give type, fallback or wasmi."));
}

TEST(Engines, MakesTheFallbackWhereTheFirstCannotBeLoaded) {
  const Engines all = engines();
  EngineChoice choice{"wazero", "compiled"};
  const EngineOptions options{.library_folder = "/opt/engines"};
  const auto none = all.make(choice, options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kRuntimeNotFound);
  EXPECT_EQ(none.error().message, "/opt/engines/libseam_wazero.so is not there.");

  choice.fallback = "wasmi";
  const auto made = all.make(choice, options);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->engine, "wasmi");
  EXPECT_EQ(made->mode, "");
  EXPECT_TRUE(made->runtime->compile({"\0asm\1\0\0\0", 8}));
  ASSERT_TRUE(made->instead_of);
  EXPECT_EQ(made->instead_of->message, none.error().message);

  choice.fallback = "gone";
  const auto neither = all.make(choice, options);
  ASSERT_FALSE(neither);
  EXPECT_EQ(neither.error().code, ErrorCode::kRuntimeNotFound);
  EXPECT_THAT(neither.error().message, HasSubstr("Its fallback cannot be loaded either: "));
}

TEST(Engines, FallsBackForNothingElse) {
  const Engines all = engines();
  const auto wrong = all.make({"wasmtime", "winch", "wasmi"}, {});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message, "no winch here");
  // A name that is none is a mistake in the configuration and not an engine that is missing here.
  const auto unknown = all.make({"wasmtim", "", "wasmi"}, {});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kRuntimeNotFound);
  const auto mode = all.make({"wazero", "fast", "wasmi"}, {});
  ASSERT_FALSE(mode);
  EXPECT_EQ(mode.error().code, ErrorCode::kInvalidConfiguration);

  const auto made = all.make({"wasmtime"}, {});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->engine, "wasmtime");
  EXPECT_EQ(made->mode, "cranelift");
  EXPECT_FALSE(made->instead_of);
}

}  // namespace
}  // namespace seam::wasm
