#include "runtimes/wasm/wasm_runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "base/event_loop.h"
#include "base/identifier.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::runtimes {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

std::unique_ptr<Runtime> make_runtime(WasmOptions options = {}) {
  return make_wasm_runtime(*wasm::make_wasmtime({.instances_max = 32}), std::move(options));
}

Runtime& runtime() {
  static const std::unique_ptr<Runtime> made = make_runtime({.instances_max = 24});
  return *made;
}

ProgramPtr program_of(std::string content, ProgramLimits limits = {}, std::string entry = {}) {
  auto program = std::make_shared<Program>();
  program->id = random_uuid();
  program->language_title = "wasm-test";
  program->hash = sha256_hex(content);
  program->content = std::move(content);
  program->entry = std::move(entry);
  program->limits = limits;
  program->environment = {{"COLOUR", "blue"}};
  return program;
}

std::string from_text(std::string_view text) {
  wasm::Outcome<std::string> bytes = wasm::wasm_from_text(text);
  EXPECT_TRUE(bytes) << bytes.error().message;
  return bytes.value_or("");
}

std::string guest_file(const std::string& name) {
  std::ifstream file(fs::path(SEAM_GUESTS) / (name + ".wasm"), std::ios::binary);
  EXPECT_TRUE(file) << name;
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

struct Sink : CallSink {
  void on_result(std::string_view chunk) override { result += chunk; }
  void on_log(LogStream stream, std::string_view bytes) override {
    (stream == LogStream::kStdout ? out : err) += bytes;
  }
  std::string result;
  std::string out;
  std::string err;
};

struct Ended : Sink {
  Outcome outcome;
  [[nodiscard]] bool completed() const { return std::holds_alternative<Completed>(outcome.value); }
  [[nodiscard]] FunctionError failure() const {
    if (const auto* error = std::get_if<FunctionError>(&outcome.value)) return *error;
    ADD_FAILURE() << "no function error";
    return {};
  }
  [[nodiscard]] ErrorCode host_code() const {
    const auto* error = std::get_if<Error>(&outcome.value);
    return error == nullptr ? ErrorCode::kUnknown : error->code;
  }
};

template <class T>
T on_a_loop(const std::function<Task<T>()>& make) {
  EventLoop loop("test");
  std::optional<T> value;
  loop.post([&] {
    start(make(), [&](T ended) {
      value.emplace(std::move(ended));
      loop.stop();
    });
  });
  loop.run();
  return *std::move(value);
}

struct CallOptions {
  Deadline deadline = Deadline::after(seconds(30));
  std::stop_token cancelled = {};
  Runtime* on = &runtime();
};

Ended run(const ProgramPtr& program, std::string_view params, const CallOptions& options = {}) {
  Sink sink;
  const Call call{.call_id = "call-1",
                  .params = params,
                  .context = R"({"user_id":"ada"})",
                  .deadline = options.deadline,
                  .cancelled = options.cancelled};
  Outcome outcome = on_a_loop<Outcome>([&] { return options.on->run(program, call, sink); });
  Ended ended;
  static_cast<Sink&>(ended) = std::move(sink);
  ended.outcome = std::move(outcome);
  return ended;
}

Result<void> prepare(const ProgramPtr& program) {
  return on_a_loop<Result<void>>([&] { return runtime().prepare(program); });
}

// A reactor whose handle does what is given and whose params lie at 1024.
std::string reactor(std::string_view handle, std::string_view more = "") {
  return from_text(
      "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
      "(memory (export \"memory\") 2)"
      "(func (export \"alloc\") (param i32) (result i32) (i32.const 1024))" +
      std::string(more) + "(func $handle (export \"handle\") (param i32 i32) (result i64) " +
      std::string(handle) + "))");
}

constexpr std::string_view kEcho =
    "(i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u "
    "(local.get 1)))";
constexpr std::string_view kSpin = "(loop $l (br $l)) (i64.const 0)";

TEST(WasmRuntime, AReactorGetsParamsAndGivesTheResultAsItWroteIt) {
  const ProgramPtr program = program_of(reactor(kEcho));
  for (const std::string_view params :
       {"{}", "3.0", R"({"a":18446744073709551616})", R"("\u00e9")"}) {
    const Ended ended = run(program, params);
    ASSERT_TRUE(ended.completed());
    EXPECT_EQ(ended.result, params);
    EXPECT_EQ(ended.outcome.stats.memory_bytes, 131072U);
  }
}

TEST(WasmRuntime, OnlyTheFirstCallIsACold) {
  const ProgramPtr program = program_of(reactor(kEcho));
  EXPECT_TRUE(run(program, "{}").outcome.stats.cold_start);
  EXPECT_FALSE(run(program, "{}").outcome.stats.cold_start);
  runtime().release(program->id);
  EXPECT_TRUE(run(program, "{}").outcome.stats.cold_start);
}

TEST(WasmRuntime, EachCallHasAFreshInstance) {
  const ProgramPtr program = program_of(
      reactor("(i32.store8 (i32.const 2048) (i32.add (i32.load8_u (i32.const 2048)) (i32.const 1)))"
              "(i64.const 0x80000000001)",
              "(data (i32.const 2048) \"0\")"));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(run(program, "{}").result, "1");
}

TEST(WasmRuntime, TheDocumentedCommandWorks) {
  const Ended ended = run(program_of(guest_file("example-greet_command")), R"({"name":"Ada"})");
  ASSERT_TRUE(ended.completed());
  EXPECT_EQ(ended.result, R"({"received":{"name":"Ada"}})");
  EXPECT_EQ(ended.err, "got 14 bytes\n");
}

TEST(WasmRuntime, TheDocumentedReactorWorks) {
  const Ended ended = run(program_of(guest_file("example-greet_reactor")), R"({"name":"Ada"})");
  ASSERT_TRUE(ended.completed());
  EXPECT_EQ(ended.result, R"({"received":{"name":"Ada"}})");
}

TEST(WasmRuntime, TextStatsCountsAsWcAndSha256sumDo) {
  const ProgramPtr program = program_of(guest_file("wasm-text_stats"));
  EXPECT_EQ(run(program,
                R"({"other":["text",{"text":"}"}],"text":"one two\n\u00e9\ud83d\ude00 \"x\"\n"})")
                .result,
            R"({"lines":2,"words":4,"bytes":19,"characters":15,)"
            R"("sha256":")" +
                sha256_hex("one two\n\u00e9\U0001F600 \"x\"\n") + R"(","crc32":"450762b2"})");
  EXPECT_THAT(run(program, R"({"text":""})").result,
              HasSubstr("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\","
                        "\"crc32\":\"00000000\""));
  const std::string large(5'000'000, 'a');
  EXPECT_THAT(run(program, "{\"text\":\"" + large + "\"}").result, HasSubstr(sha256_hex(large)));
  const Ended refused = run(program, R"({"texts":1})");
  EXPECT_THAT(refused.failure().message, HasSubstr("exited with code 1: text_stats: give"));
}

