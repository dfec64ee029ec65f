#pragma once
// Every setting of the server, typed. `serve`, `config`, `doctor` and `invoke` all start from
// these.
//
//   Result<LoadedSettings> loaded = load_settings({.flags = flags, .environment =
//   config::environment()}); loaded->settings.port;                       // 8080
//   loaded->effective[1].source;                 // "default"
//
// docs/configuration.md is made from the same descriptors; a setting is added in settings.cc, once.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log_format.h"
#include "config/load.h"
#include "functions/cache_control.h"
#include "functions/names.h"
#include "functions/recorder.h"
#include "process/isolation.h"
#include "runtimes/runtime.h"

namespace seam::cli {

// Of a runtime that runs worker processes.
struct WorkerRuntimeSettings {
  std::string command;             // absolute path of the interpreter
  std::uint32_t warm_workers = 0;  // of each server thread, started ahead
  std::uint32_t workers_max = 0;   // worker processes of all its programs together
};

struct WasmSettings {
  std::size_t threads = 0;                   // compute threads; 0: one a core
  std::string engine;                        // of functions that name none
  std::string fallback;                      // where that cannot be loaded; empty: none
  std::map<std::string, std::string> modes;  // by engine: "winch"
  std::string mode_of_old;                   // runtime.mode; empty: not set
  bool own_process = false;                  // guests run in processes of their own
  std::string engines;                       // the folder of the libraries; empty: to be looked for
  std::uint32_t warm_workers = 0;            // of each server thread and engine in processes
  std::uint32_t workers_max = 0;             // of each engine in processes
};

struct RustSettings {
  std::string toolchain;  // a folder; empty: to be looked for
  seconds compile_timeout{0};
  std::uint64_t compile_memory_bytes_max = 0;
  std::uint64_t cache_bytes_max = 0;
};

struct Settings {
  std::string host;
  std::uint16_t port = 0;
  std::filesystem::path data;
  std::size_t threads = 0;  // 0: one a core
  process::Isolation isolation = process::Isolation::kRequired;

  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  functions::WhenFull log_on_full = functions::WhenFull::kReject;
  std::uint64_t spool_bytes_max = 0;

  std::chrono::hours records_keep{0};
  std::uint64_t records_bytes_max = 0;
  seconds session_expiry{0};

  milliseconds timeout{0};  // of a call that names none
  functions::CachePolicy cache;
  std::size_t cache_bytes_max = 0;
  seconds drain_timeout{0};

  std::size_t params_bytes_max = 0;
  std::size_t source_bytes_max = 0;
  std::size_t content_bytes_max = 0;

  std::size_t connections_max = 0;
  seconds idle_timeout{0};
  seconds head_timeout{0};
  seconds body_timeout{0};

  runtimes::ProgramLimits limits;      // of an implementation that names none
  seconds worker_idle{0};              // a warm worker is ended after it
  std::uint64_t worker_calls_max = 0;  // a worker is replaced after as many calls
  WorkerRuntimeSettings node;
  WorkerRuntimeSettings python;
  WasmSettings wasm;
  RustSettings rust;
  std::vector<functions::RuntimeRule> runtime_map;
};

struct LoadedSettings {
  Settings settings;
  std::vector<config::Effective> effective;  // of descriptors(), in its order
};

// All settings, in the order in which they are documented. Lives as long as the process.
[[nodiscard]] const std::vector<config::Setting>& descriptors();
// Names that are known and not served by this build.
[[nodiscard]] const std::vector<config::Unbuilt>& unbuilt();

// errors    as config::load()
[[nodiscard]] Result<LoadedSettings> load_settings(const config::Sources& sources);

// Where data is kept unless it is set: $XDG_DATA_HOME/seam, else $HOME/.local/share/seam; for root
// /var/lib/seam.
[[nodiscard]] std::filesystem::path default_data_directory(const config::Environment& environment,
                                                           bool as_root);

}  // namespace seam::cli
