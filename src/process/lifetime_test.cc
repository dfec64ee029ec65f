// Nothing outlives who is answerable for it, and nothing is left behind.
#include <fmt/format.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "process/spawner_fixture.h"

namespace seam::process {
namespace {

std::size_t entries(const std::string& folder) {
  return static_cast<std::size_t>(
      std::ranges::distance(std::filesystem::directory_iterator(folder)));
}

std::string children_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{0}/task/{0}/children", pid));
  return {std::istreambuf_iterator<char>(file), {}};
}

pid_t only_child() { return static_cast<pid_t>(std::stoi(children_of(::getpid()))); }

// The folders under the groups of this process that hold its spawner's groups.
std::size_t cgroups_of_workers() {
  std::size_t count = 0;
  std::error_code error;
  const std::string name = fmt::format("seam-{}", ::getpid());
  for (const char* root : {"/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu"}) {
    for (auto each = std::filesystem::recursive_directory_iterator(
             root, std::filesystem::directory_options::skip_permission_denied, error);
         each != std::filesystem::recursive_directory_iterator(); each.increment(error)) {
      if (each->is_directory(error) && each->path().parent_path().filename() == name) ++count;
    }
  }
  return count;
}

void wait_for_end_of(pid_t pid) {
  const FileDescriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) return;  // gone already
  pollfd ended{pidfd.get(), POLLIN, 0};
  while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
}

WorkerSpec sleeper() { return TestSpawner::python("import time\ntime.sleep(100000)"); }

TEST(Lifetime, TwoHundredWorkersLeaveNothing) {
  TestSpawner host;
  const pid_t spawner = only_child();
  const std::string descriptors = fmt::format("/proc/{}/fd", spawner);
  host.output_of(TestSpawner::python(""));
  const std::size_t theirs = entries(descriptors);
  const std::size_t ours = entries("/proc/self/fd");
  for (int round = 0; round < 20; ++round) {
    std::vector<SpawnedWorker> workers;
    for (int index = 0; index < 10; ++index) {
      WorkerSpec spec;
      spec.name = "sleep";
      spec.argv = {"/usr/bin/sleep", index % 2 == 0 ? "0" : "1000"};
      workers.push_back(host.spawn(spec));
    }
    for (const SpawnedWorker& worker : workers) host.run(host.spawner.reap(worker.id));
  }
  EXPECT_EQ(children_of(spawner), "");
  EXPECT_EQ(entries(descriptors), theirs);
  EXPECT_EQ(entries("/proc/self/fd"), ours);
  EXPECT_EQ(cgroups_of_workers(), 0U);
}

TEST(Lifetime, FailedStartsLeaveNothing) {
  TestSpawner host;
  const pid_t spawner = only_child();
  const std::string descriptors = fmt::format("/proc/{}/fd", spawner);
  host.output_of(TestSpawner::python(""));
  const std::size_t theirs = entries(descriptors);
  WorkerSpec spec;
  spec.name = "none";
  spec.argv = {"/no/such/program"};
  for (int round = 0; round < 20; ++round) EXPECT_FALSE(host.run(host.spawner.spawn(spec)));
  host.output_of(TestSpawner::python(""));  // by its answer the ends before it have been seen
  EXPECT_EQ(children_of(spawner), "");
  EXPECT_EQ(entries(descriptors), theirs);
  EXPECT_EQ(cgroups_of_workers(), 0U);
}

TEST(Lifetime, GroupsOfAKilledSpawnerAreRemovedByItsServer) {
  {
    TestSpawner host;
    const SpawnedWorker worker = host.spawn(sleeper());
    ASSERT_EQ(::kill(only_child(), SIGKILL), 0);
  }
  EXPECT_EQ(cgroups_of_workers(), 0U);
}

TEST(Lifetime, WorkersEndWithTheSpawner) {
  TestSpawner host;
  const SpawnedWorker worker = host.spawn(sleeper());
  ASSERT_EQ(::kill(only_child(), SIGKILL), 0);
  wait_for_end(worker);
  const Result<SpawnedWorker> late = host.run(host.spawner.spawn(sleeper()));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kInternal);
  EXPECT_EQ(host.run(host.spawner.reap(worker.id)).status, SIGKILL);
  EXPECT_EQ(host.run(host.spawner.memory_bytes(worker.id)), 0U);
}

TEST(Lifetime, EverythingEndsWithTheServer) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  const pid_t server = ::fork();
  if (server == 0) {
    TestSpawner host;
    const SpawnedWorker worker = host.spawn(sleeper());
    const pid_t pids[2] = {only_child(), worker.pid};
    CHECK(::write(writer.get(), pids, sizeof pids) == sizeof pids);
    for (;;) ::pause();
  }
  pid_t pids[2] = {};
  ASSERT_EQ(::read(reader.get(), pids, sizeof pids), static_cast<ssize_t>(sizeof pids));
  ASSERT_EQ(::kill(server, SIGKILL), 0);
  for (const pid_t pid : pids) wait_for_end_of(pid);
  ASSERT_EQ(::waitpid(server, nullptr, 0), server);
}

