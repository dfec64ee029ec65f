// What a worker may use, each limit tried by going over it.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "process/spawner_fixture.h"

namespace seam::process {
namespace {

class LimitsTest : public testing::Test {
 protected:
  [[nodiscard]] bool in_force(std::string_view name) const {
    return std::ranges::any_of(host_.spawner.report().layers, [&](const IsolationLayer& layer) {
      return layer.name == name && layer.in_force;
    });
  }
  TestSpawner host_;
};

TEST_F(LimitsTest, MemoryBombIsKilledAndNamedOrFails) {
  WorkerSpec spec = TestSpawner::python("held = b'x' * (200 << 20)");
  spec.limits.memory_bytes_max = 64U << 20U;
  const WorkerExit exit = host_.exit_of(spec);
  if (in_force("cgroup memory")) {
    ASSERT_TRUE(WIFSIGNALED(exit.status));
    EXPECT_EQ(WTERMSIG(exit.status), SIGKILL);
    EXPECT_TRUE(exit.memory_exceeded);
  } else {
    EXPECT_EQ(WEXITSTATUS(exit.status), 1);  // MemoryError
    EXPECT_FALSE(exit.memory_exceeded);
  }
}

TEST_F(LimitsTest, MemoryWithinTheLimitIsGiven) {
  WorkerSpec spec = TestSpawner::python("held = b'x' * (100 << 20)");
  spec.limits.memory_bytes_max = 160U << 20U;
  EXPECT_EQ(host_.exit_of(spec).status, 0);
}

TEST_F(LimitsTest, MemoryLimitOfARunningWorkerChangesBothWays) {
  for (const std::uint64_t bytes_max : {64ULL << 20U, 256ULL << 20U}) {
    WorkerSpec spec = TestSpawner::python(
        "import socket\nsocket.socket(fileno=3).recv(1)\nheld = b'x' * (128 << 20)");
    spec.limits.memory_bytes_max = 100U << 20U;
    const SpawnedWorker worker = host_.spawn(spec);
    ASSERT_TRUE(host_.run(host_.spawner.set_memory_limit(worker.id, bytes_max)));
    ASSERT_EQ(::write(worker.socket.get(), "x", 1), 1);
    wait_for_end(worker);
    EXPECT_EQ(host_.run(host_.spawner.reap(worker.id)).status == 0, bytes_max > (128ULL << 20U));
  }
}

TEST_F(LimitsTest, MemoryInUseIsCountedAndNoneAfterTheEnd) {
  const SpawnedWorker worker = host_.spawn(TestSpawner::python(
      "import socket\ns=socket.socket(fileno=3)\nheld=b'x'*(32<<20)\ns.sendall(b'r')\ns.recv(1)"));
  pollfd ready{worker.socket.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, -1), 1);
  EXPECT_GT(host_.run(host_.spawner.memory_bytes(worker.id)), 32ULL << 20U);
  ASSERT_EQ(::shutdown(worker.socket.get(), SHUT_RDWR), 0);
  wait_for_end(worker);
  host_.run(host_.spawner.reap(worker.id));
  EXPECT_EQ(host_.run(host_.spawner.memory_bytes(worker.id)), 0U);
}

TEST_F(LimitsTest, ForkIsRefused) {
  EXPECT_EQ(host_.output_of(TestSpawner::python(
                "import os\ntry: os.fork()\nexcept OSError as e: print(e.strerror)")),
            "Operation not permitted\n");
}

TEST_F(LimitsTest, ThreadsEndAtTheLimit) {
  WorkerSpec spec = TestSpawner::python(
      "import threading\nstop=threading.Event()\nn=0\n"
      "try:\n  while n<500: threading.Thread(target=stop.wait).start(); n+=1\n"
      "except RuntimeError as e: print(e, n)\nstop.set()");
  spec.limits.processes_max = 20;
  EXPECT_EQ(host_.output_of(spec), "can't start new thread 19\n");
}

TEST_F(LimitsTest, DiskEndsAtTheLimit) {
  WorkerSpec spec = TestSpawner::python(
      "n=0\n"
      "try:\n"
      "  for i in range(8): n += open('/tmp/%d'%i,'wb',buffering=0).write(bytes(1<<20))\n"
      "except OSError as e: print(e.strerror, n)");
  spec.limits.disk_bytes_max = 4U << 20U;
  EXPECT_EQ(host_.output_of(spec), "No space left on device 4194304\n");
}

TEST_F(LimitsTest, OpenFilesEndAtTheLimit) {
  WorkerSpec spec = TestSpawner::python(
      "import os\nl=[]\n"
      "try:\n  while True: l.append(os.dup(0))\n"
      "except OSError as e: print(e.strerror, l[-1])");
  spec.limits.open_files_max = 40;
  EXPECT_EQ(host_.output_of(spec), "Too many open files 39\n");
}

}  // namespace
}  // namespace seam::process
