#pragma once
// What a process does before it holds a host: `seam serve` and `seam run`.
//
//   Result<process::SpawnerProcess> spawner = prepare_host_process(settings);
//   … FunctionHost::start(settings, *std::move(spawner)) …

#include <csignal>

#include "base/result.h"
#include "cli/settings.h"
#include "process/spawner.h"

namespace seam::cli {

// SIGTERM, SIGINT and SIGHUP.
[[nodiscard]] sigset_t stop_signals();

// Starts the spawner, then blocks the signals that stop the server, so that every thread that comes
// has them blocked, ignores SIGPIPE and sets up the log. Call before any thread exists.
// errors    as SpawnerProcess::start()
[[nodiscard]] Result<process::SpawnerProcess> prepare_host_process(const Settings& settings);

// 0, or the errno with which the settings' address cannot be bound now, the way the server binds
// it.
[[nodiscard]] int try_bind(const Settings& settings);

}  // namespace seam::cli
