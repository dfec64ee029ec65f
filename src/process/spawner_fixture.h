#pragma once
// For the tests of this folder: a spawner with a loop that the test drives by hand, and workers
// that are Python scripts.
//
//   TestSpawner host;                                     // forks: before any thread
//   SpawnedWorker worker = host.spawn(host.python("…"));
//   EXPECT_EQ(read_to_end(worker.output.get()), "hello\n");

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "base/check.h"
#include "process/spawner.h"

namespace seam::process {

// A folder of its own, removed with its contents.
class TestFolder {
 public:
  TestFolder() {
    char name[] = "/tmp/seam-process-XXXXXX";
    CHECK(::mkdtemp(name) != nullptr);
    CHECK(::chmod(name, 0755) == 0);
    path_ = name;
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
  }

 private:
  std::string path_;
};

inline std::string read_to_end(int fd) {
  std::string all;
  char buffer[4096];
  for (;;) {
    const ssize_t size = ::read(fd, buffer, sizeof buffer);
    if (size > 0) {
      all.append(buffer, static_cast<std::size_t>(size));
    } else if (size < 0 && errno == EAGAIN) {
      pollfd waiting{fd, POLLIN, 0};
      ::poll(&waiting, 1, -1);
    } else {
      return all;
    }
  }
}

inline void wait_for_end(const SpawnedWorker& worker) {
  pollfd ended{worker.pidfd.get(), POLLIN, 0};
  while (::poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
}

class TestSpawner {
 public:
  explicit TestSpawner(const SpawnerOptions& options = {})
      : loop("test"), spawner(started(options), loop) {}

  // Drives the loop until the task has its value.
  template <class T>
  T run(Task<T> task) {
    std::optional<T> value;
    start(std::move(task), [&value](T result) { value.emplace(std::move(result)); });
    while (!value) {
      if (!loop.poll()) ::usleep(200);
    }
    return *std::move(value);
  }

  [[nodiscard]] static WorkerSpec python(std::string script) {
    WorkerSpec spec;
    spec.name = "python";
    spec.argv = {"/usr/bin/python3", "-I", "-S", "-B", "-c", std::move(script)};
    spec.environment = {"HOME=/tmp"};
    return spec;
  }
  SpawnedWorker spawn(WorkerSpec spec) {
    Result<SpawnedWorker> worker = run(spawner.spawn(std::move(spec)));
    if (!worker) ::fprintf(stderr, "spawn: %s\n", worker.error().message.c_str());
    CHECK(worker.has_value());
    return *std::move(worker);
  }
  // What the script writes to stdout and stderr until it ends.
  std::string output_of(WorkerSpec spec) {
    const SpawnedWorker worker = spawn(std::move(spec));
    std::string output = read_to_end(worker.output.get());
    run(spawner.reap(worker.id));
    return output;
  }
  // How the script ends by itself.
  WorkerExit exit_of(WorkerSpec spec) {
    const SpawnedWorker worker = spawn(std::move(spec));
    wait_for_end(worker);
    return run(spawner.reap(worker.id));
  }

  EventLoop loop;
  Spawner spawner;

 private:
  static SpawnerProcess started(const SpawnerOptions& options) {
    Result<SpawnerProcess> process = SpawnerProcess::start(options);
    if (!process) ::fprintf(stderr, "start: %s\n", process.error().message.c_str());
    CHECK(process.has_value());
    return *std::move(process);
  }
};

}  // namespace seam::process
