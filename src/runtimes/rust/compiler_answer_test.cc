#include "runtimes/rust/compiler_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json_text.h"

namespace seam::runtimes {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(CompilerAnswer, HoldsFilesByTheirNames) {
  const auto answer = CompilerAnswer::parse("file a.rlib 3\nabcfile b 0\nfile c 4\nend\nend\n");
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(answer->whole);
  EXPECT_EQ(answer->files.size(), 3U);
  EXPECT_EQ(*answer->find("a.rlib"), "abc");
  EXPECT_EQ(*answer->find("b"), "");
  EXPECT_EQ(*answer->find("c"), "end\n");
  EXPECT_EQ(answer->find("d"), nullptr);
}

TEST(CompilerAnswer, IsNotWholeWhenItEndsEarly) {
  const std::string_view all = "file a 3\nabcend\n";
  for (std::size_t size = 0; size < all.size(); ++size) {
    const auto answer = CompilerAnswer::parse(all.substr(0, size));
    ASSERT_TRUE(answer.has_value()) << size;
    EXPECT_FALSE(answer->whole) << size;
    EXPECT_EQ(answer->find("a") != nullptr, size >= 12) << size;
  }
}

TEST(CompilerAnswer, RefusesNonsense) {
  for (const std::string_view bytes :
       {"hello\n", "file a\n", "file a x\n", "file a -1\n", "file a 1 \nb", "file ../a 1\nb",
        "file .a 1\nb", "file  1\nb", "file a/b 1\nb", "file a 99999999999999999999\nb",
        "file a 1\nbfile a 1\nb", "end\nmore", "end \n"}) {
    const auto answer = CompilerAnswer::parse(bytes);
    ASSERT_FALSE(answer.has_value()) << bytes;
    EXPECT_EQ(answer.error().code, ErrorCode::kDataLoss);
  }
  EXPECT_FALSE(CompilerAnswer::parse(std::string(200, 'x')).has_value()) << "no line is that long";
  EXPECT_FALSE(CompilerAnswer::parse("file " + std::string(65, 'a') + " 0\nend\n").has_value());
}

constexpr std::string_view kMismatch =
    R"({"message":"mismatched types","code":{"code":"E0308","explanation":null},"level":"error","spans":[)"
    R"({"file_name":"function.rs","line_start":7,"column_start":3,"is_primary":false,"label":"here"},)"
    R"({"file_name":"function.rs","line_start":4,"column_start":8,"is_primary":true,"label":"expected `i32`"}],)"
    R"("children":[],"rendered":"error[E0308]: mismatched types\n"})";
constexpr std::string_view kWarning =
    R"({"message":"unused variable","code":null,"level":"warning","spans":[],"children":[],"rendered":"w"})";
constexpr std::string_view kAborting =
    R"({"message":"aborting due to previous error","code":null,"level":"error","spans":[],"children":[],"rendered":"a"})";

TEST(Diagnostics, TellTheFirstErrorAtItsPrimarySpan) {
  const std::string lines =
      std::string(kWarning) + "\n" + std::string(kMismatch) + "\n" + std::string(kAborting) + "\n";
  const Error error = read_diagnostics(lines, DiagnosedFile::kFunction);
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.message, "mismatched types [E0308]: expected `i32`");
  EXPECT_EQ(error.details,
            R"({"line": 4, "column": 8, "output": "error[E0308]: mismatched types\n"})");
}

TEST(Diagnostics, CountTheOthersAndPreferOneWithAPlace) {
  const std::string nowhere =
      R"({"message":"no main","code":null,"level":"error","spans":[],"children":[],"rendered":"m\n"})";
  const Error error =
      read_diagnostics(nowhere + "\n" + std::string(kMismatch), DiagnosedFile::kFunction);
  EXPECT_EQ(error.message, "mismatched types [E0308]: expected `i32` (and 1 more)");
  EXPECT_THAT(error.details, HasSubstr("m\\nerror[E0308]"));
}

