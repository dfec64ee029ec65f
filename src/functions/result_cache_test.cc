// Keys, kept results and shared runs, over one loop or several, with a runtime whose runs end when
// the test says so. That real workers obey it too is tests/e2e/cache_test.py's.
#include "functions/result_cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <functional>
#include <set>
#include <thread>
#include <vector>

#include "base/event_loop.h"

namespace seam::functions {
namespace {

using runtimes::Completed;
using runtimes::FunctionError;
using runtimes::Outcome;

constexpr CacheTerms kTerms{
    .keep = true, .look = true, .age_max = seconds(100), .keep_for = seconds(100)};
constexpr CacheTerms kFresh{
    .keep = true, .look = false, .age_max = seconds(100), .keep_for = seconds(100)};

Outcome failed(std::string message) {
  FunctionError error;
  error.message = std::move(message);
  return {std::move(error), {}};
}

// Holds each run until finish(), or until it is stopped. One loop.
class HeldRuntime final : public runtimes::Runtime {
 public:
  struct Held {
    OneShot<Outcome> end;
    runtimes::CallSink* sink = nullptr;
    std::string call_id;
    std::string params;
    Deadline deadline;
  };

  [[nodiscard]] std::string_view name() const override { return "held"; }
  [[nodiscard]] Task<runtimes::RuntimeCounts> counts() override {
    co_return runtimes::RuntimeCounts();
  }
  [[nodiscard]] Task<Result<void>> prepare(runtimes::ProgramPtr) override {
    co_return Result<void>();
  }
  [[nodiscard]] Task<Outcome> run(runtimes::ProgramPtr, const runtimes::Call& call,
                                  runtimes::CallSink& sink) override {
    auto held = std::make_shared<Held>();
    held->sink = &sink;
    held->call_id = call.call_id;
    held->params = call.params;
    held->deadline = call.deadline;
    runs.push_back(held);
    const auto stop = [held] {
      if (!held->end.is_set())
        held->end.set(Outcome{Error{ErrorCode::kCancelled, "stopped", {}}, {}});
    };
    const std::stop_callback on_stop(call.cancelled, stop);
    co_return co_await held->end;
  }
  void release(const std::string&) override {}
  [[nodiscard]] runtimes::RuntimeHealth health() const override { return {}; }
  [[nodiscard]] Task<> shut_down() override { co_return; }

  void finish(std::size_t i, std::string_view result) {
    const std::shared_ptr<Held> held = runs[i];
    held->sink->on_result(result);
    Outcome outcome;
    outcome.stats.run_time = milliseconds(5);
    held->end.set(std::move(outcome));
  }
  std::vector<std::shared_ptr<Held>> runs;
};

class Sink final : public runtimes::CallSink {
 public:
  void on_result(std::string_view chunk) override { result.append(chunk); }
  void on_log(runtimes::LogStream, std::string_view bytes) override { log.append(bytes); }
  std::string result;
  std::string log;
};

// One call by way of the cache, and how it ended.
struct Call {
  Sink sink;
  std::stop_source gone;
  bool done = false;
  RunEnd end;

  [[nodiscard]] bool completed() const {
    return std::holds_alternative<Completed>(end.outcome.value);
  }
  [[nodiscard]] ErrorCode error() const { return std::get<Error>(end.outcome.value).code; }
};

class ResultCacheTest : public testing::Test {
 protected:
  static CallIdentity identity(std::string_view params) {
    return {.implementation_id = 1, .context = "{}", .params = params};
  }

  Task<> make(Call& call, std::string params, CacheTerms terms, Deadline deadline,
              nanoseconds timeout) {
    SharedRun run{.runtime = &runtime_,
                  .call_id = fmt::format("call-{}", ++calls_),
                  .params = params,
                  .context = "{}",
                  .deadline = deadline,
                  .timeout = timeout,
                  .gone = call.gone.get_token()};
    call.end =
        co_await cache_.run(*cache_.key_of(identity(params)), terms, std::move(run), call.sink);
    call.done = true;
  }

  void begin(Call& call, std::string params = "1", CacheTerms terms = kTerms,
             Deadline deadline = Deadline::never(), nanoseconds timeout = seconds(1000)) {
    loop_.post([this, &call, params = std::move(params), terms, deadline, timeout] {
      start(make(call, params, terms, deadline, timeout));
    });
    poll();
  }
  void poll() {
    while (loop_.poll()) {
    }
  }
  void poll_until(const std::function<bool()>& condition) {
    while (!condition()) {
      poll();
      std::this_thread::yield();
    }
  }
  void on_loop(std::function<void()> work) {
    loop_.post(std::move(work));
    poll();
  }
  void finish(std::size_t i, std::string result) {
    on_loop([this, i, result = std::move(result)] { runtime_.finish(i, result); });
  }

