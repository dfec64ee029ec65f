// `seam serve`: runs a function host until SIGTERM or SIGINT.

#include "cli/serve.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "base/json_text.h"
#include "base/log_format.h"
#include "cli/host_process.h"
#include "cli/wiring.h"
#include "process/spawner.h"

namespace seam::cli {
namespace {

// The signals are blocked in every thread, so that this alone takes them.
std::string_view wait_for_stop() {
  const sigset_t signals = stop_signals();
  int received = 0;
  while (sigwait(&signals, &received) != 0) {
  }
  return received == SIGTERM ? "SIGTERM" : received == SIGINT ? "SIGINT" : "SIGHUP";
}

void report_start(const FunctionHost& host, const Settings& settings, bool json) {
  const process::IsolationReport& isolation = host.isolation();
  if (json) {
    std::string line = R"({"event":"listening","url":)";
    append_json_string(line, host.url());
    line.append(R"(,"data":)");
    append_json_string(line, settings.data.string());
    line.append(R"(,"isolation":)").append(render_isolation(isolation)).append("}\n");
    std::fputs(line.c_str(), stdout);
  } else {
    std::string missing;
    for (const process::IsolationLayer& layer : isolation.layers) {
      if (!layer.in_force) missing.append(missing.empty() ? "" : ", ").append(layer.name);
    }
    fmt::print(
        "Seam listens on {0}\n  console    {0}/console\n  data       {1}\n  isolation  {2}\n",
        host.url(), settings.data.string(),
        settings.isolation == process::Isolation::kOff
            ? "OFF: functions can do what this server can"
        : missing.empty() ? "all layers in force"
                          : fmt::format("in force, without: {} (see seam doctor)", missing));
    if (!host.examples().empty()) fmt::print("  examples   {}\n", fmt::join(host.examples(), ", "));
    if (std::ranges::count(host.examples(), "nodejs-calculator") > 0) {
      fmt::print(
          "Try    seam invoke nodejs-calculator "
          "--params '{{\"operation\":\"add\",\"a\":1,\"b\":2}}' --url {}\n",
          host.url());
    }
    fmt::print("Stop   Ctrl-C\n");
  }
  std::fflush(stdout);
}

}  // namespace

int serve(const LoadedSettings& loaded, bool json) {
  const Settings& settings = loaded.settings;
  Result<process::SpawnerProcess> spawner = prepare_host_process(settings);
  if (!spawner) {
    fmt::print(stderr, "seam: {}\n", spawner.error().message);
    if (settings.isolation == process::Isolation::kRequired &&
        spawner.error().code == ErrorCode::kFailedPrecondition) {
      fmt::print(
          stderr,
          "`seam doctor` explains each part. If you trust every function that will run here, "
          "start with --isolation off.\n");
    }
    return 1;
  }
  Result<std::unique_ptr<FunctionHost>> host = FunctionHost::start(settings, *std::move(spawner));
  if (!host) {
    flush_log();
    fmt::print(stderr, "seam: {}\n", host.error().message);
    return 1;
  }
  if (settings.isolation == process::Isolation::kOff)
    log_warning(
        "isolation is off: functions run as plain processes that can do what this server can");
  report_start(**host, settings, json);
  const std::string_view signal = wait_for_stop();
  log_info("{}: no new calls; waiting up to {} s for those in flight (again: stop at once)", signal,
           settings.drain_timeout.count());
  // A second signal ends the process by its default action.
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGINT, SIG_DFL);
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*host)->stop();
  log_info("stopped");
  host->reset();
  flush_log();
  return 0;
}

}  // namespace seam::cli
