#pragma once
// What `seam run` says, as lines for people or one JSON object a line: where it listens, each
// reload, each call with what it printed.
//
//   DevelopmentOutput output({.json = false, .style = style});
//   output.call(record);                                    // any thread
//
// It writes on a thread of its own, so that a terminal that stands still holds up no call; what
// comes faster than it can be written is dropped and counted.

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/event_loop.h"
#include "cli/commands.h"
#include "functions/log_hub.h"
#include "store/call_record.h"

namespace seam::cli {

struct DevelopmentOutputOptions {
  bool json = false;
  Style style = {};
  bool show_results = true;              // in the line of a call
  std::function<void()> on_closed = {};  // stdout is gone; on the output's thread, once
};

struct Listening {
  std::string url;
  std::string function;
  std::string path;    // what is served
  std::string params;  // JSON, for the command to try
  bool isolated = true;
};

// What went wrong, and where if that is known.
struct Failure {
  std::string message;
  std::string place = {};    // "greet.js:3:5"
  std::string excerpt = {};  // lines of the source, or of a stack
  std::int64_t serving = 0;  // the version that keeps answering; 0: none
};

class DevelopmentOutput {
 public:
  explicit DevelopmentOutput(DevelopmentOutputOptions options);
  DevelopmentOutput(const DevelopmentOutput&) = delete;
  DevelopmentOutput& operator=(const DevelopmentOutput&) = delete;
  ~DevelopmentOutput();  // writes what is left

  // Any thread, in the order of the calls.
  void listening(const Listening& what);
  void renamed(const std::string& function, const std::string& url, const std::string& params);
  void reloaded(std::int64_t version, nanoseconds took);
  void failed(const Failure& failure);
  void note(const std::string& text);
  // A call has ended. Its lines that have not been shown yet go before it.
  void call(store::CallRecord record);
  // What a call that this command made has returned: JSON.
  void result(std::int64_t version, const std::string& json);

  // Where logs() is called.
  [[nodiscard]] EventLoop& loop() { return loop_; }
  // Lines of calls that run.
  void logs(const std::vector<functions::LogEntry>& entries);

 private:
  void post(Work work);
  void write(const std::string& text);
  void log_line(const std::string& call_id, std::uint32_t number, std::string_view json);
  [[nodiscard]] std::string time_column() const;
  void show(const store::CallRecord& record);

  const DevelopmentOutputOptions options_;
  std::atomic<int> waiting_{0};
  std::atomic<std::uint64_t> dropped_{0};
  bool closed_ = false;
  std::unordered_map<std::string, std::uint32_t> shown_;  // the last line of each call
  std::deque<std::string> order_;                         // of the calls in shown_
  EventLoop loop_{"seam-output"};
  std::jthread thread_;
};

}  // namespace seam::cli
