// The process of an engine as the server sees it: frames over a socket, here with the other side on
// a thread.
#include "runtimes/wasm/engine_worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "runtimes/worker_messages.h"
#include "runtimes/worker_protocol.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::runtimes {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

struct Frame {
  FrameType type;
  std::string payload;
};

std::string number(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i, value >>= 8U) out.push_back(static_cast<char>(value & 0xFFU));
  return out;
}

std::string text(std::string_view value) { return number(value.size(), 4).append(value); }

// A worker on a thread, and the server's end of its socket.
class TestWorker {
 public:
  TestWorker() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
    server_ = ends[0];
    thread_ = std::thread([this, socket = ends[1]] {
      const auto engine = *wasm::make_wasmtime({.instances_max = kEngineWorkerInstancesMax});
      status_ = serve_engine(socket, *engine);
      ::close(socket);
    });
    EXPECT_EQ(next().type, FrameType::kReady);
  }
  ~TestWorker() { static_cast<void>(end()); }
  TestWorker(const TestWorker&) = delete;
  TestWorker& operator=(const TestWorker&) = delete;

  void send(FrameType type, std::string_view payload) const {
    const std::string bytes =
        number(payload.size() + 1, 4) + static_cast<char>(type) + std::string(payload);
    EXPECT_EQ(::send(server_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  Frame next() const {
    const std::string head = take(5);
    std::size_t size = 0;
    for (int i = 3; i >= 0; --i)
      size = size << 8U | static_cast<unsigned char>(head.at(static_cast<std::size_t>(i)));
    return {static_cast<FrameType>(head[4]), take(size - 1)};
  }
  Frame load(const Program& program) const {
    send(FrameType::kLoad, text(load_header(program, "")) + program.content);
    return next();
  }
  Frame call(std::string_view params, Deadline deadline = Deadline::after(seconds(60))) const {
    send(FrameType::kTimedCall,
         number(static_cast<std::uint64_t>(deadline.at.time_since_epoch().count()), 8) +
             text("call-1") + text(R"({"user_id":"ada"})") + std::string(params));
    return next();
  }
  // What it ends with when the server goes away.
  int end() {
    if (!thread_.joinable()) return status_;
    ::shutdown(server_, SHUT_RDWR);
    thread_.join();
    ::close(server_);
    return status_;
  }

 private:
  std::string take(std::size_t size) const {
    std::string bytes(size, '\0');
    EXPECT_EQ(::recv(server_, bytes.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return bytes;
  }

  int server_ = -1;
  int status_ = -1;
  std::thread thread_;
};

// A reactor that answers what it was given. What `handle` does first is `$act`.
Program reactor_that(const std::string& act) {
  Program program;
  program.language_title = "wasm-test";
  program.content = *wasm::wasm_from_text(R"((module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2 100)
    (func (export "alloc") (param i32) (result i32) i32.const 1024)
    (func (export "handle") (param $at i32) (param $size i32) (result i64))" +
                                          act + R"(
      (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32))
              (i64.extend_i32_u (local.get $size)))))
  )");
  return program;
}

TEST(EngineWorker, LoadsAProgramAndRunsItsCallsInFreshInstances) {
  TestWorker worker;
  Program program = reactor_that(R"(
      (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $size))
      (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
      (i32.store (i32.const 90000) (i32.add (i32.load (i32.const 90000)) (i32.const 1)))
      (if (i32.ne (i32.load (i32.const 90000)) (i32.const 1)) (then unreachable)))");
  program.environment = {{"A", "b \" c"}};
  const Frame loaded = worker.load(program);
  ASSERT_EQ(loaded.type, FrameType::kLoaded) << loaded.payload;
  for (const std::string params : {R"({"a":1})", R"([1,2])"}) {
    const Frame log = worker.call(params);
    EXPECT_EQ(log.type, FrameType::kLog);
    EXPECT_EQ(log.payload, '\1' + params) << "stream 1 is stderr";
    const Frame result = worker.next();
    EXPECT_EQ(result.type, FrameType::kResult) << result.payload;
    EXPECT_EQ(result.payload, params);
  }
  EXPECT_EQ(worker.end(), 0);
}

