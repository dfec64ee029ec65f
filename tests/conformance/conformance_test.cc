// What every runtime does alike, whatever its language: tried through runtimes/runtime.h alone.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <ostream>
#include <thread>

#include "base/json_text.h"
#include "conformance/fixture.h"

namespace seam::conformance {

// What GoogleTest says of a test's parameter.
void PrintTo(const Language& language, std::ostream* out) { *out << language.name; }

namespace {

using runtimes::FunctionError;

class Conformance : public testing::TestWithParam<Language> {
 protected:
  const Language& language() const { return GetParam(); }
  [[nodiscard]] bool has(const std::string& program) const {
    return language().programs.contains(program);
  }
  std::shared_ptr<runtimes::Program> program(const std::string& name) const {
    return make_program(language(), language().programs.at(name));
  }
  std::string identity(const runtimes::ProgramPtr& which, std::size_t loop = 0) const {
    return RunningCall(language(), which, "{}", {.loop = loop}).result();
  }
};

// Skips the test where the language says why it cannot have this program; one that is just missing
// fails it.
#define NEEDS(needed)                                                                      \
  if (const auto lack = language().lacks.find(needed); lack != language().lacks.end())     \
    GTEST_SKIP() << language().name << " has no \"" << (needed) << "\": " << lack->second; \
  ASSERT_TRUE(has(needed)) << language().name << " has no program \"" << (needed) << "\""

#define NEEDS_WORKER()               \
  if (!language().no_worker.empty()) \
  GTEST_SKIP() << language().name << " has no worker: " << language().no_worker

std::optional<int> known(int place) {
  return place == 0 ? std::nullopt : std::optional<int>(place);
}

TEST_P(Conformance, TakesEveryFormOfAScript) {
  for (const auto& [form, source] : language().forms) {
    SCOPED_TRACE(form);
    RunningCall call(language(), make_program(language(), source), R"({"a":2,"b":3})");
    EXPECT_EQ(call.result(), "5");
  }
}

TEST_P(Conformance, GivesBackJsonAsItCame) {
  NEEDS("echo");
  const auto echo = program("echo");
  // With the object around them just as deep as params may be.
  const std::size_t arrays = JsonTextLimits{}.depth_max - 1;
  const std::string deep = std::string(arrays, '[') + "1" + std::string(arrays, ']');
  const std::vector<std::string> values = {"{}",
                                           R"({"a":[]})",
                                           R"({"a":null,"b":true,"c":false})",
                                           R"({"a":""})",
                                           R"({"a":"\u0000\n\"\\"})",
                                           R"({"ключ":"значение 😀 é"})",
                                           R"({"n":9007199254740991})",
                                           R"({"n":-9007199254740991})",
                                           R"({"n":0.1})",
                                           R"({"a":)" + deep + "}"};
  for (const std::string& value : values) {
    SCOPED_TRACE(value.substr(0, 80));
    EXPECT_EQ(RunningCall(language(), echo, value).result(), value);
  }
  // Numbers that a language may write in its own way, and must not change.
  for (const std::string& number : {"3.0", "1e308", "9007199254740993", "18446744073709551616"}) {
    const std::string text = fmt::format(R"({{"n":{}}})", number);
    RunningCall call(language(), echo, text);
    if (language().keeps_number_text) {
      EXPECT_EQ(call.result(), text);
    } else {
      double came = 0;
      ASSERT_EQ(std::sscanf(call.result().c_str(), "{\"n\":%lf}", &came), 1) << call.result();
      EXPECT_EQ(came, std::stod(number));
    }
  }
}

TEST_P(Conformance, TakesSixMebibytesAndReturnsThem) {
  NEEDS("echo");
  const std::string params = R"({"a":")" + std::string(6U << 20U, 'p') + R"("})";
  RunningCall call(language(), program("echo"), params);
  EXPECT_TRUE(call.result() == params) << call.result().size();
}

TEST_P(Conformance, SaysWhereAFunctionThrew) {
  NEEDS("throws");
  RunningCall call(language(), program("throws"), "{}");
  const FunctionError& error = call.function_error();
  EXPECT_EQ(error.kind, FunctionError::Kind::kThrew);
  EXPECT_EQ(error.type, language().thrown_type);
  EXPECT_EQ(error.message, language().thrown_message);
  EXPECT_EQ(error.line, known(language().throws_at.line));
  if (language().throws_at.column > 0) EXPECT_EQ(error.column, language().throws_at.column);
  EXPECT_NE(error.stack_trace.find(language().thrown_trace), std::string::npos)
      << error.stack_trace;
}

