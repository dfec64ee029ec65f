#include "cli/settings.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "cli/settings_bound.h"

namespace seam::cli {

namespace {

using config::Entry;
using config::Environment;
using config::Setting;
using config::Type;
using config::Value;

constexpr std::int64_t kKiB = 1 << 10;
constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;
constexpr std::int64_t kDay = 86'400;

std::string check_loopback(const Value& value) {
  const std::string host = text(value);
  in_addr address{};
  const bool loopback4 =
      ::inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24U) == 127;
  if (loopback4 || host == "::1" || host == "localhost") return {};
  return "is not a loopback address. Until tokens exist the server listens on loopback only: use "
         "127.0.0.1 or ::1.";
}

std::string check_absolute(const Value& value) {
  return text(value).starts_with('/')
             ? ""
             : "is not an absolute path. Write it from the root, such as /usr/bin/node.";
}

constexpr std::string_view kLookForIt = "auto";

std::string check_toolchain(const Value& value) {
  if (text(value) == kLookForIt || text(value).starts_with('/')) return {};
  return "is neither auto nor an absolute path. Write it from the root, such as "
         "/home/me/.rustup/toolchains/stable-x86_64-unknown-linux-gnu.";
}

functions::RuntimeRule rule(const Entry& entry) {
  const auto field = [&](const char* name) {
    const auto it = entry.fields.find(name);
    return it == entry.fields.end() ? std::string() : it->second;
  };
  return {.prefix = field("prefix"), .pattern = field("pattern"), .runtime = field("runtime")};
}

std::vector<functions::RuntimeRule> rules(const Value& value) {
  std::vector<functions::RuntimeRule> out;
  for (const Entry& entry : std::get<std::vector<Entry>>(value)) out.push_back(rule(entry));
  return out;
}

std::string check_rules(const Value& value) {
  const Result<functions::RuntimeMap> map = functions::RuntimeMap::make(rules(value));
  if (map) return {};
  const std::string& message = map.error().message;
  constexpr std::string_view kKey = "runtime_map: ";  // which the loader says too
  return message.starts_with(kKey) ? message.substr(kKey.size()) : message;
}

std::string default_rules() {
  std::string out;
  for (const functions::RuntimeRule& r : functions::RuntimeMap::default_rules()) {
    fmt::format_to(std::back_inserter(out), "{}{{{}: {}, runtime: {}}}", out.empty() ? "" : ", ",
                   r.prefix.empty() ? "pattern" : "prefix", r.prefix.empty() ? r.pattern : r.prefix,
                   r.runtime);
  }
  return "[" + out + "]";
}

std::vector<Bound> server_settings() {
  return {
      {{.key = "host",
        .environment = {{"HOST"}},
        .default_text = "127.0.0.1",
        .description = "Address to listen on; a loopback address until tokens exist.",
        .common = true,
        .check = check_loopback},
       [](Settings& s, const Value& v) { s.host = text(v); }},
      {{.key = "port",
        .environment = {{"PORT"}},
        .type = Type::kInteger,
        .default_text = "8080",
        .maximum = 65'535,
        .description = "TCP port to listen on; 0 takes any free one.",
        .common = true},
       [](Settings& s, const Value& v) { s.port = number<std::uint16_t>(v); }},
      {{.key = "data",
        .default_from =
            [](const Environment& environment) {
              return default_data_directory(environment, ::geteuid() == 0).string();
            },
        .default_description =
            "`$XDG_DATA_HOME/seam` or `~/.local/share/seam`; for root `/var/lib/seam`",
        .description = "Directory of the database, the spool and the caches; made with mode 0700 "
                       "if it is not there.",
        .common = true},
       [](Settings& s, const Value& v) { s.data = text(v); }},
      {{.key = "threads",
        .type = Type::kInteger,
        .default_text = "0",
        .maximum = 256,
        .description = "Server threads; 0 starts one for each core.",
        .common = true},
       [](Settings& s, const Value& v) { s.threads = number<std::size_t>(v); }},
      {{.key = "isolation",
        .type = Type::kChoice,
        .default_text = "required",
        .choices = {"required", "off"},
        .description = "Whether workers must be sandboxed; off runs your functions as plain "
                       "processes that can do "
                       "what the server can.",
        .common = true},
       [](Settings& s, const Value& v) {
         s.isolation = text(v) == "off" ? process::Isolation::kOff : process::Isolation::kRequired;
       }},
      {{.key = "log.level",
        .environment = {{"LOG_LEVEL"}},
        .type = Type::kChoice,
        .default_text = "info",
        .choices = {"debug", "info", "warn", "error", "off"},
        .description = "What the server's own log on stderr holds.",
        .common = true},
       [](Settings& s, const Value& v) {
         Result<LogLevel> level = parse_log_level(text(v));
         CHECK(level.has_value());
         s.log_level = *level;
       }},
      {{.key = "log.format",
        .type = Type::kChoice,
        .default_text = "text",
        .choices = {"text", "json"},
        .description = "How the server's own log is written: text for people, or one JSON object a "
                       "line."},
       [](Settings& s, const Value& v) {
         s.log_format = text(v) == "json" ? LogFormat::kJson : LogFormat::kText;
       }},
      {{.key = "log.on_full",
        .type = Type::kChoice,
        .default_text = "reject",
        .choices = {"reject", "drop"},
        .description = "When the spool of call records is full: reject answers 503, drop answers "
                       "the call and drops "
                       "and counts its record."},
       [](Settings& s, const Value& v) {
         s.log_on_full =
             text(v) == "drop" ? functions::WhenFull::kDrop : functions::WhenFull::kReject;
       }},
      {{.key = "log.spool_bytes_max",
        .type = Type::kBytes,
        .default_text = "256MiB",
        .minimum = 16 * kMiB,
        .maximum = 1024 * kGiB,
        .description =
            "Most that records of calls may take on disk while they wait for the database."},
       [](Settings& s, const Value& v) { s.spool_bytes_max = number<std::uint64_t>(v); }},
      {{.key = "records.keep_hours",
        .type = Type::kInteger,
        .default_text = "168",
        .minimum = 1,
        .maximum = 87'600,
        .unit = "hours",
        .description = "How long records of calls are kept."},
       [](Settings& s, const Value& v) {
         s.records_keep = std::chrono::hours(number<std::int64_t>(v));
       }},
      {{.key = "records.bytes_max",
        .type = Type::kBytes,
        .default_text = "1GiB",
        .minimum = kMiB,
        .maximum = 1024 * kGiB,
        .description = "Most that records of calls may take in the database; the oldest go first."},
       [](Settings& s, const Value& v) { s.records_bytes_max = number<std::uint64_t>(v); }},
      {{.key = "sessions.expiry_seconds",
        .environment = {{"SESSION_EXPIRY_SECONDS"}},
        .type = Type::kInteger,
        .default_text = "3600",
        .minimum = 1,
        .maximum = 30 * kDay,
        .unit = "seconds",
        .description = "How long a session lives, counted from its last execute."},
       [](Settings& s, const Value& v) { s.session_expiry = seconds(number<std::int64_t>(v)); }},
      {{.key = "timeout_ms",
        .environment = {{"RUNTIME_TIMEOUT_SECONDS", 1000}},
        .type = Type::kInteger,
        .default_text = "30000",
        .minimum = 1,
        .maximum = 900'000,
        .unit = "milliseconds",
        .description = "How long a call may take that names no timeout_ms itself, waiting for a "
                       "worker included.",
        .common = true},
       [](Settings& s, const Value& v) { s.timeout = milliseconds(number<std::int64_t>(v)); }},
      {{.key = "cache.default",
        .type = Type::kChoice,
        .default_text = "off",
        .choices = {"on", "off"},
        .description = "Whether results are kept, and equal calls share a run, where neither the "
                       "request, the context nor the function says."},
       [](Settings& s, const Value& v) { s.cache.by_default = text(v) == "on"; }},
      {{.key = "cache.ttl_seconds",
        .environment = {{"CACHE_TTL_SECONDS"}},
        .type = Type::kInteger,
        .default_text = "3600",
        .minimum = 1,
        .maximum = 365 * kDay,
        .unit = "seconds",
        .description = "How old a kept result may be that answers a call whose request names no "
                       "max-age."},
       [](Settings& s, const Value& v) { s.cache.ttl = seconds(number<std::int64_t>(v)); }},
      {{.key = "cache.bytes_max",
        .type = Type::kBytes,
        .default_text = "64MiB",
        .minimum = kMiB,
        .maximum = 1024 * kGiB,
        .description = "Most that kept results and their keys may take in memory; one entry may "
                       "take a 64th of it."},
       [](Settings& s, const Value& v) { s.cache_bytes_max = number<std::size_t>(v); }},
      {{.key = "drain_timeout_seconds",
        .type = Type::kInteger,
        .default_text = "30",
        .maximum = 900,
        .unit = "seconds",
        .description = "How long a server that is told to stop waits for the calls in flight."},
       [](Settings& s, const Value& v) { s.drain_timeout = seconds(number<std::int64_t>(v)); }},
      {{.key = "limits.params_bytes_max",
        .type = Type::kBytes,
        .default_text = "6MiB",
        .minimum = kKiB,
        .maximum = kGiB,
        .description = "Largest body of an execute or invoke; more is answered 413."},
       [](Settings& s, const Value& v) { s.params_bytes_max = number<std::size_t>(v); }},
      {{.key = "limits.source_bytes_max",
        .environment = {{"MAX_SCRIPT_SIZE"}},
        .type = Type::kBytes,
        .default_text = "1MiB",
        .minimum = kKiB,
        .maximum = 64 * kMiB,
        .description = "Largest source text of a script or function; more is answered 413."},
       [](Settings& s, const Value& v) { s.source_bytes_max = number<std::size_t>(v); }},
      {{.key = "limits.content_bytes_max",
        .type = Type::kBytes,
        .default_text = "64MiB",
        .minimum = kKiB,
        .maximum = kGiB,
        .description =
            "Largest WebAssembly module that a function may be put with; more is answered 413."},
       [](Settings& s, const Value& v) { s.content_bytes_max = number<std::size_t>(v); }},
      {{.key = "http.connections_max",
        .type = Type::kInteger,
        .default_text = "20000",
        .minimum = 1,
        .maximum = 1'000'000,
        .description = "Connections open at once; more are answered 503 and closed."},
       [](Settings& s, const Value& v) { s.connections_max = number<std::size_t>(v); }},
      {{.key = "http.idle_timeout_seconds",
        .type = Type::kInteger,
        .default_text = "75",
        .minimum = 1,
        .maximum = kDay,
        .unit = "seconds",
        .description = "How long a connection may be silent between requests before it is closed."},
       [](Settings& s, const Value& v) { s.idle_timeout = seconds(number<std::int64_t>(v)); }},
      {{.key = "http.head_timeout_seconds",
        .type = Type::kInteger,
        .default_text = "10",
        .minimum = 1,
        .maximum = 3600,
        .unit = "seconds",
        .description =
            "How long the head of a request may take to arrive before it is answered 408."},
       [](Settings& s, const Value& v) { s.head_timeout = seconds(number<std::int64_t>(v)); }},
      {{.key = "http.body_timeout_seconds",
        .type = Type::kInteger,
        .default_text = "30",
        .minimum = 1,
        .maximum = 3600,
        .unit = "seconds",
        .description = "How long the body of a request may take beyond what it needs at 1 KiB/s "
                       "before it is answered "
                       "408."},
       [](Settings& s, const Value& v) { s.body_timeout = seconds(number<std::int64_t>(v)); }},
      {{.key = "runtimes.defaults.memory_bytes_max",
        .type = Type::kBytes,
        .default_text = "256MiB",
        .minimum = 32 * kMiB,
        .maximum = 64 * kGiB,
        .description = "Memory of one worker, or of one WebAssembly instance."},
       [](Settings& s, const Value& v) { s.limits.memory_bytes_max = number<std::uint64_t>(v); }},
      {{.key = "runtimes.defaults.disk_bytes_max",
        .type = Type::kBytes,
        .default_text = "32MiB",
        .minimum = kMiB,
        .maximum = kGiB,
        .description = "Size of a worker's own /tmp, which lies in memory."},
       [](Settings& s, const Value& v) { s.limits.disk_bytes_max = number<std::uint64_t>(v); }},
      {{.key = "runtimes.defaults.processes_max",
        .type = Type::kInteger,
        .default_text = "64",
        .minimum = 16,
        .maximum = 4096,
        .description = "Processes and threads of one worker together."},
       [](Settings& s, const Value& v) { s.limits.processes_max = number<std::uint32_t>(v); }},
      {{.key = "runtimes.defaults.workers_max",
        .type = Type::kInteger,
        .default_text = "4",
        .minimum = 1,
        .maximum = 1024,
        .description = "Workers of one function version or session at once."},
       [](Settings& s, const Value& v) { s.limits.workers_max = number<std::uint32_t>(v); }},
      {{.key = "runtimes.defaults.concurrency_max",
        .type = Type::kInteger,
        .default_text = "4",
        .minimum = 1,
        .maximum = 1024,
        .description = "Calls of one function version or session that run at once; the next wait."},
       [](Settings& s, const Value& v) { s.limits.concurrency_max = number<std::uint32_t>(v); }},
      {{.key = "runtimes.defaults.queue_max",
        .type = Type::kInteger,
        .default_text = "256",
        .maximum = 65'536,
        .description =
            "Calls of one function version or session that wait; the next is answered 503."},
       [](Settings& s, const Value& v) { s.limits.queue_max = number<std::uint32_t>(v); }},
      {{.key = "runtimes.defaults.log_bytes_max",
        .type = Type::kBytes,
        .default_text = "256KiB",
        .maximum = 16 * kMiB,
        .description = "What is kept of what one call prints; the rest is counted and dropped."},
       [](Settings& s, const Value& v) { s.limits.log_bytes_max = number<std::size_t>(v); }},
      {{.key = "runtimes.defaults.result_bytes_max",
        .type = Type::kBytes,
        .default_text = "16MiB",
        .minimum = 1,
        .maximum = 256 * kMiB,
        .description =
            "Largest result of a call; more is an error of the function, and never cut."},
       [](Settings& s, const Value& v) { s.limits.result_bytes_max = number<std::size_t>(v); }},
      {{.key = "runtimes.defaults.idle_seconds",
        .type = Type::kInteger,
        .default_text = "300",
        .minimum = 1,
        .maximum = kDay,
        .unit = "seconds",
        .description = "How long a worker without calls stays warm."},
       [](Settings& s, const Value& v) { s.worker_idle = seconds(number<std::int64_t>(v)); }},
      {{.key = "runtimes.defaults.calls_max",
        .type = Type::kInteger,
        .default_text = "1000000",
        .minimum = 1,
        .maximum = 1'000'000'000,
        .description = "Calls after which a worker is replaced by a fresh one."},
       [](Settings& s, const Value& v) { s.worker_calls_max = number<std::uint64_t>(v); }},
      {{.key = "runtimes.node.command",
        .default_text = "/usr/bin/node",
        .description = "Node, below /usr, which is what the sandbox shows of the machine.",
        .check = check_absolute},
       [](Settings& s, const Value& v) { s.node.command = text(v); }},
      {{.key = "runtimes.node.warm_workers",
        .type = Type::kInteger,
        .default_text = "1",
        .maximum = 64,
        .description = "Node workers that each server thread starts ahead of need."},
       [](Settings& s, const Value& v) { s.node.warm_workers = number<std::uint32_t>(v); }},
      {{.key = "runtimes.node.workers_max",
        .type = Type::kInteger,
        .default_text = "64",
        .minimum = 1,
        .maximum = 4096,
        .description = "Node workers of all functions together."},
       [](Settings& s, const Value& v) { s.node.workers_max = number<std::uint32_t>(v); }},
      {{.key = "runtimes.python.command",
        .default_text = "/usr/bin/python3",
        .description = "Python, below /usr, which is what the sandbox shows of the machine.",
        .check = check_absolute},
       [](Settings& s, const Value& v) { s.python.command = text(v); }},
      {{.key = "runtimes.python.warm_workers",
        .type = Type::kInteger,
        .default_text = "1",
        .maximum = 64,
        .description = "Python workers that each server thread starts ahead of need."},
       [](Settings& s, const Value& v) { s.python.warm_workers = number<std::uint32_t>(v); }},
      {{.key = "runtimes.python.workers_max",
        .type = Type::kInteger,
        .default_text = "64",
        .minimum = 1,
        .maximum = 4096,
        .description = "Python workers of all functions together."},
       [](Settings& s, const Value& v) { s.python.workers_max = number<std::uint32_t>(v); }},
      {{.key = "runtimes.wasm.threads",
        .type = Type::kInteger,
        .default_text = "0",
        .maximum = 256,
        .description =
            "Threads that run WebAssembly which takes long; 0 starts one for each core."},
       [](Settings& s, const Value& v) { s.wasm.threads = number<std::size_t>(v); }},
  };
}

std::vector<Bound> later_settings() {
  return {
      {{.key = "runtimes.rust.toolchain",
        .default_text = std::string(kLookForIt),
        .description = "Folder of a Rust toolchain with bin/rustc and the target wasm32-wasip1 or "
                       "wasm32-wasi; `auto` looks in lib/seam/rust beside the program's folder and "
                       "then in /usr.",
        .check = check_toolchain},
       [](Settings& s, const Value& v) {
         s.rust.toolchain = text(v) == kLookForIt ? "" : text(v);
       }},
      {{.key = "runtimes.rust.compile_timeout_seconds",
        .environment = {{"WASM_COMPILE_TIMEOUT_SECONDS"}},
        .type = Type::kInteger,
        .default_text = "60",
        .minimum = 1,
        .maximum = 3600,
        .unit = "seconds",
        .description = "How long the compiler may take for one source."},
       [](Settings& s, const Value& v) {
         s.rust.compile_timeout = seconds(number<std::int64_t>(v));
       }},
      {{.key = "runtimes.rust.compile_memory_bytes_max",
        .type = Type::kInteger,
        .default_text = std::to_string(kGiB),
        .minimum = 128 * kMiB,
        .maximum = 64 * kGiB,
        .unit = "bytes",
        .description = "Memory of one compiler, its files in memory included."},
       [](Settings& s, const Value& v) {
         s.rust.compile_memory_bytes_max = number<std::uint64_t>(v);
       }},
      {{.key = "runtimes.rust.cache_bytes_max",
        .type = Type::kInteger,
        .default_text = std::to_string(kGiB),
        .minimum = kMiB,
        .maximum = 1024 * kGiB,
        .unit = "bytes",
        .description = "Compiled sources kept on disk; the oldest go first."},
       [](Settings& s, const Value& v) { s.rust.cache_bytes_max = number<std::uint64_t>(v); }},
      {{.key = "runtime_map",
        .type = Type::kEntries,
        .default_text = default_rules(),
        .fields = {"prefix", "pattern", "runtime"},
        .description =
            "Which runtime a function's name leads to: rules with a prefix or a pattern (a regular "
            "expression), the first that fits wins.",
        .check = check_rules},
       [](Settings& s, const Value& v) { s.runtime_map = rules(v); }},
  };
}

const std::vector<Bound>& bound_settings() {
  static const std::vector<Bound> bound = [] {
    std::vector<Bound> all = server_settings();
    for (auto* more : {engine_settings, later_settings})
      std::ranges::move(more(), std::back_inserter(all));
    return all;
  }();
  return bound;
}

}  // namespace

