// What bounds a guest, what ends it, and how it runs in slices.
#include <thread>

#include "engines/engine_suite.h"

namespace seam::wasm {
namespace {

class Bounds : public EngineSuite {};
INSTANTIATE_TEST_SUITE_P(Engines, Bounds, every_engine(), name_of);

TEST_P(Bounds, GrowingPastTheLimitGivesMinusOne) {
  Guest guest = make(R"((module (memory (export "memory") 1) (table $t 1 funcref)
                           (func (export "memory_grow") (param i32) (result i32) (memory.grow (local.get 0)))
                           (func (export "table_grow") (param i32) (result i32)
                             (table.grow $t (ref.null func) (local.get 0)))))",
                     {}, {.limits = {.memory_bytes_max = 4 << 16, .table_elements_max = 10}});
  const Deadline never;
  EXPECT_EQ(guest.instance->function("memory_grow")->call<std::int32_t>(never, 4), -1);
  EXPECT_EQ(guest.instance->function("memory_grow")->call<std::int32_t>(never, 3), 1);
  EXPECT_EQ(guest.instance->function("memory_grow")->call<std::int32_t>(never, 1), -1);
  EXPECT_EQ(guest.instance->function("table_grow")->call<std::int32_t>(never, 10), -1);
  EXPECT_EQ(guest.instance->function("table_grow")->call<std::int32_t>(never, 9), 1);
}

TEST_P(Bounds, ADeclaredMinimumOverTheLimitIsLimitExceeded) {
  const InstanceOptions small{.limits = {.memory_bytes_max = 2 << 16, .table_elements_max = 10}};
  EXPECT_EQ(code_of(try_make("(module (memory 3))", {}, small)), ErrorCode::kLimitExceeded);
  EXPECT_EQ(code_of(try_make("(module (table 11 funcref))", {}, small)), ErrorCode::kLimitExceeded);
  EXPECT_TRUE(try_make("(module (memory 2) (table 10 funcref))", {}, small));
}

constexpr std::string_view kSpin = R"((module (func (export "spin") (loop $l (br $l)))))";

TEST_P(Bounds, ASpinningGuestIsInterruptedAtItsDeadline) {
  Guest guest = make(kSpin);
  EXPECT_EQ(code_of(call_void(guest, "spin", Deadline::after(milliseconds(20)))),
            ErrorCode::kDeadlineExceeded);
}

TEST_P(Bounds, ADeadlineThatHasPassedRunsNothing) {
  Guest guest = make(R"((module (func (export "f") unreachable)))");
  EXPECT_EQ(code_of(call_void(guest, "f", Deadline::after(milliseconds(0)))),
            ErrorCode::kDeadlineExceeded);
}

TEST_P(Bounds, ASpinningGuestIsInterruptedWhenCancelled) {
  Guest guest = make(kSpin);
  std::stop_source source;
  std::jthread canceller([&] {
    std::this_thread::sleep_for(milliseconds(20));
    source.request_stop();
  });
  EXPECT_EQ(
      code_of(guest.instance->function("spin")->call({Deadline::never(), source.get_token()}, {})),
      ErrorCode::kCancelled);
}

TEST_P(Bounds, ASpinningStartFunctionIsInterruptedToo) {
  const auto module =
      *runtime().compile(module_of("(module (func $s (loop $l (br $l))) (start $s))"));
  const auto context = *runtime().link(*module, {});
  EXPECT_EQ(code_of(context->instantiate({}, {Deadline::after(milliseconds(20)), {}})),
            ErrorCode::kDeadlineExceeded);
}

// Goal: a guest that yields goes on where it was, also on other threads.
TEST_P(Bounds, AGuestRunsInSlicesOnSeveralThreads) {
  if (!can().slices) GTEST_SKIP() << "it has no slices";
  Guest guest = make(kCount);
  const std::int64_t rounds = 200'000'000;
  const Value params[] = {Value::of(rounds)};
  const auto execution = *guest.instance->function("count")->start({}, params);
  int slices = 0;
  bool done = false;
  while (!done) {
    std::jthread([&] { done = execution->resume(milliseconds(1)); }).join();
    ++slices;
  }
  ASSERT_TRUE(execution->outcome());
  EXPECT_EQ(execution->results()[0].as<std::int64_t>(), rounds);
  EXPECT_GT(slices, 2);
}

TEST_P(Bounds, AnExecutionMayBeDroppedHalfWay) {
  if (!can().slices) GTEST_SKIP() << "it has no slices";
  for (int i = 0; i < 40; ++i) {  // more than the pool holds: each gives its slot back
    Guest guest = make(kSpin);
    const auto execution = *guest.instance->function("spin")->start({}, {});
    EXPECT_FALSE(execution->resume(milliseconds(1)));
  }
}

