#include "cli/wasm_measure.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "cli/wasm_commands.h"

namespace seam::cli {
namespace {

EngineRun run_of(std::string outcome, std::string hash) {
  return {
      .engine = "wasmi", .mode = "", .outcome = std::move(outcome), .output_hash = std::move(hash)};
}

TEST(EngineRun, GoesThroughAPipeWhole) {
  EngineRun run = run_of("exit 3", "abc");
  run.mode = "a \"mode\"";
  run.message = "line\nbreak";
  run.results = R"([{"type":"i64","value":"-1"}])";
  run.output_bytes = 12;
  run.varies = true;
  run.compile_ms = 1.5;
  run.guest_memory_bytes = 1ULL << 40U;
  run.peak_memory_bytes = 7;
  const Result<EngineRun> told = EngineRun::parse(run.render());
  ASSERT_TRUE(told) << told.error().message;
  EXPECT_EQ(told->render(), run.render());
  EXPECT_EQ(told->mode, run.mode);
  EXPECT_EQ(told->message, run.message);
  EXPECT_EQ(told->results, run.results);
  EXPECT_EQ(told->guest_memory_bytes, run.guest_memory_bytes);
  EXPECT_TRUE(told->varies);
}

TEST(EngineRun, RefusesWhatNoEngineSaid) {
  for (const std::string_view text :
       {"", "{}", "[]", "null", R"({"engine":3})", R"({"engine":"wasmi")"})
    EXPECT_FALSE(EngineRun::parse(text)) << text;
  // What is missing or of another type is as in a run that said nothing of it.
  const Result<EngineRun> told =
      EngineRun::parse(R"({"engine":"wasmi","run_ms":"soon","varies":1})");
  ASSERT_TRUE(told);
  EXPECT_EQ(told->run_ms, 0);
  EXPECT_FALSE(told->varies);
}

TEST(EngineRun, IsTheSameByOutcomeResultsAndOutput) {
  const EngineRun run = run_of("returned", "abc");
  EngineRun slower = run;
  slower.run_ms = 100;
  slower.message = "in other words";
  EXPECT_EQ(slower.verdict(), run.verdict());
  EXPECT_NE(run_of("returned", "def").verdict(), run.verdict());
  EXPECT_NE(run_of("exit 1", "abc").verdict(), run.verdict());
  EngineRun other = run;
  other.results = R"([{"type":"i32","value":"1"}])";
  EXPECT_NE(other.verdict(), run.verdict());
  // How far a run came before it was cut short is a matter of speed.
  EXPECT_EQ(run_of("DeadlineExceeded", "abc").verdict(),
            run_of("DeadlineExceeded", "def").verdict());
}

TEST(GuestEnd, HasAnExitCodeForEachOutcome) {
  const auto code = [](wasm::ErrorCode error, std::int32_t exit_code = 0) {
    GuestEnd end;
    end.error = wasm::Error{.code = error, .message = {}, .exit_code = exit_code};
    return end.exit_code();
  };
  EXPECT_EQ(GuestEnd().exit_code(), 0);
  EXPECT_EQ(code(wasm::ErrorCode::kExited, 0), 0);
  EXPECT_EQ(code(wasm::ErrorCode::kExited, 255), 255);
  // 256 would be 0 to a shell.
  EXPECT_EQ(code(wasm::ErrorCode::kExited, 256), kGuestCodeOutside);
  EXPECT_EQ(code(wasm::ErrorCode::kExited, -1), kGuestCodeOutside);
  EXPECT_EQ(code(wasm::ErrorCode::kTrapped), kGuestTrapped);
  EXPECT_EQ(code(wasm::ErrorCode::kDeadlineExceeded), kGuestTimeUp);
  EXPECT_EQ(code(wasm::ErrorCode::kLimitExceeded), kGuestOverLimit);
  EXPECT_EQ(code(wasm::ErrorCode::kCancelled), kGuestReaderGone);
  EXPECT_EQ(code(wasm::ErrorCode::kModuleCompileFailed), kGuestNotBegun);
}

TEST(GuestEnd, ShowsValuesAsTheyAre) {
  const auto text = [](wasm::ValueType type, auto number) {
    return to_string(wasm::TypedValue{.type = type, .value = wasm::Value::of(number)});
  };
  EXPECT_EQ(text(wasm::ValueType::kI32, ~0U), "-1");
  EXPECT_EQ(text(wasm::ValueType::kI64, std::int64_t{1} << 62U), "4611686018427387904");
  EXPECT_EQ(text(wasm::ValueType::kF32, 0.1F), "0.1");
  EXPECT_EQ(text(wasm::ValueType::kF64, -0.0), "-0");
  EXPECT_EQ(text(wasm::ValueType::kF32, 0x7fc00001U), "nan");
  EXPECT_EQ(text(wasm::ValueType::kV128, std::uint64_t{0x1234}),
            "0x00000000000000000000000000001234");
  EXPECT_EQ(text(wasm::ValueType::kFuncref, 0U), "null");
}

}  // namespace
}  // namespace seam::cli