TEST_P(Conformance, RefusesASourceThatCannotBeLoaded) {
  NEEDS("syntax_error");
  const auto bad = program("syntax_error");
  RunningCall call(language(), bad, "{}");
  if (language().compiled) {
    EXPECT_EQ(call.host_error().code, ErrorCode::kInvalidArgument);
  } else {
    EXPECT_EQ(call.function_error().kind, FunctionError::Kind::kLoadFailed);
    EXPECT_EQ(call.function_error().line, known(language().syntax_error_at.line));
  }

  std::optional<Result<void>> prepared;
  std::atomic<bool> ended = false;
  house().loop(1).post([&] {
    start(house().runtime(language().name).prepare(bad), [&](Result<void> result) {
      prepared = std::move(result);
      ended = true;
      ended.notify_all();
    });
  });
  ended.wait(false);
  ASSERT_FALSE(prepared->has_value());
  EXPECT_EQ(prepared->error().code, ErrorCode::kInvalidArgument);
  const std::string details = language().syntax_error_at.line == 0
                                  ? ""
                                  : fmt::format(R"({{"line": {})", language().syntax_error_at.line);
  EXPECT_TRUE(details.empty() ? prepared->error().details.empty()
                              : prepared->error().details.starts_with(details))
      << prepared->error().details;
}

TEST_P(Conformance, KeepsTheLogInOrderAndBesideTheResult) {
  NEEDS("log_lines");
  const auto lines = program("log_lines");
  for (int round = 0; round < 2; ++round) {
    RunningCall call(language(), lines, R"({"n":1000})");
    EXPECT_EQ(call.result(), "true");
    std::string out;
    std::string err;
    for (int i = 0; i < 1000; ++i) (i % 2 == 0 ? out : err) += fmt::format("line {}\n", i);
    EXPECT_EQ(call.out, out);
    EXPECT_EQ(call.err, err);
  }
}

TEST_P(Conformance, ALineOfAHundredMillionBytesIsCutCountedAndBlocksNothing) {
  for (const char* const kind : {"log", "raw_log"}) {
    SCOPED_TRACE(kind);
    NEEDS(kind);
    auto log = program(kind);
    log->limits.memory_bytes_max = 1U << 30U;
    const bool line_end = std::string_view(kind) == "log";
    RunningCall call(language(), log, R"({"n":100000000})");
    EXPECT_EQ(call.result(), "true");
    EXPECT_EQ(call.out.size(), log->limits.log_bytes_max);
    EXPECT_EQ(call.out.size() + call.wait().stats.log_bytes_dropped,
              100'000'000U + (line_end ? 1 : 0));
    RunningCall next(language(), log, R"({"n":3})");
    EXPECT_EQ(next.result(), "true");
    EXPECT_EQ(next.out, line_end ? "xxx\n" : "xxx") << "the log of the call after it is its own";
  }
}

TEST_P(Conformance, EndsAnEndlessLoopAndTheNextCallIsWell) {
  NEEDS("spin");
  RunningCall call(language(), program("spin"), "{}", {.time = milliseconds(1500)});
  EXPECT_EQ(call.host_error().code, ErrorCode::kDeadlineExceeded);
  RunningCall next(language(), program("echo"), "{}");
  EXPECT_EQ(next.result(), "{}");
}

TEST_P(Conformance, EndsACallWhoseCallerIsGone) {
  NEEDS("spin");
  std::stop_source stop;
  RunningCall call(language(), program("spin"), "{}", {.cancelled = stop.get_token()});
  std::this_thread::sleep_for(milliseconds(200));
  stop.request_stop();
  EXPECT_EQ(call.host_error().code, ErrorCode::kCancelled);
}

TEST_P(Conformance, NamesTheMemoryLimitThatAFunctionPassed) {
  NEEDS("allocate");
  auto allocate = program("allocate");
  allocate->limits.memory_bytes_max = 128U << 20U;
  EXPECT_EQ(RunningCall(language(), allocate, R"({"mib":1})").result(), "true");
  RunningCall call(language(), allocate, R"({"mib":1000})");
  EXPECT_EQ(call.function_error().kind, FunctionError::Kind::kMemoryExceeded)
      << call.function_error().message;
  EXPECT_NE(call.function_error().message.find("128 MiB"), std::string::npos)
      << call.function_error().message;
  EXPECT_EQ(RunningCall(language(), allocate, R"({"mib":1})").result(), "true");
}