  ManualClock clock_;
  EventLoop loop_{"test"};
  HeldRuntime runtime_;
  ResultCache cache_{clock_, 1U << 20U};
  int calls_ = 0;
};

TEST_F(ResultCacheTest, AKeyIsWhatMakesTwoCallsEqual) {
  const auto key = [this](const CallIdentity& call) {
    const auto view = cache_.key_of(call);
    return fmt::format("{} {}", view->hash, view->text);
  };
  const CallIdentity call{.implementation_id = 3,
                          .language_title = "nodejs-x",
                          .runtime = "nodejs",
                          .script_hash = "aa",
                          .subject = "bob",
                          .context = R"({"a":1,"b":2})",
                          .params = R"({"c":1,"d":2})"};
  CallIdentity same = call;
  same.context = R"({ "b":2, "a":1 })";
  same.params = R"({"d":2,"c":1})";
  EXPECT_EQ(key(call), key(same));

  std::set<std::string> keys{key(call)};
  const auto differs = [&](auto change) {
    CallIdentity other = call;
    change(other);
    EXPECT_TRUE(keys.insert(key(other)).second);
  };
  differs([](CallIdentity& c) { c.implementation_id = 4; });
  differs([](CallIdentity& c) { c.subject = "eve"; });
  differs([](CallIdentity& c) { c.subject = ""; });
  differs([](CallIdentity& c) { c.context = "{}"; });
  differs([](CallIdentity& c) { c.params = R"({"c":1.0,"d":2})"; });
  differs([](CallIdentity& c) { c.implementation_id = 0; });
  differs([](CallIdentity& c) {
    c.implementation_id = 0;
    c.script_hash = "ab";
  });
  differs([](CallIdentity& c) {
    c.implementation_id = 0;
    c.runtime = "python";
  });
  differs([](CallIdentity& c) {
    c.implementation_id = 0;
    c.language_title = "nodejs-y";
  });
}

TEST_F(ResultCacheTest, WhatIsLongerThanAnEntryHasNoKey) {
  const std::string most((1U << 20U) / 64, '1');
  EXPECT_TRUE(cache_.key_of({.context = "", .params = most}).has_value());
  EXPECT_FALSE(cache_.key_of({.context = "{}", .params = most}).has_value());
}

TEST_F(ResultCacheTest, AResultIsAnsweredUntilItIsTooOld) {
  Call call;
  begin(call);
  EXPECT_FALSE(call.done);
  finish(0, "42");
  ASSERT_TRUE(call.done && call.completed());
  EXPECT_TRUE(call.end.own);
  EXPECT_EQ(call.sink.result, "42");
  EXPECT_EQ(call.end.outcome.stats.run_time, milliseconds(5));

  clock_.advance(seconds(60));
  const auto key = *cache_.key_of(identity("1"));
  ASSERT_NE(cache_.find(key, kTerms), nullptr);
  EXPECT_EQ(cache_.find(key, kTerms)->json, "42");
  CacheTerms young = kTerms;
  young.age_max = seconds(59);
  EXPECT_EQ(cache_.find(key, young), nullptr);
  EXPECT_EQ(cache_.find(key, kFresh), nullptr) << "a call that does not look";
  EXPECT_EQ(cache_.find(*cache_.key_of(identity("2")), kTerms), nullptr);
  clock_.advance(seconds(40));
  EXPECT_EQ(cache_.find(*cache_.key_of(identity("1")), kTerms), nullptr);
  EXPECT_EQ(cache_.stats().entries, 0U) << "it went when its time was over";
  EXPECT_EQ(cache_.stats().bytes, 0U);
}

TEST_F(ResultCacheTest, EqualCallsThatWaitShareOneRun) {
  std::deque<Call> calls(5);
  for (Call& call : calls) begin(call);
  Call other;
  begin(other, "2");
  ASSERT_EQ(runtime_.runs.size(), 2U);
  on_loop([this] { runtime_.runs[0]->sink->on_log(runtimes::LogStream::kStdout, "hello"); });
  finish(0, R"({"n":1})");
  for (std::size_t i = 0; i < calls.size(); ++i) {
    ASSERT_TRUE(calls[i].done && calls[i].completed());
    EXPECT_EQ(calls[i].sink.result, R"({"n":1})");
    EXPECT_EQ(calls[i].end.own, i == 0);
    EXPECT_EQ(calls[i].sink.log, i == 0 ? "hello" : "") << "a run's log is one call's";
  }
  EXPECT_FALSE(other.done);
  finish(1, "2");
  Call later;
  begin(later);
  EXPECT_TRUE(later.done) << "the result is kept";
  EXPECT_EQ(later.sink.result, R"({"n":1})");
  EXPECT_FALSE(later.end.own);
  const CacheStats stats = cache_.stats();
  EXPECT_EQ(stats.misses, 2U);
  EXPECT_EQ(stats.coalesced, 4U);
  EXPECT_EQ(stats.hits, 1U);
  EXPECT_EQ(stats.entries, 2U);
  EXPECT_EQ(stats.evicted, 0U);
}

TEST_F(ResultCacheTest, AnErrorIsForThoseWhoWaitedAndIsNotKept) {
  Call first;
  Call second;
  begin(first);
  begin(second);
  on_loop([this] {
    runtime_.runs[0]->sink->on_result("half a res");
    runtime_.runs[0]->end.set(failed("no"));
  });
  for (const Call* call : {&first, &second}) {
    ASSERT_TRUE(call->done);
    EXPECT_EQ(std::get<FunctionError>(call->end.outcome.value).message, "no");
  }
  EXPECT_TRUE(second.sink.result.empty());
  EXPECT_EQ(cache_.find(*cache_.key_of(identity("1")), kTerms), nullptr);
  Call third;
  begin(third);
  ASSERT_EQ(runtime_.runs.size(), 2U) << "the next call runs";
  finish(1, "1");
  EXPECT_TRUE(third.completed());
}

TEST_F(ResultCacheTest, ACallThatDoesNotLookRunsAloneAndRenewsWhatIsKept) {
  Call first;
  begin(first);
  Call fresh;
  clock_.advance(seconds(1));
  begin(fresh, "1", kFresh);
  ASSERT_EQ(runtime_.runs.size(), 2U);
  Call joined;
  begin(joined);
  ASSERT_EQ(runtime_.runs.size(), 2U) << "it waits for the first";
  finish(1, "new");
  EXPECT_TRUE(fresh.done);
  EXPECT_FALSE(joined.done);
  finish(0, "old");
  EXPECT_EQ(joined.sink.result, "old");
  EXPECT_EQ(cache_.find(*cache_.key_of(identity("1")), kTerms)->json, "new")
      << "the run that began last wins";
}

TEST_F(ResultCacheTest, EachWaiterHasItsOwnDeadline) {
  Call patient;
  Call hasty;
  begin(patient);
  begin(hasty, "1", kTerms, Deadline::after(milliseconds(1)));
  poll_until([&] { return hasty.done; });
  EXPECT_EQ(hasty.error(), ErrorCode::kDeadlineExceeded);
  EXPECT_FALSE(patient.done);
  finish(0, "1");
  EXPECT_TRUE(patient.completed());
}

TEST_F(ResultCacheTest, WhenTheOneThatBeganLeavesTheNextHasTheRunAsItsOwn) {
  Call first;
  std::deque<Call> others(2);
  begin(first, "1", kTerms, Deadline::after(milliseconds(1)));
  for (Call& call : others) begin(call);
  on_loop([this] { runtime_.runs[0]->sink->on_log(runtimes::LogStream::kStdout, "a"); });
  poll_until([&] { return first.done; });
  EXPECT_EQ(first.error(), ErrorCode::kDeadlineExceeded);
  on_loop([this] { runtime_.runs[0]->sink->on_log(runtimes::LogStream::kStdout, "b"); });
  finish(0, "1");
  ASSERT_TRUE(others[0].done && others[1].done);
  EXPECT_TRUE(others[0].end.own);
  EXPECT_FALSE(others[1].end.own);
  EXPECT_EQ(others[0].end.outcome.stats.run_time, milliseconds(5));
  EXPECT_EQ(first.sink.log, "a");
  EXPECT_EQ(others[0].sink.log, "b");
  EXPECT_EQ(others[1].sink.log, "");
  for (const Call& call : others) EXPECT_EQ(call.sink.result, "1");
}

TEST_F(ResultCacheTest, ACallerThatGoesLeavesTheOthersTheirRun) {
  Call first;
  Call second;
  begin(first);
  begin(second);
  on_loop([&] { first.gone.request_stop(); });
  EXPECT_TRUE(first.done);
  EXPECT_EQ(first.error(), ErrorCode::kCancelled);
  EXPECT_FALSE(second.done);
  finish(0, "1");
  EXPECT_TRUE(second.completed());
}

TEST_F(ResultCacheTest, TheRunIsStoppedWhenTheLastWaiterLeaves) {
  Call first;
  Call second;
  begin(first);
  begin(second, "1", kTerms, Deadline::after(milliseconds(1)));
  poll_until([&] { return second.done; });
  EXPECT_FALSE(runtime_.runs[0]->end.is_set());
  on_loop([&] { first.gone.request_stop(); });
  EXPECT_TRUE(runtime_.runs[0]->end.is_set());
  ASSERT_TRUE(first.done);
  EXPECT_EQ(first.error(), ErrorCode::kCancelled);
  Call third;
  begin(third, "1", kTerms, Deadline::after(milliseconds(1)));
  ASSERT_EQ(runtime_.runs.size(), 2U) << "nobody joins a run that is being stopped";
  poll_until([&] { return third.done; });
  EXPECT_EQ(third.error(), ErrorCode::kDeadlineExceeded)
      << "it was stopped because its time was up";
}

TEST_F(ResultCacheTest, ACallerThatWasGoneBeforeIsAnsweredToo) {
  Call call;
  call.gone.request_stop();
  begin(call);
  ASSERT_TRUE(call.done);
  EXPECT_EQ(call.error(), ErrorCode::kCancelled);
}

TEST_F(ResultCacheTest, ARunIsNotJoinedOnceItHasTakenAsLongAsACallMay) {
  Call first;
  begin(first, "1", kTerms, Deadline::never(), nanoseconds(0));
  Call second;
  begin(second);
  ASSERT_EQ(runtime_.runs.size(), 2U);
  EXPECT_LE(runtime_.runs[0]->deadline.at, MonotonicClock::now());
  Call third;
  begin(third);
  ASSERT_EQ(runtime_.runs.size(), 2U) << "it waits for the second";
  finish(0, "old");
  EXPECT_TRUE(first.done);
  EXPECT_FALSE(second.done);
  EXPECT_EQ(cache_.stats().coalesced, 1U);
  finish(1, "new");
  EXPECT_EQ(third.sink.result, "new");
}

TEST_F(ResultCacheTest, AResultOverItsShareIsAnsweredAndNotKept) {
  Call first;
  Call second;
  begin(first);
  begin(second);
  const std::string large(100'000, '1');
  finish(0, large);
  EXPECT_EQ(first.sink.result, large);
  EXPECT_EQ(second.sink.result, large);
  EXPECT_EQ(cache_.stats().entries, 0U);
}

TEST_F(ResultCacheTest, TheLongestTimeThatOneOfThemWantsIsKept) {
  Call first;
  Call second;
  begin(first);
  CacheTerms longer = kTerms;
  longer.age_max = longer.keep_for = seconds(500);
  begin(second, "1", longer);
  finish(0, "1");
  clock_.advance(seconds(400));
  const auto key = *cache_.key_of(identity("1"));
  EXPECT_EQ(cache_.find(key, kTerms), nullptr);
  EXPECT_NE(cache_.find(key, longer), nullptr);
}

// Answers at once, or after other work of its loop, and counts.
class QuickRuntime final : public runtimes::Runtime {
 public:
  [[nodiscard]] std::string_view name() const override { return "quick"; }
  [[nodiscard]] Task<runtimes::RuntimeCounts> counts() override {
    co_return runtimes::RuntimeCounts();
  }
  [[nodiscard]] Task<Result<void>> prepare(runtimes::ProgramPtr) override {
    co_return Result<void>();
  }
  [[nodiscard]] Task<Outcome> run(runtimes::ProgramPtr, const runtimes::Call& call,
                                  runtimes::CallSink& sink) override {
    const std::uint64_t number = ++runs;
    for (std::uint64_t i = 0; i < number % 3; ++i) co_await EventLoop::current()->yield();
    sink.on_result(call.params);
    if (number % 7 == 0) co_return failed("seventh");
    co_return Outcome{Completed{}, {}};
  }
  void release(const std::string&) override {}
  [[nodiscard]] runtimes::RuntimeHealth health() const override { return {}; }
  [[nodiscard]] Task<> shut_down() override { co_return; }
  std::atomic<std::uint64_t> runs{0};
};

struct Shared {
  explicit Shared(std::size_t bytes_max) : cache(Clock::real(), bytes_max) {}
  ResultCache cache;
  QuickRuntime runtime;
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> elsewhere{0};
  std::atomic<int> open{0};
};

Task<> call_often(Shared& shared, EventLoop& loop, unsigned seed) {
  for (unsigned i = 0; i < 300; ++i) {
    const unsigned number = (i * 7919 + seed) % 40;
    const std::string params = fmt::format(R"({{"n":{}}})", number);
    const CacheKeyView key =
        *shared.cache.key_of({.implementation_id = 1, .context = "{}", .params = params});
    const CacheTerms terms = i % 11 == 0 ? kFresh : kTerms;
    if (const KeptResultPtr kept = shared.cache.find(key, terms)) {
      ++shared.hits;
      if (kept->json != params) ++shared.wrong;
      co_await loop.yield();
      continue;
    }
    Sink sink;
    std::stop_source gone;
    if (i % 13 == 0) loop.post([gone]() mutable { gone.request_stop(); });
    SharedRun run{.runtime = &shared.runtime,
                  .call_id = "c",
                  .params = params,
                  .context = "{}",
                  .deadline = Deadline::after(i % 17 == 0 ? microseconds(5) : seconds(1000)),
                  .timeout = seconds(1000),
                  .gone = gone.get_token()};
    const RunEnd end = co_await shared.cache.run(key, terms, std::move(run), sink);
    if (std::holds_alternative<Completed>(end.outcome.value) && sink.result != params)
      ++shared.wrong;
    if (!loop.is_current()) ++shared.elsewhere;
  }
  --shared.open;
}

Task<> flood(Shared& shared, EventLoop& loop, int number, std::size_t bytes_max) {
  for (int i = 0; i < 5000; ++i) {
    const std::string params = fmt::format(R"("{} {} {}")", number, i, std::string(100, 'x'));
    Sink sink;
    SharedRun run{
        .runtime = &shared.runtime, .params = params, .context = "{}", .timeout = seconds(1000)};
    const CacheKeyView key =
        *shared.cache.key_of({.implementation_id = 1, .context = "{}", .params = params});
    const RunEnd end = co_await shared.cache.run(key, kTerms, std::move(run), sink);
    if (!end.own || shared.cache.stats().bytes > bytes_max) ++shared.wrong;
  }
  loop.stop();
}

void call_from_many_loops(Shared& shared) {
  constexpr unsigned kLoops = 4;
  constexpr unsigned kCallersOfLoop = 6;
  std::deque<EventLoop> loops;
  for (unsigned i = 0; i < kLoops; ++i) loops.emplace_back(fmt::format("test-{}", i));
  shared.open = kLoops * kCallersOfLoop;
  for (unsigned i = 0; i < kLoops * kCallersOfLoop; ++i) {
    EventLoop& loop = loops[i % kLoops];
    loop.post([&shared, &loop, i] { start(call_often(shared, loop, i)); });
  }
  {
    std::vector<std::jthread> threads;
    for (EventLoop& loop : loops) threads.emplace_back([&loop] { loop.run(); });
    while (shared.open > 0) std::this_thread::yield();
    for (EventLoop& loop : loops) loop.stop();
  }
  EXPECT_EQ(shared.wrong, 0U);
  EXPECT_EQ(shared.elsewhere, 0U) << "each call goes on on its own loop";
}

TEST(ResultCacheThreads, ManyLoopsShareRunsAndResults) {
  Shared shared(4U << 20U);
  call_from_many_loops(shared);
  const CacheStats stats = shared.cache.stats();
  EXPECT_EQ(stats.misses, shared.runtime.runs);
  EXPECT_EQ(stats.hits + stats.misses + stats.coalesced, 24U * 300U) << "each call is one of them";
  EXPECT_LE(stats.entries, 40U);
  EXPECT_GT(shared.hits, 0U);
}

TEST(ResultCacheThreads, AFloodOfKeysFromManyLoopsStaysWithinTheBytes) {
  constexpr std::size_t kBytesMax = 1U << 20U;
  Shared shared(kBytesMax);
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&shared, thread] {
      EventLoop loop("flood");
      loop.post([&shared, &loop, thread] { start(flood(shared, loop, thread, kBytesMax)); });
      loop.run();
    });
  }
  threads.clear();
  EXPECT_EQ(shared.wrong, 0U);
  const CacheStats stats = shared.cache.stats();
  EXPECT_GT(stats.entries, 1000U);
  EXPECT_GT(stats.evicted, 10'000U);
}

}  // namespace
}  // namespace seam::functions
