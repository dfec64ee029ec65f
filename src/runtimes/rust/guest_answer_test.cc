#include "runtimes/rust/guest_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace seam::runtimes {
namespace {

TEST(RustError, IsWhatErrSaid) {
  const auto error = read_rust_error(R"({"seam_error":"no\n\"room\"","seam_error":true})");
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->kind, FunctionError::Kind::kThrew);
  EXPECT_EQ(error->message, "no\n\"room\"");
}

// A function may use the name for its own ends.
TEST(RustError, IsNothingElse) {
  for (const char* const answer :
       {R"({"seam_error":"x"})", R"({"seam_error":1,"seam_error":true})", R"({"seam_error":true})",
        R"({"seam_error":"x","y":1,"seam_error":true})", R"({"seam_error":"a","b":"c"})", "{}",
        R"({"seam_error":,"seam_error":true})", R"("seam_error")", ""})
    EXPECT_FALSE(read_rust_error(answer).has_value()) << answer;
}

FunctionError exited(std::string message) {
  return {.kind = FunctionError::Kind::kThrew,
          .type = "Exit",
          .message = std::move(message),
          .line = {},
          .column = {},
          .stack_trace = "  at f"};
}

TEST(RustPanic, HasItsMessageAndPlace) {
  const FunctionError read = read_rust_failure(
      exited("exited with code 101: a log\npanicked at function.rs:12:5:\nno: such:\nthing\n"));
  EXPECT_EQ(read.type, "panic");
  EXPECT_EQ(read.message, "no: such:\nthing");
  EXPECT_EQ(read.line, 12);
  EXPECT_EQ(read.column, 5);
  EXPECT_EQ(read.stack_trace, "  at f");
}

TEST(RustPanic, OutsideTheSourceNamesItsPlace) {
  const FunctionError read = read_rust_failure(exited(
      "exited with code 101: panicked at library/alloc/src/vec.rs:5:9:\ncapacity overflow\n"));
  EXPECT_EQ(read.message, "capacity overflow (at library/alloc/src/vec.rs:5:9)");
  EXPECT_FALSE(read.line.has_value());
}

TEST(RustPanic, IsNoOtherFailure) {
  for (const char* const message :
       {"exited with code 3: panicked at function.rs:1:1:\nx\n", "exited with code 101",
        "exited with code 101: nothing of that", "exited with code 101: panicked at function.rs",
        "exited with code 101: it panicked at x:\ny"}) {
    EXPECT_EQ(read_rust_failure(exited(message)).message, message);
    EXPECT_EQ(read_rust_failure(exited(message)).type, "Exit");
  }
  FunctionError memory = exited("exited with code 101: panicked at function.rs:1:1:\nx\n");
  memory.kind = FunctionError::Kind::kMemoryExceeded;
  EXPECT_EQ(read_rust_failure(memory).type, "Exit");
}

}  // namespace
}  // namespace seam::runtimes
