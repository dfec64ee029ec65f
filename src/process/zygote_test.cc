// A real Python zygote with a worker module of the test's own, and the server side that forks from
// it.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "process/spawner_fixture.h"

namespace seam::process {
namespace {

// The harness folder as the server lays it out, with `worker` as worker.py.
class ZygoteTest : public testing::Test {
 protected:
  ZygoteTest() {
    std::filesystem::copy(SEAM_ZYGOTE_LIBRARY, folder_.path() + "/libseam_zygote.so");
    std::filesystem::copy(SEAM_ZYGOTE_SCRIPT, folder_.path() + "/zygote.py");
  }
  SpawnedWorker start_zygote(const std::string& worker) {
    folder_.write("worker.py", worker);
    WorkerSpec spec;
    spec.name = "python";
    spec.argv = {"/usr/bin/python3", "-I", "-B", "/harness/zygote.py"};
    spec.environment = {"HOME=/tmp"};
    spec.binds = {{folder_.path(), "/harness"}};
    spec.limits.memory_bytes_max = 64U << 20U;
    Result<SpawnedWorker> zygote = host_.run(host_.spawner.start_zygote(spec));
    CHECK(zygote.has_value());
    return *std::move(zygote);
  }
  // Diagnoses by what the zygote printed if it cannot.
  SpawnedWorker fork_from(const SpawnedWorker& zygote) {
    Result<SpawnedWorker> worker = host_.run(host_.spawner.fork_worker(zygote.id));
    if (!worker)
      std::fprintf(stderr, "fork: %s\n%s\n", worker.error().message.c_str(),
                   read_to_end(zygote.output.get()).c_str());
    CHECK(worker.has_value());
    return *std::move(worker);
  }

  TestSpawner host_;
  TestFolder folder_;
};

constexpr const char* kEcho =
    "import socket, os\n"
    "def serve(fd):\n"
    "    s = socket.socket(fileno=fd)\n"
    "    while (b := s.recv(100)):\n"
    "        s.sendall(b + b' from %d' % os.getpid())\n";

TEST_F(ZygoteTest, ForkedWorkersAnswerAndEndWithTheirOwnStatus) {
  const SpawnedWorker zygote = start_zygote(
      "import socket, os\n"
      "def serve(fd):\n"
      "    s = socket.socket(fileno=fd)\n"
      "    print('printed', flush=True)\n"
      "    s.sendall(b'pid %d uid ok %s' % (os.getpid(), str(os.getuid() != 0).encode()))\n"
      "    os._exit(s.recv(1)[0])\n");
  EXPECT_FALSE(zygote.socket);
  for (int round = 0; round < 3; ++round) {
    const SpawnedWorker worker = fork_from(zygote);
    char status = static_cast<char>(41 + round);
    ASSERT_EQ(::write(worker.socket.get(), &status, 1), 1);
    EXPECT_EQ(read_to_end(worker.socket.get()), "pid 1 uid ok True");
    EXPECT_EQ(read_to_end(worker.output.get()), "printed\n");
    wait_for_end(worker);
    const WorkerExit exit = host_.run(host_.spawner.reap(worker.id));
    ASSERT_TRUE(WIFEXITED(exit.status));
    EXPECT_EQ(WEXITSTATUS(exit.status), 41 + round);
  }
  host_.run(host_.spawner.reap(zygote.id));
}

TEST_F(ZygoteTest, WorkersOutliveTheirZygoteAndForkingFromItIsNotFound) {
  const SpawnedWorker zygote = start_zygote(kEcho);
  const SpawnedWorker worker = fork_from(zygote);
  host_.run(host_.spawner.reap(zygote.id));
  const Result<SpawnedWorker> late = host_.run(host_.spawner.fork_worker(zygote.id));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::kNotFound);
  ASSERT_EQ(::write(worker.socket.get(), "still", 5), 5);
  ASSERT_EQ(::shutdown(worker.socket.get(), SHUT_WR), 0);
  EXPECT_EQ(read_to_end(worker.socket.get()), "still from 1");
  host_.run(host_.spawner.reap(worker.id));
}

TEST_F(ZygoteTest, AZygoteThatCannotStartSaysWhyAndForkingIsNotFound) {
  const SpawnedWorker zygote = start_zygote("raise RuntimeError('broken harness')");
  const Result<SpawnedWorker> worker = host_.run(host_.spawner.fork_worker(zygote.id));
  ASSERT_FALSE(worker);
  EXPECT_EQ(worker.error().code, ErrorCode::kNotFound);
  EXPECT_NE(read_to_end(zygote.output.get()).find("RuntimeError: broken harness"),
            std::string::npos);
  host_.run(host_.spawner.reap(zygote.id));
}

TEST_F(ZygoteTest, ManyForksAtOnce) {
  const SpawnedWorker zygote = start_zygote(kEcho);
  std::vector<SpawnedWorker> workers;
  std::size_t failures = 0;
  constexpr std::size_t kWorkers = 30;
  for (std::size_t index = 0; index < kWorkers; ++index) {
    start(host_.spawner.fork_worker(zygote.id), [&](Result<SpawnedWorker> worker) {
      if (worker)
        workers.push_back(*std::move(worker));
      else
        ++failures;
    });
  }
  while (workers.size() + failures < kWorkers) {
    if (!host_.loop.poll()) ::usleep(200);
  }
  EXPECT_EQ(failures, 0U);
  for (const SpawnedWorker& worker : workers) {
    ASSERT_EQ(::write(worker.socket.get(), "hi", 2), 2);
    ASSERT_EQ(::shutdown(worker.socket.get(), SHUT_WR), 0);
    EXPECT_EQ(read_to_end(worker.socket.get()), "hi from 1");
  }
  for (const SpawnedWorker& worker : workers) host_.run(host_.spawner.reap(worker.id));
  host_.run(host_.spawner.reap(zygote.id));
}

}  // namespace
}  // namespace seam::process