TEST(WasmRuntime, PrepareNamesWhatIsMissing) {
  const auto message = [](const std::string& content) {
    const Result<void> prepared = prepare(program_of(content));
    EXPECT_FALSE(prepared);
    if (prepared) return std::string();
    EXPECT_EQ(prepared.error().code, ErrorCode::kInvalidArgument);
    return prepared.error().message;
  };
  EXPECT_THAT(message("(module)"), HasSubstr(""));
  EXPECT_THAT(message(from_text("(module)")),
              HasSubstr("exports no function handle of type (i32, i32) -> i64"));
  EXPECT_THAT(message(from_text(
                  "(module (func (export \"handle\") (param i32 i32) (result i64) i64.const 0))")),
              HasSubstr("exports no function alloc"));
  EXPECT_THAT(
      message(from_text("(module (func (export \"alloc\") (param i32) (result i32) i32.const 0)"
                        "(func (export \"handle\") (param i32 i32) (result i64) i64.const 0))")),
      HasSubstr("exports no memory named memory"));
  EXPECT_THAT(message(from_text("(module (func (export \"_start\") (param i32)))")),
              HasSubstr("exports _start as (i32) -> (); it must be () -> ()"));
  EXPECT_THAT(
      message(from_text("(module (import \"env\" \"x\" (func)) (func (export \"_start\")))")),
      HasSubstr("imports env.x, which is not offered"));
  EXPECT_TRUE(prepare(program_of(reactor(kEcho))));
  EXPECT_EQ(run(program_of("junk"), "{}").failure().kind, FunctionError::Kind::kLoadFailed);
}

TEST(WasmRuntime, AnEntryNamesAnotherExport) {
  const ProgramPtr program =
      program_of(reactor("unreachable", "(func (export \"other\") (param i32 i32) (result i64) " +
                                            std::string(kEcho) + ")"),
                 {}, "other");
  EXPECT_EQ(run(program, "[1]").result, "[1]");
}

TEST(WasmRuntime, ATrapIsTheFunctionsErrorWithItsBacktrace) {
  const FunctionError error = run(program_of(reactor("unreachable")), "{}").failure();
  EXPECT_EQ(error.kind, FunctionError::Kind::kThrew);
  EXPECT_EQ(error.type, "Trap:Unreachable");
  EXPECT_THAT(error.stack_trace, HasSubstr("at handle (function "));
}