TEST(Diagnostics, FindTheLineThatAMacroWasUsedIn) {
  const Error error = read_diagnostics(
      R"({"message":"no rules expected","code":null,"level":"error","spans":[{"file_name":"<macros>",)"
      R"("line_start":1,"column_start":1,"is_primary":true,"label":null,"expansion":{"span":)"
      R"({"file_name":"function.rs","line_start":9,"column_start":5,"is_primary":false,"expansion":null}}}],)"
      R"("children":[],"rendered":""})",
      DiagnosedFile::kFunction);
  EXPECT_THAT(error.details, testing::StartsWith(R"({"line": 9, "column": 5)"));
}

TEST(Diagnostics, SayWhatHandlerIsWantedWhereTheBridgeFails) {
  const Error error = read_diagnostics(
      R"({"message":"function `handler` is private","code":{"code":"E0603"},"level":"error","spans":[)"
      R"({"file_name":"bridge.rs","line_start":20,"column_start":46,"is_primary":true,"label":"private function"}],)"
      R"("children":[{"message":"defined here","level":"note","spans":[{"file_name":"function.rs","line_start":3,)"
      R"("column_start":1,"is_primary":true,"label":null}]}],"rendered":"r"})",
      DiagnosedFile::kBridge);
  EXPECT_THAT(error.message, HasSubstr("must define `pub fn handler(context: "));
  EXPECT_THAT(error.message, HasSubstr("function `handler` is private [E0603]: private function"));
  EXPECT_THAT(error.details, testing::StartsWith(R"({"line": 3, "column": 1)"));
}

TEST(Diagnostics, KeepWhatACompilerSaysThatFails) {
  const Error error = read_diagnostics("\nthread 'rustc' has overflowed its stack\nSIGABRT",
                                       DiagnosedFile::kFunction);
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message, HasSubstr("has overflowed its stack"));
  EXPECT_THAT(read_diagnostics("", DiagnosedFile::kFunction).message, HasSubstr("says nothing"));
}

// What is no message of the compiler is never read as one, whatever stands in it.
TEST(Diagnostics, BearAnyJson) {
  for (
      const std::string_view line :
      {"[]", "1", "{}", R"({"level":"error"})", R"({"level":"error","spans":1,"children":{}})",
       R"({"level":"error","spans":[1,[],{"is_primary":true}],"code":[]})",
       R"({"level":"error","message":1,"spans":[{"is_primary":true,"file_name":"function.rs","line_start":1e9}]})",
       R"({"level":"error","spans":[{"is_primary":true,"expansion":{"span":7}}]})"}) {
    const Error error = read_diagnostics(line, DiagnosedFile::kFunction);
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(error.message.empty()) << line;
    EXPECT_TRUE(check_json(error.details).has_value()) << error.details;
    EXPECT_THAT(error.details, Not(HasSubstr("line\"")));
  }
}

TEST(Diagnostics, AreCutAndStayText) {
  std::string rendered;
  while (rendered.size() < 3 * kCompilerOutputBytesMax) rendered += "\u00e9";
  const Error error =
      read_diagnostics(R"({"message":")" + rendered +
                           R"(","level":"error","spans":[],"rendered":")" + rendered + R"("})",
                       DiagnosedFile::kFunction);
  EXPECT_LT(error.details.size(), kCompilerOutputBytesMax + 100);
  EXPECT_LT(error.message.size(), kCompilerOutputBytesMax);
  EXPECT_TRUE(check_json(error.details).has_value());
  EXPECT_THAT(error.details, Not(HasSubstr("\ufffd")));
}

TEST(LinkerOutput, TellsItsFirstError) {
  const Error error = read_linker_output(
      "wasm-ld: warning: x\nwasm-ld: error: duplicate symbol: alloc\n>>> defined in a\n");
  EXPECT_EQ(error.message, "the compiled source cannot be linked: duplicate symbol: alloc");
  EXPECT_THAT(error.details, HasSubstr("defined in a"));
}

}  // namespace
}  // namespace seam::runtimes
