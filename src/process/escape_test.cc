// Runs every attempt of tests/escape/attempts.py in a worker of its own and wants all refused:
// exec'ed workers and a zygote's children here, as root or as whoever runs the test;
// ordinary_user_test.cc runs this again as an ordinary user. Without isolation the harmless ones
// are wanted to succeed, so that a refusal is the sandbox's doing and not a mistake in the attempt.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "process/spawner_fixture.h"

namespace seam::process {
namespace {

constexpr std::uint64_t kMemoryBytesMax = 96U << 20U;
constexpr std::uint64_t kDiskBytesMax = 2U << 20U;
const std::string kScript = std::string(SEAM_ESCAPE_FOLDER) + "/attempts.py";

std::string output_of_script(const std::string& argument) {
  std::string text;
  FILE* const pipe = ::popen(fmt::format("/usr/bin/python3 {} {}", kScript, argument).c_str(), "r");
  CHECK(pipe != nullptr);
  char buffer[4096];
  for (std::size_t size = 0; (size = ::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    text.append(buffer, size);
  ::pclose(pipe);
  return text;
}

std::vector<std::string> names(const std::string& argument) {
  std::istringstream lines(output_of_script(argument));
  std::vector<std::string> all;
  for (std::string line; std::getline(lines, line);) all.push_back(line);
  return all;
}

// What an attacker could want of the machine outside, in this process and about it.
class Bait {
 public:
  Bait() {
    folder_.write("secret", secret_start_ + secret_end_);
    tcp_ = FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK(::bind(tcp_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    CHECK(::listen(tcp_.get(), 16) == 0);
    CHECK(::getsockname(tcp_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    abstract_ = FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    abstract_name_.copy(name.sun_path + 1, sizeof name.sun_path - 1);
    const auto name_size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + abstract_name_.size());
    CHECK(::bind(abstract_.get(), reinterpret_cast<sockaddr*>(&name), name_size) == 0);
    CHECK(::listen(abstract_.get(), 16) == 0);
    segment_ = ::shmget(key_, 64, IPC_CREAT | 0666);
    CHECK(segment_ >= 0);
    ::setenv("SEAM_BAIT", (secret_start_ + secret_end_).c_str(), 1);
  }
  Bait(const Bait&) = delete;
  Bait& operator=(const Bait&) = delete;
  ~Bait() {
    ::shmctl(segment_, IPC_RMID, nullptr);
    ::unsetenv("SEAM_BAIT");
  }
  [[nodiscard]] std::string facts(const std::string& attempt, pid_t victim) const {
    std::string masked;
    for (const char each : secret_end_)
      masked += fmt::format("{:02x}", static_cast<unsigned char>(each) ^ 0x55U);
    char host_name[256] = {};
    CHECK(::gethostname(host_name, sizeof host_name - 1) == 0);
    return fmt::format(
        R"({{"attempt":"{}","secret_file":"{}","secret_start":"{}","secret_end_masked":"{}",)"
        R"("server_pid":{},"victim_pid":{},"tcp_port":{},"abstract_name":"{}","shm_key":{},)"
        R"("session":{},"host_name":"{}","memory_bytes_max":{},"disk_bytes_max":{}}})",
        attempt, folder_.path() + "/secret", secret_start_, masked, ::getpid(), victim, port_,
        abstract_name_, key_, ::getsid(0), host_name, kMemoryBytesMax, kDiskBytesMax);
  }

 private:
  TestFolder folder_;
  std::string secret_start_ = fmt::format("bait-{}-begins-here-", ::getpid());
  std::string secret_end_ = fmt::format("and-ends-as-number-{}", ::getpid() * 7919L);
  std::string abstract_name_ = fmt::format("seam-bait-{}", ::getpid());
  FileDescriptor tcp_;
  FileDescriptor abstract_;
  int port_ = 0;
  key_t key_ = 0x5ea00000 + ::getpid() % 0x10000;
  int segment_ = -1;
};

class EscapeTest : public testing::Test {
 protected:
  explicit EscapeTest(Isolation isolation = Isolation::kRequired)
      : host_({.isolation = isolation, .cgroup_name = {}}) {
    std::filesystem::copy(kScript, folder_.path() + "/worker.py");
    std::filesystem::copy(SEAM_ZYGOTE_LIBRARY, folder_.path() + "/libseam_zygote.so");
    std::filesystem::copy(SEAM_ZYGOTE_SCRIPT, folder_.path() + "/zygote.py");
  }
  [[nodiscard]] WorkerSpec spec() const {
    WorkerSpec spec = TestSpawner::python(
        "import sys\nsys.path.insert(0, sys.argv[1])\nimport worker\nworker.serve(3)");
    spec.argv.emplace_back("/harness");
    spec.binds = {{folder_.path(), "/harness"}};
    spec.limits.memory_bytes_max = kMemoryBytesMax;
    spec.limits.disk_bytes_max = kDiskBytesMax;
    return spec;
  }
  // The worker's answer, "killed …" or, when its program was replaced by another, "escaped".
  std::string outcome(const SpawnedWorker& worker, const std::string& attempt) {
    const std::string facts = bait_.facts(attempt, victim_.pid);
    CHECK(::write(worker.socket.get(), facts.data(), facts.size()) ==
          static_cast<ssize_t>(facts.size()));
    std::string answer = read_to_end(worker.socket.get());
    wait_for_end(worker);
    const WorkerExit exit = host_.run(host_.spawner.reap(worker.id));
    if (answer.empty() && WIFSIGNALED(exit.status))
      return fmt::format("killed by signal {}", WTERMSIG(exit.status));
    if (answer.empty())
      return fmt::format("escaped without a word, status {:#x}: {}", exit.status,
                         read_to_end(worker.output.get()));
    return answer;
  }

  Bait bait_;  // first: the spawner is forked from a process that knows the secret
  TestSpawner host_;
  TestFolder folder_;
  SpawnedWorker victim_ = host_.spawn(TestSpawner::python("import time\ntime.sleep(100000)"));
};

class WithoutIsolation : public EscapeTest {
 protected:
  WithoutIsolation() : EscapeTest(Isolation::kOff) {}
};

TEST_F(EscapeTest, NoAttemptOfAnExecedWorkerSucceeds) {
  const std::vector<std::string> attempts = names("--list");
  ASSERT_GE(attempts.size(), 100U);
  for (const std::string& attempt : attempts) {
    const std::string result = outcome(host_.spawn(spec()), attempt);
    RecordProperty(attempt, result);  // seen with --gtest_output=xml
    EXPECT_FALSE(result.starts_with("escaped")) << attempt << " " << result;
  }
}

TEST_F(EscapeTest, NoAttemptOfAZygotesChildSucceeds) {
  WorkerSpec zygote_spec = spec();
  zygote_spec.argv = {"/usr/bin/python3", "-I", "-B", "/harness/zygote.py"};
  const Result<SpawnedWorker> zygote = host_.run(host_.spawner.start_zygote(zygote_spec));
  ASSERT_TRUE(zygote) << zygote.error().message;
  const std::vector<std::string> attempts = names("--list");
  ASSERT_GE(attempts.size(), 100U);
  for (const std::string& attempt : attempts) {
    Result<SpawnedWorker> worker = host_.run(host_.spawner.fork_worker(zygote->id));
    ASSERT_TRUE(worker) << attempt << " " << worker.error().message;
    const std::string result = outcome(*worker, attempt);
    RecordProperty(attempt, result);  // seen with --gtest_output=xml
    EXPECT_FALSE(result.starts_with("escaped")) << attempt << " " << result;
  }
}

TEST_F(WithoutIsolation, HarmlessAttemptsSucceed) {
  if (::geteuid() != 0) GTEST_SKIP() << "some of them read what only root may";
  const std::vector<std::string> attempts = names("--list-harmless");
  ASSERT_GE(attempts.size(), 30U);
  for (const std::string& attempt : attempts) {
    const std::string result = outcome(host_.spawn(spec()), attempt);
    EXPECT_TRUE(result.starts_with("escaped")) << attempt << " " << result;
  }
}

TEST(EscapeTable, IsTheScriptsOwn) {
  const std::filesystem::path documents =
      std::filesystem::path(SEAM_ESCAPE_FOLDER) / "../../docs/escape-attempts.md";
  std::ifstream file(documents);
  const std::string written{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(written, output_of_script("--table"))
      << "write it anew: tests/escape/attempts.py --table > docs/escape-attempts.md";
}

}  // namespace
}  // namespace seam::process
