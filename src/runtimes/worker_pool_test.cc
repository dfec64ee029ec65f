// The pool with processes that are real and speak the worker protocol, but do as their params say:
// what no honest harness does is tried here. They are started without a sandbox; with it, and with
// the real harnesses, it is all tried once more in tests/conformance.
#include "runtimes/worker_pool.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace seam::runtimes {
namespace {

constexpr const char* kWorker = R"(
import os, struct, json, time
def send(t, p):
    d = struct.pack('<IB', len(p) + 1, t) + p
    while d: d = d[os.write(3, d):]
def take(n):
    d = b''
    while len(d) < n:
        c = os.read(3, n - len(d))
        if not c: os._exit(0)
        d += c
    return d
send(0x80, b'{}')
while True:
    n, t = struct.unpack('<IB', take(5))
    p = take(n - 1)
    h = struct.unpack('<I', p[:4])[0]
    head, body = p[4:4 + h], p[4 + h:]
    if t == 1:
        source = body
        if source == b'bad':
            send(0x83, b'{"kind":"load","type":"SyntaxError","message":"no","line":3,"column":7}')
        else:
            send(0x81, b'{}')
        continue
    q = json.loads(body)
    for act in q.get('acts', []):
        k, v = act
        if k == 'sleep': time.sleep(v)
        if k == 'exit': os._exit(v)
        if k == 'raw': os.write(3, bytes.fromhex(v))
        if k == 'log': send(0x84, bytes([v[0]]) + v[1].encode())
        if k == 'print': os.write(1, v.encode())
        if k == 'flood':
            for i in range(v): os.write(1, b'x' * 65536)
        if k == 'close': os.close(3); time.sleep(60)
        if k == 'abort': os.write(2, b'JavaScript heap out of memory'); os.abort()
    send(0x82, json.dumps({'pid': os.getpid(), 'echo': q.get('echo')}).encode())
)";

class PlainLauncher final : public WorkerLauncher {
 public:
  [[nodiscard]] Result<std::string> program() const override {
    return fail(ErrorCode::kNotFound, "there is no /usr/bin/nothing");
  }
  [[nodiscard]] Task<Result<process::SpawnedWorker>> launch(std::string folder) override {
    if (!folder.empty()) {
      const std::lock_guard lock(mutex);
      folders.push_back(folder);
    }
    if (folder.starts_with("/no/"))
      co_return fail(ErrorCode::kFailedPrecondition,
                     "bind " + folder + ": No such file or directory");
    if (broken) co_return fail(ErrorCode::kUnavailable, "no more processes");
    std::array<int, 2> sockets{};
    std::array<int, 2> pipes{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()), 0);
    EXPECT_EQ(::pipe2(pipes.data(), O_CLOEXEC), 0);
    ::fcntl(sockets[0], F_SETFL, O_NONBLOCK);
    ::fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    // By way of a high number: dup2 onto itself would leave close-on-exec set.
    ::posix_spawn_file_actions_adddup2(&actions, sockets[1], 900);
    ::posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
    ::posix_spawn_file_actions_adddup2(&actions, pipes[1], 2);
    ::posix_spawn_file_actions_adddup2(&actions, 900, 3);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, 4);
    const std::string script =
        mute ? "import time; print('I am stuck', flush=True); raise SystemExit(7)" : kWorker;
    const std::array<const char*, 6> argv = {"/usr/bin/python3", "-I",   "-S", "-c",
                                             script.c_str(),     nullptr};
    const std::array<const char*, 1> environment = {nullptr};
    pid_t pid = -1;
    const int error =
        ::posix_spawn(&pid, argv[0], &actions, nullptr, const_cast<char* const*>(argv.data()),
                      const_cast<char* const*>(environment.data()));
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(sockets[1]);
    ::close(pipes[1]);
    EXPECT_EQ(error, 0);
    process::SpawnedWorker worker;
    worker.pid = pid;
    worker.socket = FileDescriptor(sockets[0]);
    worker.output = FileDescriptor(pipes[0]);
    worker.pidfd = FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    const std::lock_guard lock(mutex);
    worker.id = ++next_id;
    pids[worker.id] = pid;
    co_return worker;
  }
  [[nodiscard]] std::string seen_folder(const std::string& folder) const override {
    return folder + "/seen";
  }
  [[nodiscard]] Task<> shut_down() override { co_return; }
  [[nodiscard]] Task<Result<void>> set_memory_limit(std::uint64_t, std::uint64_t bytes) override {
    limits_set.push_back(bytes);
    co_return Result<void>();
  }
  [[nodiscard]] Task<process::WorkerExit> reap(std::uint64_t id) override {
    pid_t pid = 0;
    {
      const std::lock_guard lock(mutex);
      pid = pids.at(id);
      pids.erase(id);
    }
    ::kill(pid, SIGKILL);
    process::WorkerExit exit;
    EXPECT_EQ(::waitpid(pid, &exit.status, 0), pid);
    co_return exit;
  }
  [[nodiscard]] Task<std::uint64_t> memory_bytes(std::uint64_t) override { co_return memory; }

  std::atomic<bool> broken = false;
  std::atomic<bool> mute = false;
  std::atomic<std::uint64_t> memory = 1U << 20U;
  std::vector<std::uint64_t> limits_set;
  std::vector<std::string> folders;  // that workers were started with
  std::mutex mutex;
  std::map<std::uint64_t, pid_t> pids;
  std::uint64_t next_id = 0;
};

