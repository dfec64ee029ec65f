// Real sources, the real compiler, the real sandbox. What every runtime does is in
// tests/conformance.
#include "runtimes/rust/rust_runtime.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <thread>

#include "base/identifier.h"
#include "process/spawner_fixture.h"
#include "runtimes/rust/rust_libraries.h"
#include "runtimes/wasm/wasm_runtime.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::runtimes {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
namespace fs = std::filesystem;

constexpr std::string_view kUses = "use serde_json::{json, Map, Value};\n";
constexpr std::string_view kSignature =
    "pub fn handler(context: Map<String, Value>) -> Result<Value, String> {\n";

// A source whose handler's body begins at line 3.
std::string source_of(std::string_view body) {
  return fmt::format("{}{}{}\n}}\n", kUses, kSignature, body);
}

ProgramPtr program_of(std::string content, ProgramLimits limits = {}) {
  auto program = std::make_shared<Program>();
  program->id = random_uuid();
  program->language_title = "rust-test";
  program->hash = sha256_hex(content);
  program->content = std::move(content);
  program->environment = {{"COLOUR", "blue"}};
  program->limits = limits;
  return program;
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
  [[nodiscard]] FunctionError failure() const {
    if (const auto* error = std::get_if<FunctionError>(&outcome.value)) return *error;
    ADD_FAILURE() << "no function error: " << result;
    return {};
  }
  [[nodiscard]] Error refusal() const {
    if (const auto* error = std::get_if<Error>(&outcome.value)) return *error;
    ADD_FAILURE() << "no refusal: " << result;
    return {};
  }
};

class RustRuntimeTest : public testing::Test {
 protected:
  RustRuntimeTest() {
    thread_ = std::thread([this] { host_.loop.run(); });
    wasm_ = make_wasm_runtime(*wasm::make_wasmtime({.instances_max = 8}), {.instances_max = 4});
  }
  ~RustRuntimeTest() override {
    end_runtime();
    host_.loop.stop();
    thread_.join();
  }

  RustCompilerOptions options() {
    return {.folder = folder_.path() + "/rust", .toolchains = {SEAM_RUST_TOOLCHAIN}};
  }
  void make_runtime(RustOptions options) {
    end_runtime();
    auto made = create_rust_runtime(std::move(options), host_.spawner, *wasm_);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    runtime_ = *std::move(made);
  }
  Runtime& runtime() {
    if (!runtime_) make_runtime({.compiler = options()});
    return *runtime_;
  }

  template <class T>
  T on_loop(const std::function<Task<T>()>& make) {
    std::promise<T> value;
    host_.loop.post([&] { start(make(), [&](T ended) { value.set_value(std::move(ended)); }); });
    return value.get_future().get();
  }
  Ended run(const ProgramPtr& program, std::string_view params = "{}",
            Deadline deadline = Deadline::never(), std::stop_token cancelled = {}) {
    Ended ended;
    const Call call{.call_id = "call-1",
                    .params = params,
                    .context = R"({"user_id":"ada"})",
                    .deadline = deadline,
                    .cancelled = std::move(cancelled)};
    Runtime& on = runtime();
    ended.outcome = on_loop<Outcome>([&] { return on.run(program, call, ended); });
    return ended;
  }
  Ended run_body(std::string_view body, std::string_view params = "{}") {
    return run(program_of(source_of(body)), params);
  }
  Error refused(std::string source) { return run(program_of(std::move(source))).refusal(); }
  std::uint64_t compilers_started() {
    Runtime& on = runtime();
    return on_loop<RuntimeCounts>([&] { return on.counts(); }).started;
  }
  static Task<bool> ended(Runtime& runtime) {
    co_await runtime.shut_down();
    co_return true;
  }
  void end_runtime() {
    if (runtime_) on_loop<bool>([&] { return ended(*runtime_); });
    runtime_.reset();
  }

  process::TestFolder folder_;
  process::TestSpawner host_;
  std::thread thread_;
  std::unique_ptr<Runtime> wasm_;
  std::unique_ptr<Runtime> runtime_;
};

TEST_F(RustRuntimeTest, AHandlerSeesParamsContextAndEnvironment) {
  const Ended ended = run_body(
      "    println!(\"to out\");\n    eprintln!(\"to err\");\n"
      "    Ok(json!([context[\"params\"], context[\"user_id\"], "
      "std::env::var(\"COLOUR\").unwrap(),\n"
      "              std::env::var(\"SEAM_CALL_ID\").unwrap()]))",
      R"({"a":[1,2.50,"é"]})");
  EXPECT_EQ(ended.result, R"([{"a":[1,2.5,"é"]},"ada","blue","call-1"])");
  EXPECT_EQ(ended.out, "to out\n");
  EXPECT_EQ(ended.err, "to err\n");
}