const std::vector<Setting>& descriptors() {
  static const std::vector<Setting> settings = [] {
    std::vector<Setting> out;
    for (const Bound& bound : bound_settings()) out.push_back(bound.setting);
    return out;
  }();
  return settings;
}

const std::vector<config::Unbuilt>& unbuilt() {
  constexpr auto kRemote =
      "remote runtimes are not in this build. Remove it: functions run in local workers.";
  static const std::vector<config::Unbuilt> names{
      {"database.url", "DATABASE_URL",
       "PostgreSQL is not in this build. Remove it: functions, sessions and records are kept in "
       "SQLite below `data`."},
      {"redis.url", "REDIS_URL",
       "Redis is not in this build. Remove it: nothing is shared between servers."},
      {"rate_limits", "",
       "rate limits are not in this build. Remove it: workers and queues alone bound the calls."},
      {"runtimes.node.url", "NODEJS_RUNTIME_URL", kRemote},
      {"runtimes.python.url", "PYTHON_RUNTIME_URL", kRemote},
      {"runtimes.rust.url", "RUST_RUNTIME_URL", kRemote},
      {"", "RUNTIME_FALLBACK_TIMEOUT_SECONDS", kRemote},
      {"", "RUNTIME_MAX_RETRIES", kRemote},
      {"", "RUNTIME_SELECTION_STRATEGY", kRemote},
      {"kubernetes.namespace", "KUBERNETES_NAMESPACE",
       "Kubernetes discovery is not in this build. Remove it."},
      {"metrics.port", "METRICS_PORT", "a port for metrics is not in this build. Remove it."},
  };
  return names;
}

std::filesystem::path default_data_directory(const Environment& environment, bool as_root) {
  if (as_root) return "/var/lib/seam";
  const auto variable = [&](const char* name) {
    const auto it = environment.find(name);
    return std::filesystem::path(it == environment.end() ? "" : it->second);
  };
  // source    XDG Base Directory Specification 0.8: a path that is not absolute is ignored.
  if (const auto data_home = variable("XDG_DATA_HOME"); data_home.is_absolute())
    return data_home / "seam";
  if (const auto home = variable("HOME"); home.is_absolute()) return home / ".local/share/seam";
  return "/var/lib/seam";
}

Result<LoadedSettings> load_settings(const config::Sources& sources) {
  LoadedSettings loaded;
  SEAM_ASSIGN_OR_RETURN(loaded.effective, config::load(descriptors(), unbuilt(), sources));
  for (std::size_t i = 0; i < loaded.effective.size(); ++i) {
    bound_settings()[i].store(loaded.settings, loaded.effective[i].value);
  }
  SEAM_RETURN_IF_ERROR(settle_engines(loaded));
  return loaded;
}

}  // namespace seam::cli