TEST(WasmRuntime, ExitsOfAReactorAndOfACommand) {
  EXPECT_EQ(
      run(program_of(reactor("(call $exit (i32.const 3)) (i64.const 0)")), "{}").failure().message,
      "exited with code 3");
  const auto command = [](int code, std::string_view out) {
    return program_of(from_text(
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
        "(import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) "
        "(result i32)))"
        "(memory (export \"memory\") 1) (data (i32.const 0) \"\\10\\00\\00\\00\\" +
        std::string(1, "0123456789abcdef"[out.size() / 16]) +
        std::string(1, "0123456789abcdef"[out.size() % 16]) +
        "\\00\\00\\00\") (data (i32.const 16) \"" + std::string(out) +
        "\") (func (export \"_start\") (drop (call $write (i32.const 1) (i32.const 0) (i32.const "
        "1) (i32.const 8)))"
        "(call $exit (i32.const " +
        std::to_string(code) + "))))"));
  };
  EXPECT_EQ(run(command(0, " [true] "), "{}").result, "[true]");
  EXPECT_EQ(run(command(2, "[true]"), "{}").failure().type, "Exit");
  EXPECT_EQ(run(command(0, "nope"), "{}").failure().kind, FunctionError::Kind::kBadResult);
}

TEST(WasmRuntime, ResultsThatAreNoJsonOrLieOutsideOrAreTooLarge) {
  EXPECT_EQ(run(program_of(reactor("(i64.const 0)")), "{}").failure().kind,
            FunctionError::Kind::kBadResult);
  EXPECT_THAT(run(program_of(reactor("(i64.const -1)")), "{}").failure().message,
              HasSubstr("outside its memory"));
  const FunctionError large =
      run(program_of(reactor(kEcho), {.result_bytes_max = 10}), R"("12345678")"
                                                                " ")
          .failure();
  EXPECT_EQ(large.kind, FunctionError::Kind::kBadResult);
  EXPECT_EQ(large.message, "the result is larger than 10 bytes");
  EXPECT_EQ(run(program_of(reactor(kEcho), {.result_bytes_max = 10}), R"("12345678")").result,
            R"("12345678")");
}

TEST(WasmRuntime, MemoryLimits) {
  const ProgramLimits small{.memory_bytes_max = 1 << 16};
  EXPECT_EQ(run(program_of(reactor(kEcho), small), "{}").failure().kind,
            FunctionError::Kind::kMemoryExceeded);
  const ProgramLimits more{.memory_bytes_max = 64 << 16};
  const std::string greedy = reactor(
      "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable");
  EXPECT_EQ(run(program_of(greedy, more), "{}").failure().kind,
            FunctionError::Kind::kMemoryExceeded);
}