TEST(EngineWorker, SaysWhatEndedAGuest) {
  TestWorker worker;
  ASSERT_EQ(
      worker
          .load(reactor_that("(if (i32.eq (local.get $size) (i32.const 2)) (then unreachable))"
                             "(loop (br_if 0 (i32.eq (local.get $size) (i32.const 4))))"))
          .type,
      FrameType::kLoaded);
  const Frame trap = worker.call("{}");
  ASSERT_EQ(trap.type, FrameType::kFailure);
  const auto failure = parse_failure(trap.payload, true);
  ASSERT_TRUE(failure) << trap.payload;
  EXPECT_EQ(std::get<FunctionError>(*failure).type, "Trap:Unreachable");
  EXPECT_EQ(std::get<FunctionError>(*failure).kind, FunctionError::Kind::kThrew);

  const Frame late = worker.call("[10]", Deadline::after(milliseconds(50)));
  ASSERT_EQ(late.type, FrameType::kFailure);
  const auto ended = parse_failure(late.payload, true);
  ASSERT_TRUE(ended) << late.payload;
  EXPECT_EQ(std::get<Error>(*ended).code, ErrorCode::kDeadlineExceeded);
  EXPECT_FALSE(parse_failure(late.payload, false)) << "not of a worker that is told no deadline";

  EXPECT_EQ(worker.call("[1]").type, FrameType::kResult) << "and goes on";
}

TEST(EngineWorker, KeepsTheProgramsLimits) {
  TestWorker worker;
  Program program = reactor_that("(memory.grow (i32.const 90)) drop");
  program.limits.memory_bytes_max = 64U << 10U;
  program.limits.result_bytes_max = 4;
  ASSERT_EQ(worker.load(program).type, FrameType::kLoaded);
  const auto failure = parse_failure(worker.call("{}").payload, true);
  ASSERT_TRUE(failure);
  EXPECT_EQ(std::get<FunctionError>(*failure).kind, FunctionError::Kind::kMemoryExceeded);

  TestWorker other;
  program.limits.memory_bytes_max = 1U << 20U;
  ASSERT_EQ(other.load(program).type, FrameType::kLoaded);
  EXPECT_EQ(other.call("[12]").type, FrameType::kResult);
  const auto large = parse_failure(other.call("[123]").payload, true);
  ASSERT_TRUE(large);
  EXPECT_EQ(std::get<FunctionError>(*large).kind, FunctionError::Kind::kBadResult);
}

TEST(EngineWorker, RefusesAModuleThatIsNone) {
  TestWorker worker;
  Program program;
  program.content = "not a module";
  const Frame answer = worker.load(program);
  ASSERT_EQ(answer.type, FrameType::kFailure);
  const auto failure = parse_failure(answer.payload, true);
  ASSERT_TRUE(failure) << answer.payload;
  EXPECT_EQ(std::get<FunctionError>(*failure).kind, FunctionError::Kind::kLoadFailed);
}

TEST(EngineWorker, EndsWhereTheServerSpeaksNonsense) {
  TestWorker before_load;
  before_load.send(FrameType::kTimedCall, "short");
  EXPECT_EQ(before_load.end(), 70);
  TestWorker cut;
  cut.send(FrameType::kLoad, number(1000, 4) + "{}");
  EXPECT_EQ(cut.end(), 70);
  TestWorker untimed;
  untimed.send(FrameType::kCall, text("{}") + "{}");
  EXPECT_EQ(untimed.end(), 70);
}

TEST(EngineWorker, ItsArgumentsComeBack) {
  const EngineTaskArguments wanted{.engine = "wazero",
                                   .mode = "compiled",
                                   .library_folder = "/engine/lib",
                                   .build = "abc",
                                   .task = EngineTask::kVersion};
  const auto read = read_engine_arguments(engine_arguments(wanted));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->engine, "wazero");
  EXPECT_EQ(read->mode, "compiled");
  EXPECT_EQ(read->library_folder, "/engine/lib");
  EXPECT_EQ(read->build, "abc");
  EXPECT_EQ(read->task, EngineTask::kVersion);
  EXPECT_FALSE(read_engine_arguments({}));
  const std::vector<std::string> other = {"run", "wazero", "", "", ""};
  EXPECT_FALSE(read_engine_arguments(other));
}

TEST(WorkerMessages, AFailureComesBackAsItWas) {
  FunctionError error{.kind = FunctionError::Kind::kMemoryExceeded,
                      .type = "T",
                      .message = std::string(100'000, 'm'),
                      .line = {},
                      .column = {},
                      .stack_trace = "  at f"};
  const auto read = parse_failure(format_failure(error), true);
  ASSERT_TRUE(read);
  EXPECT_EQ(std::get<FunctionError>(*read).kind, error.kind);
  EXPECT_EQ(std::get<FunctionError>(*read).type, "T");
  EXPECT_EQ(std::get<FunctionError>(*read).message.size(), 16U << 10U);
  EXPECT_EQ(std::get<FunctionError>(*read).stack_trace, "  at f");
  const auto host =
      parse_failure(format_host_failure({ErrorCode::kInternal, "the engine broke", {}}), true);
  ASSERT_TRUE(host);
  EXPECT_EQ(std::get<Error>(*host).code, ErrorCode::kInternal);
  EXPECT_THAT(std::get<Error>(*host).message, HasSubstr("broke"));
}

}  // namespace
}  // namespace seam::runtimes