TEST(Lifetime, WhatWaitsIsBoundedAndAnsweredAtTheEnd) {
  TestSpawner host;
  const pid_t spawner = only_child();
  ASSERT_EQ(::kill(spawner, SIGSTOP), 0);
  std::size_t unavailable = 0;
  std::size_t internal = 0;
  for (std::size_t index = 0; index < Spawner::kSpawnsWaitingMax + 3; ++index) {
    start(host.spawner.spawn(sleeper()), [&](Result<SpawnedWorker> worker) {
      ASSERT_FALSE(worker);
      unavailable += worker.error().code == ErrorCode::kUnavailable ? 1 : 0;
      internal += worker.error().code == ErrorCode::kInternal ? 1 : 0;
    });
  }
  while (unavailable < 3) host.loop.poll();
  ASSERT_EQ(::kill(spawner, SIGKILL), 0);
  while (internal < Spawner::kSpawnsWaitingMax) host.loop.poll();
  EXPECT_EQ(unavailable, 3U);
}

Task<bool> spawn_from(Spawner& spawner, EventLoop& mine) {
  const Result<SpawnedWorker> worker = co_await spawner.spawn(TestSpawner::python(""));
  bool stayed = worker.has_value() && mine.is_current();
  if (worker) co_await spawner.reap(worker->id);
  stayed = stayed && mine.is_current();
  co_return stayed;
}

TEST(Lifetime, CallsFromOtherLoopsResumeThere) {
  Result<SpawnerProcess> process = SpawnerProcess::start({});
  ASSERT_TRUE(process) << process.error().message;
  EventLoop home("home");
  EventLoop other("other");
  Spawner spawner(*std::move(process), home);
  std::atomic<int> stayed = 0;
  std::atomic<int> ended = 0;
  for (EventLoop* loop : {&home, &other, &other}) {
    loop->post([&, loop] {
      start(spawn_from(spawner, *loop), [&](bool good) {
        stayed += good ? 1 : 0;
        if (++ended == 3) {
          home.stop();
          other.stop();
        }
      });
    });
  }
  std::thread second([&] { other.run(); });
  home.run();
  second.join();
  EXPECT_EQ(stayed, 3);
}

TEST(Lifetime, WithoutIsolationAWorkerSeesItsBindsAtTheirHostPaths) {
  TestSpawner host({.isolation = Isolation::kOff, .cgroup_name = {}});
  const TestFolder folder;
  folder.write("program.py", "import sys\nprint(sys.argv[1:])");
  WorkerSpec spec;
  spec.name = "python";
  spec.argv = {"/usr/bin/python3", "/harness/program.py", "/harness", "/harnesses"};
  spec.binds = {{folder.path(), "/harness"}};
  EXPECT_EQ(host.output_of(spec), fmt::format("['{}', '/harnesses']\n", folder.path()));
}

// A child process may not make namespaces, by a filter: as on a machine that forbids them.
TEST(Lifetime, AMachineThatCannotIsolateIsRefusedAndTheReasonSaid) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const scmp_arg_cmp namespaces{0, SCMP_CMP_MASKED_EQ, CLONE_NEWNS, CLONE_NEWNS};
    CHECK(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, namespaces) == 0);
    CHECK(seccomp_load(filter) == 0);
    const Result<SpawnerProcess> process = SpawnerProcess::start({});
    CHECK(!process && process.error().code == ErrorCode::kFailedPrecondition);
    const Result<SpawnerProcess> off =
        SpawnerProcess::start({.isolation = Isolation::kOff, .cgroup_name = {}});
    CHECK(off && !off->report().complete());
    const std::string& message = process.error().message;
    CHECK(::write(writer.get(), message.data(), message.size()) > 0);
    ::_exit(0);
  }
  writer.reset();
  const std::string message = read_to_end(reader.get());
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(
      message.starts_with("this machine cannot isolate workers: no mount namespace "
                          "(clone: Operation not permitted; the kernel or the container "
                          "must allow it (CAP_SYS_ADMIN)); no own root"))
      << message;
}

// Everything once more as a user who is nobody.
TEST(OrdinaryUser, AllOfThisHoldsToo) {
  if (::geteuid() != 0) GTEST_SKIP() << "is one already";
  const FileDescriptor program(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(program);
  constexpr int kUnreachable = 77;
  const pid_t child = ::fork();
  if (child == 0) {
    ::unsetenv("GTEST_OUTPUT");  // the report is the parent's, in a folder of its own
    CHECK(::setgroups(0, nullptr) == 0);
    CHECK(::setresgid(65533, 65533, 65533) == 0 && ::setresuid(65534, 65534, 65534) == 0);
    for (const char* path : {SEAM_ZYGOTE_LIBRARY, SEAM_ZYGOTE_SCRIPT, SEAM_ESCAPE_FOLDER})
      if (::access(path, R_OK) != 0) ::_exit(kUnreachable);
    const char* const arguments[] = {
        "process_test", "--gtest_filter=Spawner*:Zygote*:Escape*:Limits*:Lifetime*", nullptr};
    ::syscall(SYS_execveat, program.get(), "", arguments, environ, AT_EMPTY_PATH);
    ::_exit(kUnreachable);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WEXITSTATUS(status) == kUnreachable)
    GTEST_SKIP() << "user 65534 cannot reach the folder that this was built in";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace seam::process
