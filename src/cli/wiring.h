#pragma once
// Builds a function host out of its settings: the only place that names adapters and mounts route
// tables.
//
//   SEAM_ASSIGN_OR_RETURN(std::unique_ptr<FunctionHost> host, FunctionHost::start(settings,
//   std::move(spawner))); … host->url() … host->stop();

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/settings.h"
#include "process/spawner.h"

namespace seam {
class EventLoop;
}
namespace seam::api {
class FunctionsApi;
}
namespace seam::functions {
class Executor;
class LogHub;
class Registry;
struct CallAnswer;
}  // namespace seam::functions

namespace seam::cli {

struct HostOptions {
  bool examples = true;  // registered in a fresh data directory
  // Is shown each call at its end, on its loop: functions/executor.h.
  std::function<void(const functions::CallAnswer& answer, int status)> on_call = {};
};

// A running server with all its threads. Made, stopped and destroyed on one thread, which is none
// of its own.
class FunctionHost {
 public:
  // Opens the data directory, starts the threads, takes in what the store holds, registers the
  // examples in a fresh data directory, and listens. Blocks until it serves. errors    those of its
  // parts; the message names the setting or the file
  [[nodiscard]] static Result<std::unique_ptr<FunctionHost>> start(const Settings& settings,
                                                                   process::SpawnerProcess spawner,
                                                                   HostOptions options = {});
  ~FunctionHost();  // stops
  FunctionHost(const FunctionHost&) = delete;
  FunctionHost& operator=(const FunctionHost&) = delete;

  [[nodiscard]] std::string url() const;  // "http://127.0.0.1:8080"
  [[nodiscard]] const process::IsolationReport& isolation() const;
  // The examples that this start has registered: none, unless the data directory was empty.
  [[nodiscard]] const std::vector<std::string>& examples() const;

  // What a program that holds a host in itself works with, on home(). Valid until stop().
  struct Inside {
    EventLoop& home;
    const api::FunctionsApi& functions_api;
    functions::Registry& registry;
    functions::Executor& executor;
    functions::LogHub& logs;
    std::string packages;  // the folder that functions with files lie below
  };
  [[nodiscard]] Inside inside() const;

  // Says "not ready", answers what has been received, ends workers, writes records out. Blocks, at
  // most drain_timeout and a little.
  void stop();

 private:
  FunctionHost();
  [[nodiscard]] static Result<std::unique_ptr<FunctionHost>> start_parts(
      const Settings& settings, process::SpawnerProcess spawner, HostOptions options);
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// The isolation report as JSON, for /health and `seam doctor`.
[[nodiscard]] std::string render_isolation(const process::IsolationReport& report);

}  // namespace seam::cli