TEST_F(RustRuntimeTest, NumbersAreTheNearestAndNestingAsDeepAsAnyRuntimes) {
  const std::string params =
      R"([18446744073709551615,-9223372036854775808,0.1,122.416294033786585])";
  EXPECT_EQ(run_body("    Ok(context[\"params\"].clone())", params).result,
            R"([18446744073709551615,-9223372036854775808,0.1,122.41629403378658])");
  const std::string deep = std::string(512, '[') + std::string(512, ']');
  EXPECT_EQ(run_body("    Ok(context[\"params\"].clone())", deep).result, deep);
}

TEST_F(RustRuntimeTest, ErrIsAFailureWithItsText) {
  const FunctionError error = run_body("    Err(\"no \\\"such\\\" thing\".to_string())").failure();
  EXPECT_EQ(error.kind, FunctionError::Kind::kThrew);
  EXPECT_EQ(error.message, "no \"such\" thing");
}

TEST_F(RustRuntimeTest, APanicHasItsPlaceAlsoBehindAFullLog) {
  ProgramLimits limits;
  limits.log_bytes_max = 100;
  const Ended ended = run(program_of(source_of("    eprintln!(\"{}\", \"x\".repeat(100_000));\n"
                                               "    let all: Vec<i32> = vec![];\n"
                                               "    Ok(json!(all[3]))"),
                                     limits));
  EXPECT_EQ(ended.failure().type, "panic");
  EXPECT_THAT(ended.failure().message, HasSubstr("index out of bounds"));
  EXPECT_EQ(ended.failure().line, 5);
  EXPECT_EQ(ended.failure().column, 14);
  EXPECT_EQ(ended.err, std::string(100, 'x'));
}

TEST_F(RustRuntimeTest, AnErrorOfTheCompilerIsRefusedWithItsPlaceInTheSource) {
  const Error error = refused(source_of("    let a: i32 = \"x\";\n    Ok(json!(a))"));
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.message, StartsWith("mismatched types [E0308]: expected `i32`"));
  EXPECT_THAT(error.details, StartsWith(R"({"line": 3, "column": 18, )"));
  EXPECT_THAT(error.details, HasSubstr("--> function.rs:3:18"));
  const auto prepared = on_loop<Result<void>>(
      [&] { return runtime().prepare(program_of(source_of("    nonsense"))); });
  ASSERT_FALSE(prepared.has_value());
  EXPECT_THAT(prepared.error().details, StartsWith(R"({"line": 3, "column": 5, )"));
}

TEST_F(RustRuntimeTest, ASourceWithoutTheRightHandlerIsToldWhatIsWanted) {
  for (const std::string_view source :
       {"", "fn handler() {}", "pub fn handler() {}", "pub fn other() {}"}) {
    const Error error = refused(std::string(source));
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.message, HasSubstr("must define `pub fn handler(context: ")) << source;
  }
}

TEST_F(RustRuntimeTest, AnotherEntryThanHandlerIsRefused) {
  auto program = std::make_shared<Program>(*program_of(source_of("    Ok(json!(1))")));
  program->entry = "main";
  EXPECT_EQ(run(program).refusal().message,
            "a function in Rust has no entry but handler: remove 'main'");
}