struct Kept final : CallSink {
  void on_result(std::string_view chunk) override {
    result += chunk;
    thread = std::this_thread::get_id();
  }
  void on_log(LogStream stream, std::string_view bytes) override {
    (stream == LogStream::kStdout ? out : err) += bytes;
    EXPECT_TRUE(thread == std::thread::id() || thread == std::this_thread::get_id());
  }
  std::string result;
  std::string out;
  std::string err;
  std::thread::id thread;
};

// A call that runs by itself.
struct Running {
  explicit Running(std::string params_, milliseconds time = milliseconds(20'000))
      : params(std::move(params_)) {
    call = {.call_id = "c",
            .params = params,
            .context = "{}",
            .deadline = Deadline::after(time),
            .cancelled = stop.get_token()};
  }
  std::string params;
  std::stop_source stop;
  Call call;
  Kept sink;
  std::optional<Outcome> outcome;
  int pid() const {
    int value = 0;
    EXPECT_EQ(std::sscanf(sink.result.c_str(), "{\"pid\": %d", &value), 1) << sink.result;
    return value;
  }
  [[nodiscard]] const FunctionError& error() const {
    return std::get<FunctionError>(outcome->value);
  }
  [[nodiscard]] const Error& host_error() const { return std::get<Error>(outcome->value); }
};

std::string acts(std::string_view list) { return fmt::format(R"({{"acts": [{}]}})", list); }

class Pool : public testing::Test {
 protected:
  void open(PoolLimits limits = {.warm_per_loop = 0}) {
    auto plain = std::make_unique<PlainLauncher>();
    launcher = plain.get();
    const std::array<EventLoop*, 1> loops = {&loop};
    pool = std::make_unique<WorkerPool>(
        WorkerPoolOptions{.name = "test",
                          .kind = {.ending_words = "exit() ends",
                                   .install_remedy = "install it",
                                   .is_memory_failure = [](const FunctionError&) { return false; },
                                   .is_memory_end =
                                       [](std::string_view tail) {
                                         return tail.find("heap out of memory") !=
                                                std::string_view::npos;
                                       }},
                          .limits = limits},
        std::move(plain), loops);
  }
  void TearDown() override {
    if (!pool) return;
    bool down = false;
    loop.post([&] { seam::start(pool->shut_down(), [&] { down = true; }); });
    until([&] { return down; });
    EXPECT_TRUE(launcher->pids.empty()) << "a worker was left";
  }
  template <class Condition>
  void until(Condition condition) {
    while (!condition()) {
      if (!loop.poll()) std::this_thread::sleep_for(milliseconds(1));
    }
  }
  void begin(Running& running, const ProgramPtr& program) {
    // Off this stack, as a server's calls come.
    loop.post([this, &running, program] {
      seam::start(pool->run(program, running.call, running.sink),
                  [&running](Outcome outcome) { running.outcome = std::move(outcome); });
    });
  }
  void run(Running& running, const ProgramPtr& program) {
    begin(running, program);
    until([&] { return running.outcome.has_value(); });
  }
  int pid_of(const ProgramPtr& program) {
    Running running("{}");
    run(running, program);
    return running.pid();
  }
  PoolCounts counts() {
    std::optional<PoolCounts> counts;
    loop.post([&] { seam::start(pool->counts(), [&](PoolCounts c) { counts = c; }); });
    until([&] { return counts.has_value(); });
    return *counts;
  }
  static std::shared_ptr<Program> program(std::string id) {
    auto made = std::make_shared<Program>();
    made->id = id;
    made->tenant = "t-" + id;
    made->content = "good";
    return made;
  }

  EventLoop loop{"test"};
  PlainLauncher* launcher = nullptr;
  std::unique_ptr<WorkerPool> pool;
};

TEST_F(Pool, TakesAProgramsWorkerAgainAndNeverForAnother) {
  open({.warm_per_loop = 1});
  const ProgramPtr a = program("a");
  const ProgramPtr b = program("b");
  const int pid_a = pid_of(a);
  const int pid_b = pid_of(b);
  EXPECT_NE(pid_a, pid_b);
  EXPECT_EQ(pid_of(a), pid_a);
  EXPECT_EQ(pid_of(b), pid_b);
  Running warm("{}");
  run(warm, a);
  EXPECT_FALSE(warm.outcome->stats.cold_start);
  EXPECT_EQ(warm.outcome->stats.start_time.count(), 0);
  EXPECT_GT(warm.outcome->stats.run_time.count(), 0);
}

TEST_F(Pool, EndsACallAtItsDeadlineAndTheNextHasAFreshWorker) {
  open();
  const ProgramPtr a = program("a");
  const int before = pid_of(a);
  Running slow(acts(R"(["log", [0, "half"]], ["sleep", 60])"), milliseconds(150));
  run(slow, a);
  EXPECT_EQ(slow.host_error().code, ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(slow.sink.out, "half") << "what it printed until then is kept";
  EXPECT_NE(pid_of(a), before);
}

TEST_F(Pool, EndsACancelledCallWhetherItRunsOrWaits) {
  open();
  auto a = program("a");
  a->limits.workers_max = 1;
  Running first(acts(R"(["sleep", 60])"));
  Running second("{}");
  begin(first, a);
  begin(second, a);
  until([&] { return counts().running == 1; });
  second.stop.request_stop();
  until([&] { return second.outcome.has_value(); });
  EXPECT_EQ(second.host_error().code, ErrorCode::kCancelled);
  first.stop.request_stop();
  until([&] { return first.outcome.has_value(); });
  EXPECT_EQ(first.host_error().code, ErrorCode::kCancelled);
}

TEST_F(Pool, RefusesWhatItsQueueCannotHoldAndServesInOrder) {
  open();
  auto a = program("a");
  a->limits.workers_max = 1;
  a->limits.queue_max = 2;
  Running first(acts(R"(["sleep", 0.05])"));
  Running second("{}");
  Running third("{}");
  Running fourth("{}");
  for (Running* running : {&first, &second, &third, &fourth}) begin(*running, a);
  until([&] { return third.outcome.has_value() && fourth.outcome.has_value(); });
  EXPECT_EQ(fourth.host_error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(fourth.host_error().message,
            "every worker of this function is busy and its queue of 2 is full: retry later");
  ASSERT_TRUE(first.outcome && second.outcome) << "the third ended before them";
  EXPECT_EQ(first.pid(), third.pid());
  EXPECT_GT(third.outcome->stats.queue_time + third.outcome->stats.start_time, milliseconds(45));
}

TEST_F(Pool, GrowsWhileCallsWaitUpToTheProgramsLimit) {
  open({.warm_per_loop = 0, .starts_at_once_max = 4});
  auto a = program("a");
  a->limits.workers_max = 3;
  std::vector<std::unique_ptr<Running>> all;
  for (int i = 0; i < 6; ++i) {
    all.push_back(std::make_unique<Running>(acts(R"(["sleep", 0.3])")));
    begin(*all.back(), a);
  }
  std::size_t most = 0;
  until([&] {
    most = std::max(most, counts().running);
    return std::ranges::all_of(all, [](const auto& r) { return r->outcome.has_value(); });
  });
  EXPECT_EQ(most, 3U);
}

TEST_F(Pool, EndsAWorkerThatTalksNonsense) {
  open();
  const ProgramPtr a = program("a");
  const std::array<std::string, 9> cases = {
      acts(R"(["raw", "0000000082"])"),       // length 0
      acts(R"(["raw", "ffffffff82"])"),       // over every limit
      acts(R"(["raw", "020000000141"])"),     // a frame of the server's
      acts(R"(["raw", "030000007f4141"])"),   // an unknown type
      acts(R"(["raw", "03000000827b5d"])"),   // a result that is not JSON
      acts(R"(["raw", "0300000080 7b7d"])"),  // ready, out of turn
      acts(R"(["raw", "0300000083 7b7d"])"),  // a failure without a kind
      acts(R"(["raw", "0300000084 0941"])"),  // a log of an unknown stream
      acts(R"(["close", 0])"),
  };
  for (const std::string& params : cases) {
    Running bad(params);
    run(bad, a);
    ASSERT_TRUE(std::holds_alternative<FunctionError>(bad.outcome->value)) << params;
    EXPECT_EQ(bad.error().kind, FunctionError::Kind::kProtocol) << params;
    EXPECT_TRUE(bad.error().message.starts_with("the worker was ended because it sent the server "))
        << bad.error().message;
    pid_of(a);
  }
}

TEST_F(Pool, AnAnswerBesidesTheHarnessEndsTheWorkerAfterTheCall) {
  open();
  const ProgramPtr a = program("a");
  const int before = pid_of(a);
  Running twice(acts(R"(["raw", "03000000827b7d03000000827b7d"])"));
  run(twice, a);
  EXPECT_TRUE(std::holds_alternative<Completed>(twice.outcome->value));
  EXPECT_NE(pid_of(a), before);
}

TEST_F(Pool, SaysHowAWorkerEnded) {
  open();
  const ProgramPtr a = program("a");
  Running exits(acts(R"(["exit", 3])"));
  run(exits, a);
  EXPECT_EQ(exits.error().kind, FunctionError::Kind::kWorkerDied);
  EXPECT_EQ(exits.error().message,
            "the worker ended with exit code 3 during the call: exit() ends it, return a value "
            "instead");
  Running out_of_memory(acts(R"(["abort", 0])"));
  run(out_of_memory, a);
  EXPECT_EQ(out_of_memory.error().kind, FunctionError::Kind::kMemoryExceeded);
  EXPECT_EQ(out_of_memory.error().message,
            "the function passed its memory limit of 256 MiB and its worker was ended");
  Running killed(acts(R"(["log", [1, "x"]], ["sleep", 60])"));
  begin(killed, a);
  until([&] { return !killed.sink.err.empty(); });
  ::kill(launcher->pids.rbegin()->second, SIGSEGV);
  until([&] { return killed.outcome.has_value(); });
  EXPECT_EQ(killed.error().kind, FunctionError::Kind::kWorkerDied);
  EXPECT_EQ(killed.error().message, "the worker was killed by signal 11 (SIGSEGV) during the call");
  pid_of(a);
}

TEST_F(Pool, KeepsOutputOfDescriptorOneWithItsCallUpToTheLimit) {
  open();
  auto a = program("a");
  a->limits.log_bytes_max = 100'000;
  Running flood(acts(R"(["print", "first "], ["flood", 200])"));
  run(flood, a);
  EXPECT_TRUE(std::holds_alternative<Completed>(flood.outcome->value));
  EXPECT_EQ(flood.sink.out.size(), 100'000U);
  EXPECT_TRUE(flood.sink.out.starts_with("first xxx"));
  EXPECT_EQ(flood.outcome->stats.log_bytes_dropped, 200 * 65536U + 6 - 100'000U);
  Running quiet(acts(R"(["print", "short"])"));
  run(quiet, a);
  EXPECT_EQ(quiet.sink.out, "short");
}

TEST_F(Pool, PrepareTellsWhereTheSourceIsWrong) {
  open();
  const auto prepare = [&](const ProgramPtr& which) {
    std::optional<Result<void>> result;
    loop.post([&] { seam::start(pool->prepare(which), [&](Result<void> r) { result = r; }); });
    until([&] { return result.has_value(); });
    return *result;
  };
  auto bad = program("bad");
  bad->content = "bad";
  const Result<void> refused = prepare(bad);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused.error().message, "SyntaxError: no");
  EXPECT_EQ(refused.error().details, R"({"line": 3, "column": 7})");
  Running call("{}");
  run(call, bad);
  EXPECT_EQ(call.error().kind, FunctionError::Kind::kLoadFailed);

  const ProgramPtr good = program("good");
  ASSERT_TRUE(prepare(good).has_value());
  Running first("{}");
  run(first, good);
  EXPECT_FALSE(first.outcome->stats.cold_start) << "the worker that loaded it is kept for it";
}

TEST_F(Pool, SaysWhyNoWorkerCanBeStartedAndTriesAgainLater) {
  open();
  const ProgramPtr a = program("a");
  launcher->broken = true;
  Running refused("{}");
  run(refused, a);
  EXPECT_EQ(refused.host_error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(refused.host_error().message, "cannot start a worker: no more processes");
  launcher->broken = false;
  launcher->mute = true;
  std::this_thread::sleep_for(2 * kStartBackoffMin);
  Running stuck("{}");
  run(stuck, a);
  EXPECT_EQ(
      stuck.host_error().message,
      "cannot start a worker: a new one ended with exit code 7 before it was ready; it wrote: "
      "I am stuck");
  launcher->mute = false;
  std::this_thread::sleep_for(4 * kStartBackoffMin);
  pid_of(a);
}

TEST_F(Pool, MakesRoomByEndingTheWorkerThatWasIdleLongest) {
  open({.workers_max = 2, .warm_per_loop = 0});
  const int a = pid_of(program("a"));
  const int b = pid_of(program("b"));
  pid_of(program("c"));
  EXPECT_EQ(pid_of(program("b")), b);
  EXPECT_NE(pid_of(program("a")), a);
}

TEST_F(Pool, RecyclesByCallsMemoryAndRelease) {
  open({.warm_per_loop = 0, .calls_max = 2});
  const int a = pid_of(program("a"));
  EXPECT_EQ(pid_of(program("a")), a);
  const int third = pid_of(program("a"));
  EXPECT_NE(third, a);

  loop.post([this] { pool->release("a"); });
  until([&] { return counts().workers == 0; });

  launcher->memory = 250U << 20U;
  pid_of(program("b"));
  until([&] { return counts().workers == 0; });
}

TEST_F(Pool, SetsAProgramsOwnMemoryLimitBeforeItsFirstCall) {
  open();
  auto a = program("a");
  a->limits.memory_bytes_max = 64U << 20U;
  pid_of(a);
  EXPECT_EQ(launcher->limits_set, (std::vector<std::uint64_t>{64U << 20U}));
  pid_of(program("b"));
  EXPECT_EQ(launcher->limits_set.size(), 1U);
}

TEST_F(Pool, AProgramWithAFolderGetsAWorkerOfItsOwnAlsoWhereAllRoomIsTaken) {
  open({.workers_max = 1, .warm_per_loop = 1});
  until([&] { return counts().warm == 1; });
  const auto with_folder = program("folder");
  with_folder->folder = std::make_shared<const std::string>("/data/f");
  const int own = pid_of(with_folder);
  EXPECT_EQ(launcher->folders, std::vector<std::string>{"/data/f"});
  EXPECT_EQ(pid_of(with_folder), own);
  EXPECT_EQ(launcher->folders.size(), 1U);
  EXPECT_NE(pid_of(program("plain")), own);
  EXPECT_EQ(launcher->folders.size(), 1U);
  pool->release("folder");
  Running again("{}");
  run(again, with_folder);
  EXPECT_TRUE(std::holds_alternative<Completed>(again.outcome->value));
  EXPECT_EQ(launcher->folders.size(), 2U);
}

TEST_F(Pool, AFolderThatCannotBeSeenFailsItsOwnProgramAlone) {
  open();
  const auto with_folder = program("folder");
  with_folder->folder = std::make_shared<const std::string>("/no/such");
  Running call("{}");
  run(call, with_folder);
  EXPECT_EQ(call.host_error().code, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(
      call.host_error().message,
      "cannot start a worker: bind /no/such: No such file or directory; start the server again "
      "to have it unpacked again");
  Running other("{}");
  run(other, program("plain"));
  EXPECT_TRUE(std::holds_alternative<Completed>(other.outcome->value));
}

TEST_F(Pool, AMissingProgramIsToldWithItsRemedy) {
  open();
  EXPECT_FALSE(pool->health().up);
  EXPECT_EQ(pool->health().detail, "there is no /usr/bin/nothing; install it");
}

TEST(WorkerPoolOverLoops, AnswersOnTheLoopThatCalled) {
  EventLoop first("one");
  EventLoop second("two");
  const std::array<EventLoop*, 2> loops = {&first, &second};
  auto plain = std::make_unique<PlainLauncher>();
  PlainLauncher& launcher = *plain;
  WorkerPool pool({.name = "test",
                   .kind = {.ending_words = "exit() ends",
                            .install_remedy = "install it",
                            .is_memory_failure = [](const FunctionError&) { return false; },
                            .is_memory_end = [](std::string_view) { return false; }}},
                  std::move(plain), loops);
  std::thread one([&] { first.run(); });
  std::thread two([&] { second.run(); });
  std::atomic<int> left = 0;
  std::vector<std::unique_ptr<Running>> all;
  std::vector<std::thread::id> ended_on(16);
  for (int i = 0; i < 16; ++i) {
    auto program = std::make_shared<Program>();
    program->id = fmt::format("p{}", i % 4);
    program->content = "good";
    all.push_back(std::make_unique<Running>(acts(R"(["log", [0, "a"]], ["log", [1, "b"]])")));
    ++left;
    loops[static_cast<std::size_t>(i) % 2]->post([&, program, i] {
      Running& running = *all[static_cast<std::size_t>(i)];
      seam::start(pool.run(program, running.call, running.sink), [&, i](Outcome outcome) {
        all[static_cast<std::size_t>(i)]->outcome = std::move(outcome);
        ended_on[static_cast<std::size_t>(i)] = std::this_thread::get_id();
        if (--left == 0) left.notify_all();
      });
    });
  }
  for (int now = left; now != 0; now = left) left.wait(now);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_TRUE(std::holds_alternative<Completed>(all[i]->outcome->value));
    EXPECT_EQ(all[i]->sink.out, "a");
    EXPECT_EQ(all[i]->sink.err, "b");
    const std::thread::id caller = i % 2 == 0 ? one.get_id() : two.get_id();
    EXPECT_EQ(all[i]->sink.thread, caller);
    EXPECT_EQ(ended_on[i], caller);
  }
  std::atomic<bool> down = false;
  first.post([&] {
    seam::start(pool.shut_down(), [&] {
      down = true;
      down.notify_all();
    });
  });
  down.wait(false);
  first.stop();
  second.stop();
  one.join();
  two.join();
  EXPECT_TRUE(launcher.pids.empty());
}

}  // namespace
}  // namespace seam::runtimes