TEST_P(Conformance, SaysThatAFunctionEndedItself) {
  NEEDS("exit");
  const auto exits = program("exit");
  for (int round = 0; round < 2; ++round) {
    RunningCall call(language(), exits, "{}");
    EXPECT_EQ(call.function_error().kind, language().ends_alone ? FunctionError::Kind::kThrew
                                                                : FunctionError::Kind::kWorkerDied);
    EXPECT_NE(call.function_error().message.find("code 3"), std::string::npos)
        << call.function_error().message;
  }
}

// Someone else ends the worker while it has a call: whoever looks after the machine, say.
TEST_P(Conformance, AWorkerKilledFromOutsideFailsItsCallAlone) {
  NEEDS_WORKER();
  NEEDS("spin");
  const auto spin = program("spin");
  const std::map<pid_t, nanoseconds> before = house().processor_times();
  RunningCall call(language(), spin, "{}", {.time = seconds(60)});
  // The worker with the call is the one that spins; no other takes as much time.
  std::optional<pid_t> worker;
  while (!worker && !call.ended()) {
    std::this_thread::sleep_for(milliseconds(10));
    worker = house().busy_process(before, milliseconds(500));
  }
  ASSERT_TRUE(worker.has_value()) << call.trouble();
  ASSERT_EQ(::kill(*worker, SIGKILL), 0) << std::strerror(errno);
  EXPECT_EQ(call.function_error().kind, FunctionError::Kind::kWorkerDied);
  EXPECT_NE(call.function_error().message.find("SIGKILL"), std::string::npos)
      << call.function_error().message;
  RunningCall next(language(), program("echo"), R"({"a":1})");
  EXPECT_EQ(next.result(), R"({"a":1})");
  RunningCall again(language(), spin, "{}", {.time = milliseconds(300)});
  EXPECT_EQ(again.host_error().code, ErrorCode::kDeadlineExceeded) << "and the same program runs";
}

TEST_P(Conformance, AWorkerThatTalksNonsenseIsEnded) {
  NEEDS("garbage");
  RunningCall call(language(), program("garbage"), "{}");
  EXPECT_EQ(call.function_error().kind, FunctionError::Kind::kProtocol)
      << call.function_error().message;
  EXPECT_EQ(RunningCall(language(), program("echo"), "{}").result(), "{}");
}

TEST_P(Conformance, AForgedAnswerReachesNoOtherCall) {
  NEEDS("forged");
  const auto forged = program("forged");
  for (int round = 0; round < 3; ++round) {
    RunningCall call(language(), forged, "{}");
    EXPECT_TRUE(!call.completed() || call.result() == "\"forged\"" || call.result() == "\"own\"");
  }
  EXPECT_EQ(RunningCall(language(), program("echo"), R"({"a":1})").result(), R"({"a":1})");
}

