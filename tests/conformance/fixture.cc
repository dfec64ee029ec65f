#include "conformance/fixture.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/identifier.h"

namespace seam::conformance {

namespace {

// What each open descriptor is, one line each.
std::multiset<std::string> open_descriptors() {
  std::multiset<std::string> all;
  std::error_code gone;  // the one that lists them
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    all.insert(target.substr(0, target.find('[')));  // without the numbers of sockets and pipes
  }
  return all;
}

// The processes that a process has started and not yet reaped.
std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> children;
  std::error_code gone;
  for (const auto& thread :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", parent), gone)) {
    std::ifstream file(thread.path() / "children");
    for (pid_t child = 0; file >> child;) children.push_back(child);
  }
  return children;
}

// source    proc(5), /proc/pid/stat: utime and stime are the 14th and 15th field; the 2nd, a name
//           in brackets, may hold blanks.
nanoseconds processor_time(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  std::istringstream fields(line.substr(std::min(line.size(), line.rfind(')') + 1)));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  std::int64_t user = 0;
  std::int64_t system = 0;
  fields >> user >> system;
  return (user + system) * nanoseconds(seconds(1)) / ::sysconf(_SC_CLK_TCK);
}

// Runs a task on a loop from outside and waits for its end.
void run_on(EventLoop& loop, std::function<Task<>()> make) {
  std::atomic<bool> ended = false;
  loop.post([&] {
    start(make(), [&ended] {
      ended = true;
      ended.notify_all();
    });
  });
  ended.wait(false);
}

}  // namespace

House::House(process::SpawnerProcess process) : spawner_pid_(process.pid()) {
  folder_ = fmt::format("/tmp/seam-conformance-{}", random_uuid());
  std::filesystem::create_directories(folder_);
  for (int i = 0; i < 2; ++i) {
    loops_.push_back(std::make_unique<EventLoop>(fmt::format("loop-{}", i)));
    loop_pointers_.push_back(loops_.back().get());
  }
  spawner_ = std::make_unique<process::Spawner>(std::move(process), *loops_.front());
  for (EventLoop* loop : loop_pointers_) threads_.emplace_back([loop] { loop->run(); });
  // Once each loop has waited it has the descriptors that it keeps.
  for (EventLoop* loop : loop_pointers_)
    run_on(*loop, [loop] { return loop->sleep(Deadline::after(milliseconds(1))); });
  descriptors_before_ = open_descriptors();
  for (const Language& language : languages()) {
    Result<std::unique_ptr<runtimes::Runtime>> made =
        language.create({.spawner = *spawner_, .loops = loop_pointers_, .folder = folder_});
    if (!made) {
      ADD_FAILURE() << language.name << ": " << made.error().message;
      continue;
    }
    runtimes_[language.name] = *std::move(made);
  }
}

runtimes::Runtime& House::runtime(const std::string& language) { return *runtimes_.at(language); }

std::map<pid_t, nanoseconds> House::processor_times() const {
  std::map<pid_t, nanoseconds> times;
  std::vector<pid_t> ahead = children_of(spawner_pid_);
  while (!ahead.empty()) {
    const pid_t pid = ahead.back();
    ahead.pop_back();
    times[pid] = processor_time(pid);
    for (const pid_t child : children_of(pid)) ahead.push_back(child);
  }
  return times;
}

std::optional<pid_t> House::busy_process(const std::map<pid_t, nanoseconds>& before,
                                         nanoseconds more) const {
  for (const auto& [pid, time] : processor_times()) {
    const auto then = before.find(pid);
    if (time - (then == before.end() ? nanoseconds(0) : then->second) >= more) return pid;
  }
  return std::nullopt;
}

std::vector<std::string> House::shut_down() {
  for (auto& [name, runtime] : runtimes_) {
    run_on(*loops_.front(), [&runtime] { return runtime->shut_down(); });
    runtime.reset();
  }
  // What the loops still do with descriptors that were given back.
  for (EventLoop* loop : loop_pointers_)
    run_on(*loop, [loop]() { return loop->sleep(Deadline::after(milliseconds(20))); });
  std::vector<std::string> left;
  {
    for (const pid_t pid : children_of(spawner_pid_)) {
      std::ifstream file(fmt::format("/proc/{}/cmdline", pid));
      std::string command;
      std::getline(file, command, '\0');
      left.push_back(fmt::format("process {} ({})", pid, command));
    }
  }
  std::multiset<std::string> more = open_descriptors();
  for (const std::string& before : descriptors_before_) {
    if (const auto same = more.find(before); same != more.end()) more.erase(same);
  }
  for (const std::string& one : more) left.push_back("descriptor of " + one);
  return left;
}

House::~House() {
  for (EventLoop* loop : loop_pointers_) loop->stop();
  for (std::thread& thread : threads_) thread.join();
  spawner_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::shared_ptr<runtimes::Program> make_program(const Language& language,
                                                const std::string& source) {
  auto program = std::make_shared<runtimes::Program>();
  program->id = "test:" + random_uuid();
  program->tenant = "tenant:" + program->id;
  program->language_title = language.name + "-test";
  program->content = source;
  program->hash = sha256_hex(source);
  return program;
}

RunningCall::RunningCall(const Language& language, runtimes::ProgramPtr program, std::string params,
                         CallOptions options)
    : loop_(house().loop(options.loop)),
      program_(std::move(program)),
      params_(std::move(params)),
      context_(std::move(options.context)) {
  call_ = {.call_id = "call",
           .params = params_,
           .context = context_,
           .deadline = Deadline::after(options.time),
           .cancelled = options.cancelled};
  runtimes::Runtime& runtime = house().runtime(language.name);
  loop_.post([this, &runtime] {
    start(runtime.run(program_, call_, *this), [this](runtimes::Outcome outcome) {
      EXPECT_TRUE(loop_.is_current()) << "run() resumed on another loop";
      outcome_ = std::move(outcome);
      ended_ = true;
      ended_.notify_all();
    });
  });
}

const runtimes::Outcome& RunningCall::wait() {
  ended_.wait(false);
  return *outcome_;
}

std::string RunningCall::trouble() {
  const auto& value = wait().value;
  if (const auto* error = std::get_if<Error>(&value))
    return fmt::format("{}: {}", to_string(error->code), error->message);
  if (const auto* error = std::get_if<runtimes::FunctionError>(&value))
    return fmt::format("function error {}, {}: {}", static_cast<int>(error->kind), error->type,
                       error->message);
  return {};
}

const std::string& RunningCall::result() {
  EXPECT_EQ(trouble(), "");
  return result_;
}

const runtimes::FunctionError& RunningCall::function_error() {
  static const runtimes::FunctionError none;
  if (const auto* error = std::get_if<runtimes::FunctionError>(&wait().value)) return *error;
  ADD_FAILURE() << "no error of the function: " << trouble() << result_.substr(0, 200);
  return none;
}

const Error& RunningCall::host_error() {
  static const Error none;
  if (const auto* error = std::get_if<Error>(&wait().value)) return *error;
  ADD_FAILURE() << "no error of the host: " << trouble() << result_.substr(0, 200);
  return none;
}

}  // namespace seam::conformance