TEST_F(RustRuntimeTest, WhatCannotBeLinkedOrLoadedIsRefused) {
  EXPECT_THAT(
      refused("#[no_mangle]\npub extern \"C\" fn alloc() {}\n" + source_of("Ok(json!(1))")).message,
      HasSubstr("exports no function alloc of type"));
  EXPECT_THAT(
      refused("extern \"C\" { fn nowhere(); }\n" + source_of("unsafe { nowhere() }; Ok(json!(1))"))
          .message,
      HasSubstr("nowhere"));
  const Error import =
      refused("#[link(wasm_import_module = \"env\")]\nextern \"C\" { fn host(); }\n" +
              source_of("unsafe { host() }; Ok(json!(1))"));
  EXPECT_EQ(import.code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(import.message, HasSubstr("host"));
}

// What a hostile source can ask of the compiler.
TEST_F(RustRuntimeTest, TheCompilerGivesNothingOfTheMachineAway) {
  const std::string secret = folder_.path() + "/secret";
  folder_.write("secret", "the secret");
  for (const std::string& path :
       {secret, std::string("/etc/shadow"), std::string("/root/.bashrc")}) {
    EXPECT_THAT(
        refused(source_of(fmt::format("    Ok(json!(include_str!(\"{}\")))", path))).message,
        HasSubstr("couldn't read"));
  }
  // The one that the sandbox has of its own.
  EXPECT_THAT(run_body("    Ok(json!(include_str!(\"/etc/passwd\")))").result,
              StartsWith("\"worker:x:"));
  EXPECT_THAT(refused(source_of("    Ok(json!(env!(\"SEAM_SECRET\")))")).message,
              HasSubstr("SEAM_SECRET"));
  EXPECT_THAT(refused("#![feature(asm)]\n" + source_of("    Ok(json!(1))")).message,
              HasSubstr("E0554"));
}

TEST_F(RustRuntimeTest, ASourceThatCompilesForEverIsEndedAtItsTime) {
  RustCompilerOptions short_time = options();
  short_time.time_max = seconds(2);
  make_runtime({.compiler = short_time});
  // Grows by powers of three in the type checker.
  std::string source =
      "pub trait T { const N: u128; }\npub struct S<A, B, C>(A, B, C);\n"
      "impl T for () { const N: u128 = 1; }\n"
      "impl<A: T, B: T, C: T> T for S<A, B, C> { const N: u128 = A::N + B::N + C::N; }\n";
  source += "type A0 = ();\n";
  for (int i = 1; i <= 60; ++i)
    source += fmt::format("type A{0} = S<A{1}, A{1}, A{1}>;\n", i, i - 1);
  source += source_of("    Ok(json!(A60::N.to_string()))");
  const Error error = refused(source);
  EXPECT_EQ(error.code, ErrorCode::kDeadlineExceeded) << error.message;
  EXPECT_THAT(error.message, HasSubstr("not compiled within 2 s"));
}

TEST_F(RustRuntimeTest, ASourceThatWantsTooMuchMemoryIsRefused) {
  RustCompilerOptions little = options();
  little.memory_bytes_max = 192U << 20U;
  make_runtime({.compiler = little});
  const Error error = refused("static A: &[u8] = include_bytes!(\"/dev/zero\");\n" +
                              source_of("    Ok(json!(A.len()))"));
  EXPECT_EQ(error.code, ErrorCode::kInvalidArgument) << error.message;
}

TEST_F(RustRuntimeTest, OneSourceIsCompiledOnceHoweverManyAskAndOnceForAllStarts) {
  const std::string source = source_of("    Ok(json!(\"one\"))");
  std::atomic<int> left = 6;
  std::vector<std::unique_ptr<Sink>> sinks;
  const Call call{.call_id = "c",
                  .params = "{}",
                  .context = "{}",
                  .deadline = Deadline::never(),
                  .cancelled = {}};
  Runtime& on = runtime();
  for (int i = 0; i < 6; ++i) {
    sinks.push_back(std::make_unique<Sink>());
    host_.loop.post([&, sink = sinks.back().get()] {
      start(on.run(program_of(source), call, *sink), [&](Outcome) {
        --left;
        left.notify_all();
      });
    });
  }
  for (int seen = left; seen > 0; seen = left) left.wait(seen);
  for (const auto& sink : sinks) EXPECT_EQ(sink->result, "\"one\"");
  EXPECT_EQ(compilers_started(), 1U);

  make_runtime({.compiler = options()});
  EXPECT_EQ(run(program_of(source)).result, "\"one\"");
  EXPECT_EQ(compilers_started(), 0U) << "what an earlier server compiled is used";
}

TEST_F(RustRuntimeTest, AnErrorIsRememberedAndACallerWhoGivesUpLosesNothing) {
  const std::string wrong = source_of("    wrong");
  EXPECT_EQ(refused(wrong), refused(wrong));
  EXPECT_EQ(compilers_started(), 1U);
  const std::string source = source_of("    Ok(json!(\"late\"))");
  EXPECT_EQ(run(program_of(source), "{}", Deadline::after(milliseconds(1))).refusal().code,
            ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(run(program_of(source)).result, "\"late\"");
  EXPECT_EQ(compilers_started(), 2U);
}

TEST_F(RustRuntimeTest, AKeptModuleThatWasTornOrChangedIsCompiledAgain) {
  const std::string source = source_of("    Ok(json!(\"kept\"))");
  EXPECT_EQ(run(program_of(source)).result, "\"kept\"");
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder_.path() + "/rust/modules"))
    files.push_back(entry.path());
  ASSERT_EQ(files.size(), 1U);
  const auto size = fs::file_size(files.front());
  fs::resize_file(files.front(), size / 2);
  make_runtime({.compiler = options()});
  EXPECT_EQ(run(program_of(source)).result, "\"kept\"");
  EXPECT_EQ(compilers_started(), 1U);
  {
    std::fstream file(files.front(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(size - 100));
    file.put('\xff');
  }
  make_runtime({.compiler = options()});
  EXPECT_EQ(run(program_of(source)).result, "\"kept\"");
  EXPECT_EQ(compilers_started(), 1U);
}

TEST_F(RustRuntimeTest, AModuleThatLeftMemoryIsReadAgain) {
  make_runtime({.compiler = options(), .modules_bytes_max = 1});
  const ProgramPtr one = program_of(source_of("    Ok(json!(1))"));
  const ProgramPtr two = program_of(source_of("    Ok(json!(2))"));
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(run(one).result, "1");
    EXPECT_EQ(run(two).result, "2");
  }
  EXPECT_EQ(compilers_started(), 2U);
}

