#pragma once
// The house that the suite runs in: the real spawner with the real sandbox, two loops on threads of
// their own, and every language's runtime.

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "conformance/suite.h"

namespace seam::conformance {

class House {
 public:
  explicit House(process::SpawnerProcess process);
  ~House();
  [[nodiscard]] runtimes::Runtime& runtime(const std::string& language);
  [[nodiscard]] EventLoop& loop(std::size_t i) { return *loops_[i % loops_.size()]; }
  // Processor time that each process below the spawner has used. Other threads may run.
  [[nodiscard]] std::map<pid_t, nanoseconds> processor_times() const;
  // One that has used at least this much more than `before`.
  [[nodiscard]] std::optional<pid_t> busy_process(const std::map<pid_t, nanoseconds>& before,
                                                  nanoseconds more) const;
  // Ends all workers and says what is left behind: one line each.
  [[nodiscard]] std::vector<std::string> shut_down();

 private:
  pid_t spawner_pid_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
  std::vector<EventLoop*> loop_pointers_;
  std::unique_ptr<process::Spawner> spawner_;
  std::string folder_;
  std::map<std::string, std::unique_ptr<runtimes::Runtime>> runtimes_;
  std::vector<std::thread> threads_;
  std::multiset<std::string> descriptors_before_;
};

House& house();

// What a test says of one call.
struct CallOptions {
  std::size_t loop = 0;
  milliseconds time{20'000};
  std::string context = "{}";
  std::stop_token cancelled = {};
};

// One call under way on a loop of the house.
class RunningCall final : runtimes::CallSink {
 public:
  RunningCall(const Language& language, runtimes::ProgramPtr program, std::string params,
              CallOptions options = {});
  ~RunningCall() override { static_cast<void>(wait()); }
  RunningCall(const RunningCall&) = delete;
  RunningCall& operator=(const RunningCall&) = delete;

  [[nodiscard]] bool ended() const { return ended_; }
  // Blocks the test until the outcome is there.
  const runtimes::Outcome& wait();
  [[nodiscard]] bool completed() {
    return std::holds_alternative<runtimes::Completed>(wait().value);
  }
  // The result; fails the test where there is none.
  const std::string& result();
  const runtimes::FunctionError& function_error();
  const Error& host_error();
  // What went wrong, as text; empty for a result.
  std::string trouble();

  std::string out;  // only after wait()
  std::string err;

 private:
  void on_result(std::string_view chunk) override { result_ += chunk; }
  void on_log(runtimes::LogStream stream, std::string_view bytes) override {
    (stream == runtimes::LogStream::kStdout ? out : err) += bytes;
  }

  EventLoop& loop_;
  runtimes::ProgramPtr program_;
  std::string params_;
  std::string context_;
  runtimes::Call call_;
  std::string result_;
  std::optional<runtimes::Outcome> outcome_;
  std::atomic<bool> ended_ = false;
};

// A program of a language by its name in suite.h, with an id of its own.
std::shared_ptr<runtimes::Program> make_program(const Language& language,
                                                const std::string& source);

}  // namespace seam::conformance