TEST_P(Conformance, RefusesAResultThatIsNoJsonOrTooLarge) {
  NEEDS("large_result");
  if (!language().lacks.contains("bad_result")) {
    RunningCall bad(language(), program("bad_result"), "{}");
    EXPECT_EQ(bad.function_error().kind, FunctionError::Kind::kBadResult);
  }
  auto large = program("large_result");
  large->limits.result_bytes_max = 100'000;
  EXPECT_EQ(RunningCall(language(), large, R"({"n":99998})").result().size(), 100'000U);
  RunningCall over(language(), large, R"({"n":99999})");
  EXPECT_EQ(over.function_error().kind, FunctionError::Kind::kBadResult);
  EXPECT_EQ(RunningCall(language(), large, R"({"n":1})").result(), "\"r\"");
}

TEST_P(Conformance, KeepsAProgramWarmAndProgramsApart) {
  NEEDS("identity");
  const auto one = program("identity");
  auto other = program("identity");
  const std::string made = identity(one);
  EXPECT_EQ(identity(one, 1), made) << "called from another loop, the same worker answers";
  EXPECT_NE(identity(other), made);
  EXPECT_EQ(identity(one), made);
  house().runtime(language().name).release(one->id);
  // A release is done in its own time; the next call may still be the old worker's.
  for (int i = 0; i < 100 && identity(one) == made; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_NE(identity(one), made);
}

TEST_P(Conformance, RunsCallsOfOneProgramSideBySideUpToItsLimit) {
  NEEDS("sleep");
  auto sleep = program("sleep");
  sleep->limits.workers_max = 2;
  sleep->limits.concurrency_max = 2;
  sleep->limits.queue_max = 4;
  using Calls = std::vector<std::unique_ptr<RunningCall>>;
  const auto begin = [&](std::size_t count, const std::string& params, const CallOptions& options) {
    Calls calls;
    for (std::size_t i = 0; i < count; ++i) {
      CallOptions own = options;
      own.loop = i;
      calls.push_back(std::make_unique<RunningCall>(language(), sleep, params, own));
    }
    return calls;
  };
  {
    const Calls calls = begin(6, R"({"ms":10})", {.time = seconds(60)});
    for (const auto& call : calls) EXPECT_EQ(call->result(), "\"slept\"");
  }
  // Longer than the test takes, so that no call makes room for another.
  std::stop_source stop;
  const Calls calls =
      begin(12, R"({"ms":120000})", {.time = seconds(60), .cancelled = stop.get_token()});
  const auto over = [](const auto& call) { return call->ended(); };
  while (std::ranges::count_if(calls, over) < 6) std::this_thread::sleep_for(milliseconds(10));
  stop.request_stop();
  const auto ended_as = [&](ErrorCode code) {
    return std::ranges::count_if(calls,
                                 [&](const auto& call) { return call->host_error().code == code; });
  };
  EXPECT_EQ(ended_as(ErrorCode::kUnavailable), 6);
  EXPECT_EQ(ended_as(ErrorCode::kCancelled), 6) << "two ran, four waited";
}

TEST_P(Conformance, ADeadlineCoversTheWaitForAWorker) {
  NEEDS("sleep");
  auto sleep = program("sleep");
  sleep->limits.workers_max = 1;
  if (!language().no_worker.empty()) sleep->limits.concurrency_max = 1;
  // Else both would wait for the loading, and go on in any order.
  EXPECT_EQ(RunningCall(language(), sleep, R"({"ms":0})").result(), "\"slept\"");
  RunningCall first(language(), sleep, R"({"ms":1000})");
  RunningCall second(language(), sleep, R"({"ms":0})", {.time = milliseconds(300)});
  EXPECT_EQ(second.host_error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(first.result(), "\"slept\"");
}

TEST_P(Conformance, ManyProgramsTakeTurnsInFewWorkers) {
  NEEDS("echo");
  std::vector<std::shared_ptr<runtimes::Program>> programs;
  for (int i = 0; i < 24; ++i) programs.push_back(program("echo"));
  std::vector<std::unique_ptr<RunningCall>> calls;
  for (std::size_t i = 0; i < 96; ++i) {
    calls.push_back(std::make_unique<RunningCall>(language(), programs[i % programs.size()],
                                                  fmt::format(R"({{"i":{}}})", i),
                                                  CallOptions{.loop = i, .time = seconds(60)}));
  }
  for (std::size_t i = 0; i < calls.size(); ++i)
    EXPECT_EQ(calls[i]->result(), fmt::format(R"({{"i":{}}})", i));
}

INSTANTIATE_TEST_SUITE_P(Runtimes, Conformance, testing::ValuesIn(languages()),
                         [](const auto& info) { return info.param.name; });

House* the_house = nullptr;

// Last of all: nothing that the tests started may be left.
class LeavesNothing final : public testing::Environment {
 public:
  void TearDown() override {
    for (const std::string& left : the_house->shut_down()) ADD_FAILURE() << "left behind: " << left;
  }
};

}  // namespace

House& house() { return *the_house; }

}  // namespace seam::conformance

int main(int argc, char** argv) {
  // First of all, as in every program that starts workers.
  auto process = seam::process::SpawnerProcess::start({});
  testing::InitGoogleTest(&argc, argv);
  if (!process) {
    std::fprintf(stderr, "%s\n", process.error().message.c_str());
    return 1;
  }
  seam::conformance::House house(*std::move(process));
  seam::conformance::the_house = &house;
  testing::AddGlobalTestEnvironment(new seam::conformance::LeavesNothing);
  return RUN_ALL_TESTS();
}
