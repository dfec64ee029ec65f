#include "wasm/runtime.h"

#include <gtest/gtest.h>

#include <thread>

namespace seam::wasm {
namespace {

constexpr nanoseconds kFar = std::chrono::hours(24);

ExternType import_of(std::string name, FunctionType type, ExternKind kind = ExternKind::kFunction) {
  return {.module = "env", .name = std::move(name), .kind = kind, .function = std::move(type)};
}

class Resolve : public testing::Test {
 protected:
  Resolve() {
    host_.add("env", "add", [](HostCall&, std::int32_t a, std::int32_t b) { return a + b; });
    host_.add("other", "print", [](HostCall&, double) {});
  }

  void refuses(const ExternType& import, std::string_view message) const {
    const Outcome<const HostFunction*> found = host_.resolve(import);
    ASSERT_FALSE(found.has_value());
    EXPECT_EQ(found.error().code, ErrorCode::kModuleInstantiateFailed);
    EXPECT_EQ(found.error().message, message);
  }

  HostModule host_;
  const FunctionType sum_{.params = {ValueType::kI32, ValueType::kI32},
                          .results = {ValueType::kI32}};
};

TEST_F(Resolve, AnImportIsFoundByItsModuleNameAndType) {
  const Outcome<const HostFunction*> found = host_.resolve(import_of("add", sum_));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(*found, host_.functions().data());
}

TEST_F(Resolve, WhatIsNotThereOrNoFunctionIsNotOffered) {
  refuses(import_of("none", sum_), "it imports env.none, which is not offered");
  refuses(import_of("print", {.params = {ValueType::kF64}, .results = {}}),
          "it imports env.print, which is not offered");
  refuses(import_of("add", {}, ExternKind::kMemory), "it imports env.add, which is not offered");
}

TEST_F(Resolve, AnotherTypeIsRefusedWithBoth) {
  refuses(import_of("add", {.params = {ValueType::kI64}, .results = {ValueType::kF32}}),
          "it imports env.add as (i64) -> f32, which is (i32, i32) -> i32");
}

TEST(GuestRun, IsInterruptedOnceItsBoundsArePassedAndSaysWhy) {
  GuestRun unbounded;
  EXPECT_FALSE(unbounded.interrupted());
  std::stop_source source;
  const std::stop_token token = source.get_token();
  GuestRun run{.bounds = {.deadline = Deadline::after(kFar), .cancelled = &token}};
  EXPECT_FALSE(run.interrupted());
  EXPECT_FALSE(run.failure.has_value());
  source.request_stop();
  ASSERT_TRUE(run.interrupted());
  EXPECT_EQ(run.failure->code, ErrorCode::kCancelled);
  EXPECT_EQ(run.failure->message, "the caller no longer wants it");
  run = {.bounds = {.deadline = Deadline::after(nanoseconds(-1))}};
  ASSERT_TRUE(run.interrupted());
  EXPECT_EQ(run.failure->code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(run.failure->message, "its time is up");
}

TEST(Bounds, WithoutCancellationTheTokenNeverStops) {
  EXPECT_FALSE(Bounds{}.stop_token().stop_possible());
  const std::stop_source source;
  const std::stop_token token = source.get_token();
  EXPECT_EQ((Bounds{.cancelled = &token}.stop_token()), token);
}

TEST(SleepUntil, EndsAtTheTimeTheDeadlineOrTheCancellation) {
  const MonotonicTime soon = MonotonicClock::now() + milliseconds(5);
  sleep_until(soon, {});
  EXPECT_GE(MonotonicClock::now(), soon);

  const Deadline deadline = Deadline::after(milliseconds(5));
  sleep_until(MonotonicClock::now() + kFar, {.deadline = deadline});
  EXPECT_GE(MonotonicClock::now(), deadline.at);

  std::stop_source source;
  const std::stop_token token = source.get_token();
  std::jthread sleeper([&] { sleep_until(MonotonicClock::now() + kFar, {.cancelled = &token}); });
  source.request_stop();
  sleeper.join();  // a day early
}

}  // namespace
}  // namespace seam::wasm