TEST_F(RustRuntimeTest, AResultMayBeAsLargeAsItsLimit) {
  ProgramLimits limits;
  limits.result_bytes_max = 1000;
  const ProgramPtr program = program_of(
      source_of("    Ok(json!(\"r\".repeat(context[\"params\"].as_u64().unwrap() as usize)))"),
      limits);
  EXPECT_EQ(run(program, "998").result.size(), 1000U);
  const FunctionError error = run(program, "999").failure();
  EXPECT_EQ(error.kind, FunctionError::Kind::kBadResult);
  EXPECT_EQ(error.message, "the result is larger than 1000 bytes");
  // One that has the name of an error, and is none.
  EXPECT_EQ(run_body("    Ok(json!({\"seam_error\": \"mine\"}))").result,
            R"({"seam_error":"mine"})");
}

TEST_F(RustRuntimeTest, WithoutAToolchainOnlyWhatIsCompiledRuns) {
  const std::string source = source_of("    Ok(json!(\"before\"))");
  EXPECT_EQ(run(program_of(source)).result, "\"before\"");
  EXPECT_TRUE(runtime().health().up);
  RustCompilerOptions none = options();
  none.toolchains = {folder_.path()};
  make_runtime({.compiler = none});
  EXPECT_FALSE(runtime().health().up);
  EXPECT_FALSE(runtime().health().configured);
  EXPECT_THAT(runtime().health().detail, HasSubstr("/bin/rustc"));
  const Error error = run(program_of(source)).refusal();
  EXPECT_EQ(error.code, ErrorCode::kFailedPrecondition);
  EXPECT_THAT(error.message, HasSubstr("libstd-rust-dev-wasm32"));

  // A source that came with its module needs none.
  static constexpr std::string_view kEmptyModule("\0asm\1\0\0\0", 8);
  none.toolchain_wanted = true;
  none.precompiled = {{sha256_hex("the source"), kEmptyModule}};
  make_runtime({.compiler = none});
  EXPECT_TRUE(runtime().health().configured);
  EXPECT_THAT(refused("the source").message, HasSubstr("exports no"));
}

TEST_F(RustRuntimeTest, TheServersEndEndsACompilation) {
  RustCompilerOptions longest = options();
  longest.time_max = seconds(3600);
  make_runtime({.compiler = longest});
  const std::string source =
      "pub const fn f(n: u64) -> u64 { if n < 2 { n } else { f(n - 1) + f(n - 2) } }\n"
      "pub const A: u64 = f(90);\n";
  static_cast<void>(
      run(program_of(source + source_of("    Ok(json!(A))")), "{}", Deadline::after(seconds(1))));
  end_runtime();  // or the test hangs
}

TEST(RustLibraries, AreWholeOrNotThere) {
  const process::TestFolder folder;
  const std::string kept = folder.path() + "/libraries/one";
  EXPECT_FALSE(is_whole_library_folder(kept));
  ASSERT_TRUE(keep_libraries(kept, {{"liba.rlib", "a"}, {"libb.rlib", "b"}}).has_value());
  EXPECT_TRUE(is_whole_library_folder(kept));
  ASSERT_TRUE(keep_libraries(folder.path() + "/libraries/two", {{"liba.rlib", "a"}}).has_value());
  EXPECT_FALSE(fs::exists(kept)) << "what is of another version goes";
  std::ofstream(folder.path() + "/libraries/two/liba.rlib") << "c";
  EXPECT_FALSE(is_whole_library_folder(folder.path() + "/libraries/two"));
  fs::remove(folder.path() + "/libraries/two/liba.rlib");
  EXPECT_FALSE(is_whole_library_folder(folder.path() + "/libraries/two"));
}

}  // namespace
}  // namespace seam::runtimes