TEST_P(Bounds, AWaitingGuestHoldsNoThread) {
  if (!can().slices) GTEST_SKIP() << "it has no slices";
  HostModule host;
  host.add_waiting("env", "sleep_ms", [](HostCall& call, std::int32_t span) -> std::int32_t {
    call.wait_until(Deadline::after(milliseconds(span)));
    return span + 1;
  });
  Guest guest = make(R"((module (import "env" "sleep_ms" (func $s (param i32) (result i32)))
                           (func (export "f") (result i32) (call $s (i32.const 30)))))",
                     host);
  const auto start = MonotonicClock::now();
  const auto execution = *guest.instance->function("f")->start({}, {});
  EXPECT_FALSE(execution->resume(milliseconds(1)));
  EXPECT_GT(execution->ready_at(), MonotonicClock::now());
  EXPECT_TRUE(run_to_end(*execution));
  EXPECT_EQ(execution->results()[0].as<std::int32_t>(), 31);
  EXPECT_GE(MonotonicClock::now() - start, milliseconds(30));
  // The blocking call works on the same instance.
  EXPECT_EQ(guest.instance->function("f")->call<std::int32_t>(Deadline::never()), 31);
  EXPECT_EQ(
      code_of(guest.instance->function("f")->call<std::int32_t>(Deadline::after(milliseconds(5)))),
      ErrorCode::kDeadlineExceeded);
}

TEST_P(Bounds, FuelThatIsUsedUpIsLimitExceeded) {
  const InstanceOptions little{.limits = {.fuel = 1000}};
  EXPECT_EQ(code_of(try_make(kCount, {}, little)), ErrorCode::kInvalidConfiguration);
  if (!can().fuel) return;
  Guest guest = *try_make(kCount, {}, little, runtime(true));
  const auto count = guest.instance->function("count");
  EXPECT_EQ(count->call<std::int64_t>(Deadline::never(), std::int64_t{10}), 10);
  EXPECT_LT(*guest.instance->fuel_left(), 1000U);
  const auto spent =
      count->call<std::int64_t>(Deadline::after(seconds(10)), std::int64_t{1'000'000});
  EXPECT_EQ(code_of(spent), ErrorCode::kLimitExceeded);
  EXPECT_EQ(spent.error().message, "the fuel is used up");
  // More than one portion of it, and the same whether the code was run before or not.
  std::uint64_t left = 0;
  for (int i = 0; i < 2; ++i) {
    Guest again = *try_make(kCount, {}, {.limits = {.fuel = 10'000'000}}, runtime(true));
    EXPECT_EQ(again.instance->function("count")->call<std::int64_t>(Deadline::never(),
                                                                    std::int64_t{1'000'000}),
              1'000'000);
    if (i == 0) left = *again.instance->fuel_left();
    EXPECT_EQ(*again.instance->fuel_left(), left);
  }
  EXPECT_GT(left, 0U);
  // In slices too, and without a limit there is no end to it.
  Guest sliced = *try_make(kSpin, {}, little, runtime(true));
  EXPECT_EQ(code_of(run_to_end(**sliced.instance->function("spin")->start({}, {}))),
            ErrorCode::kLimitExceeded);
  EXPECT_EQ(make(kCount).instance->fuel_left(), std::nullopt);
}

// Goal: a guest that only calls the host is stopped too, although it runs hardly any code itself.
TEST_P(Bounds, AGuestThatSpinsInHostCallsIsInterrupted) {
  HostModule host;
  host.add("h", "nap", [](HostCall&) { std::this_thread::sleep_for(milliseconds(1)); });
  Guest guest = make(R"((module (import "h" "nap" (func $nap))
    (func (export "spin") (loop $l (call $nap) (br $l)))))",
                     host);
  const auto begin = MonotonicClock::now();
  EXPECT_EQ(code_of(call_void(guest, "spin", Deadline::after(milliseconds(30)))),
            ErrorCode::kDeadlineExceeded);
  EXPECT_LT(MonotonicClock::now() - begin, seconds(30));  // and not after a million naps
  std::stop_source source;
  std::jthread canceller([&] {
    std::this_thread::sleep_for(milliseconds(20));
    source.request_stop();
  });
  EXPECT_EQ(
      code_of(guest.instance->function("spin")->call({Deadline::never(), source.get_token()}, {})),
      ErrorCode::kCancelled);
}

TEST_P(Bounds, AnInterruptedExecutionSaysWhy) {
  Guest guest = make(kSpin);
  EXPECT_EQ(code_of(run_to_end(**guest.instance->function("spin")->start(
                {Deadline::after(milliseconds(20)), {}}, {}))),
            ErrorCode::kDeadlineExceeded);
}

// Goal: one guest's trap or deadline is its own affair.
TEST_P(Bounds, ATrapHarmsItsOwnInstanceAlone) {
  const auto module = *runtime().compile(module_of(R"((module (memory (export "memory") 1)
    (func (export "trap") unreachable)
    (func (export "f") (result i32) (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
      (i32.load (i32.const 0)))))"));
  const auto context = *runtime().link(*module, {});
  const auto good = *context->instantiate({}, {});
  for (int i = 1; i < 200; ++i) {
    const auto bad = *context->instantiate({}, {});
    EXPECT_EQ(code_of(bad->function("trap")->call(Deadline::never())), ErrorCode::kTrapped);
    EXPECT_EQ(good->function("f")->call<std::int32_t>(Deadline::never()), i);
  }
}

}  // namespace
}  // namespace seam::wasm