TEST(WasmRuntime, ASpinningGuestEndsAtItsDeadlineAndTheNextCallIsFine) {
  const ProgramPtr program = program_of(reactor(
      "(if (i32.eq (local.get 1) (i32.const 2)) (then (loop $l (br $l)))) " + std::string(kEcho)));
  EXPECT_EQ(run(program, "{}", {.deadline = Deadline::after(milliseconds(50))}).host_code(),
            ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(run(program, "123").result, "123");
}

TEST(WasmRuntime, ACancelledCallEnds) {
  std::stop_source source;
  const ProgramPtr program = program_of(reactor(kSpin));
  std::jthread canceller([&] {
    std::this_thread::sleep_for(milliseconds(30));
    source.request_stop();
  });
  EXPECT_EQ(run(program, "{}", {.cancelled = source.get_token()}).host_code(),
            ErrorCode::kCancelled);
}

TEST(WasmRuntime, ASleepingGuestGoesOnAndObeysItsDeadline) {
  // Sleeps 30 ms on the monotonic clock, then echoes.
  const std::string sleeper = from_text(
      "(module (import \"wasi_snapshot_preview1\" \"poll_oneoff\" (func $poll (param i32 i32 i32 "
      "i32) (result i32)))"
      "(memory (export \"memory\") 1)"
      "(func (export \"alloc\") (param i32) (result i32) (i32.const 1024))"
      "(func (export \"handle\") (param i32 i32) (result i64)"
      "  (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 30000000))"
      "  (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))" +
      std::string(kEcho) + "))");
  const ProgramPtr program = program_of(sleeper);
  const MonotonicTime begun = MonotonicClock::now();
  EXPECT_EQ(run(program, "{}").result, "{}");
  EXPECT_GE(MonotonicClock::now() - begun, milliseconds(30));
  EXPECT_EQ(run(program, "{}", {.deadline = Deadline::after(milliseconds(10))}).host_code(),
            ErrorCode::kDeadlineExceeded);
}

// Goal: a loop goes on while guests spin. Method: more spinners than compute threads, and a quick
// call meanwhile.
TEST(WasmRuntime, SpinningGuestsHoldNeitherTheLoopNorEachOther) {
  const ProgramPtr spinner = program_of(reactor(kSpin), {.concurrency_max = 8});
  const ProgramPtr quick = program_of(reactor(kEcho));
  ASSERT_TRUE(prepare(spinner));
  ASSERT_TRUE(prepare(quick));
  EventLoop loop("test");
  std::vector<std::string> order;
  Sink sinks[5];
  const Deadline deadline = Deadline::after(milliseconds(300));
  const Call spin{
      .call_id = "a", .params = "{}", .context = "{}", .deadline = deadline, .cancelled = {}};
  const Call echo{.call_id = "b", .params = "{}", .context = "{}", .deadline = {}, .cancelled = {}};
  loop.post([&] {
    for (int i = 0; i < 4; ++i) {
      start(runtime().run(spinner, spin, sinks[i]), [&](const Outcome&) {
        order.emplace_back("spinner");
        if (order.size() == 5) loop.stop();
      });
    }
    start(runtime().run(quick, echo, sinks[4]),
          [&](const Outcome&) { order.emplace_back("quick"); });
  });
  loop.run();
  EXPECT_EQ(order, (std::vector<std::string>{"quick", "spinner", "spinner", "spinner", "spinner"}));
}

TEST(WasmRuntime, CallsOverTheBoundWaitAndThoseOverTheQueueAreRefused) {
  const ProgramPtr program = program_of(reactor(kSpin), {.concurrency_max = 1, .queue_max = 1});
  ASSERT_TRUE(prepare(program));
  EventLoop loop("test");
  std::vector<ErrorCode> codes;
  Sink sinks[3];
  const Call call{.call_id = "a",
                  .params = "{}",
                  .context = "{}",
                  .deadline = Deadline::after(milliseconds(100)),
                  .cancelled = {}};
  loop.post([&] {
    for (Sink& sink : sinks) {
      start(runtime().run(program, call, sink), [&](const Outcome& outcome) {
        codes.push_back(std::get<Error>(outcome.value).code);
        if (codes.size() == 3) loop.stop();
      });
    }
  });
  loop.run();
  EXPECT_EQ(codes, (std::vector{ErrorCode::kUnavailable, ErrorCode::kDeadlineExceeded,
                                ErrorCode::kDeadlineExceeded}));
}

TEST(WasmRuntime, CompiledCodeIsTakenFromDiskAndMadeAnewWhenDamaged) {
  const fs::path folder = fs::temp_directory_path() / ("seam-wasm-" + random_uuid());
  const ProgramPtr program = program_of(reactor(kEcho));
  const auto files = [&] {
    return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
  };
  const auto runs = [&] {
    const std::unique_ptr<Runtime> made = make_runtime({.cache_folder = folder});
    return run(program, "[7]", {.on = made.get()}).result == "[7]";
  };
  EXPECT_TRUE(runs());
  ASSERT_EQ(files(), 1);
  const fs::path file = fs::directory_iterator(folder)->path();
  const auto written = fs::last_write_time(file);
  EXPECT_TRUE(runs());
  EXPECT_EQ(fs::last_write_time(file), written);
  fs::resize_file(file, fs::file_size(file) / 2);
  EXPECT_TRUE(runs());
  EXPECT_NE(fs::last_write_time(file), written);
  fs::remove_all(folder);
}

TEST(WasmRuntime, ModulesOverTheMemoryBoundAreForgotten) {
  const std::unique_ptr<Runtime> made = make_runtime({.modules_bytes_max = 1});
  const ProgramPtr first = program_of(reactor(kEcho));
  const ProgramPtr second = program_of(reactor(kEcho, "(func)"));
  EXPECT_TRUE(run(first, "{}", {.on = made.get()}).outcome.stats.cold_start);
  EXPECT_FALSE(run(first, "{}", {.on = made.get()}).outcome.stats.cold_start);
  EXPECT_TRUE(run(second, "{}", {.on = made.get()}).outcome.stats.cold_start);
  EXPECT_TRUE(run(first, "{}", {.on = made.get()}).outcome.stats.cold_start);
}

TEST(WasmRuntime, ManyLoopsShareOneProgram) {
  const ProgramPtr program = program_of(reactor(kEcho), {.concurrency_max = 2});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) EXPECT_EQ(run(program, "[1]").result, "[1]");
    });
  }
}

}  // namespace
}  // namespace seam::runtimes
