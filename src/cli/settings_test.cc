#include "cli/settings.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "functions/options.h"

namespace seam::cli {
namespace {

using GivenFlags = std::vector<std::pair<std::string, std::string>>;

Result<LoadedSettings> load_with(GivenFlags flags, config::Environment environment = {}) {
  environment.emplace("HOME", "/home/ann");
  return load_settings(
      {.flags = std::move(flags), .environment = std::move(environment), .file = "/dev/null/none"});
}

// Without a seam.yaml: the tests run in a directory that has none.
Result<LoadedSettings> load_plain(GivenFlags flags = {}, config::Environment environment = {}) {
  environment.emplace("HOME", "/home/ann");
  return load_settings({.flags = std::move(flags), .environment = std::move(environment)});
}

std::string error(const Result<LoadedSettings>& loaded) {
  return loaded ? "no error" : loaded.error().message;
}

TEST(Settings, DefaultsAreThoseOfTheContract) {
  const Result<LoadedSettings> loaded = load_plain();
  ASSERT_TRUE(loaded) << loaded.error().message;
  const Settings& s = loaded->settings;
  EXPECT_EQ(s.host, "127.0.0.1");
  EXPECT_EQ(s.port, 8080);
  EXPECT_EQ(s.isolation, process::Isolation::kRequired);
  EXPECT_EQ(s.log_level, LogLevel::kInfo);
  EXPECT_EQ(s.log_on_full, functions::WhenFull::kReject);
  EXPECT_EQ(s.records_keep, std::chrono::hours(168));
  EXPECT_EQ(s.records_bytes_max, 1U << 30U);
  EXPECT_EQ(s.session_expiry, seconds(3600));
  EXPECT_EQ(s.timeout, milliseconds(30'000));
  EXPECT_EQ(s.params_bytes_max, 6U << 20U);
  EXPECT_EQ(s.source_bytes_max, 1U << 20U);
  EXPECT_EQ(s.content_bytes_max, 64U << 20U);
  EXPECT_EQ(s.runtime_map.size(), functions::RuntimeMap::default_rules().size());
  EXPECT_EQ(s.runtime_map.back().pattern, "^js-");
}

// The defaults of an implementation are written twice: where it is declared, and as text in the
// descriptors.
TEST(Settings, LimitsDefaultToThoseOfAProgram) {
  const Result<LoadedSettings> loaded = load_plain();
  ASSERT_TRUE(loaded);
  const runtimes::ProgramLimits& s = loaded->settings.limits;
  const runtimes::ProgramLimits expected;
  EXPECT_EQ(s.memory_bytes_max, expected.memory_bytes_max);
  EXPECT_EQ(s.disk_bytes_max, expected.disk_bytes_max);
  EXPECT_EQ(s.processes_max, expected.processes_max);
  EXPECT_EQ(s.log_bytes_max, expected.log_bytes_max);
  EXPECT_EQ(s.result_bytes_max, expected.result_bytes_max);
  EXPECT_EQ(s.workers_max, expected.workers_max);
  EXPECT_EQ(s.concurrency_max, expected.concurrency_max);
  EXPECT_EQ(s.queue_max, expected.queue_max);
}

// Goal: a server's defaults are written into the options of what is put, and must be read back at
// the next start. Method: each limit of `runtimes.defaults` at both ends of its range, read as an
// option.
TEST(Settings, LimitsStayWithinThoseOfAnImplementation) {
  for (const config::Setting& setting : descriptors()) {
    constexpr std::string_view kPrefix = "runtimes.defaults.";
    if (!setting.key.starts_with(kPrefix)) continue;
    const std::string name = setting.key.substr(kPrefix.size());
    if (name == "idle_seconds" || name == "calls_max")
      continue;  // of a worker, not of what it runs
    for (const std::int64_t value : {setting.minimum, setting.maximum}) {
      const std::string json = name == "concurrency_max"
                                   ? fmt::format(R"({{"concurrency": {}}})", value)
                                   : fmt::format(R"({{"limits": {{"{}": {}}}}})", name, value);
      const auto options = functions::parse_options(json, {});
      EXPECT_TRUE(options) << options.error().message;
    }
  }
}

// Goal: no descriptor is bound to another's member. Method: every number gets a value of its own,
// and all arrive.
TEST(Settings, EachDescriptorReachesAMemberOfItsOwn) {
  GivenFlags flags;
  std::int64_t next = 0;
  std::multiset<std::int64_t> given;
  for (const config::Setting& setting : descriptors()) {
    if (setting.type != config::Type::kInteger && setting.type != config::Type::kBytes) continue;
    const std::int64_t value = setting.minimum + ++next;
    ASSERT_LE(value, setting.maximum) << setting.key;
    flags.emplace_back(setting.flag(), std::to_string(value));
    given.insert(value);
  }
  const Result<LoadedSettings> loaded = load_plain(flags);
  ASSERT_TRUE(loaded) << loaded.error().message;
  const Settings& s = loaded->settings;
  const auto n = [](auto value) { return static_cast<std::int64_t>(value); };
  const std::multiset<std::int64_t> arrived{n(s.port),
                                            n(s.threads),
                                            n(s.spool_bytes_max),
                                            s.records_keep.count(),
                                            n(s.records_bytes_max),
                                            s.session_expiry.count(),
                                            s.timeout.count(),
                                            s.cache.ttl.count(),
                                            n(s.cache_bytes_max),
                                            s.drain_timeout.count(),
                                            n(s.params_bytes_max),
                                            n(s.source_bytes_max),
                                            n(s.content_bytes_max),
                                            n(s.connections_max),
                                            s.idle_timeout.count(),
                                            s.head_timeout.count(),
                                            s.body_timeout.count(),
                                            n(s.limits.memory_bytes_max),
                                            n(s.limits.disk_bytes_max),
                                            n(s.limits.processes_max),
                                            n(s.limits.workers_max),
                                            n(s.limits.concurrency_max),
                                            n(s.limits.queue_max),
                                            n(s.limits.log_bytes_max),
                                            n(s.limits.result_bytes_max),
                                            s.worker_idle.count(),
                                            n(s.worker_calls_max),
                                            n(s.node.warm_workers),
                                            n(s.node.workers_max),
                                            n(s.python.warm_workers),
                                            n(s.python.workers_max),
                                            s.rust.compile_timeout.count(),
                                            n(s.rust.compile_memory_bytes_max),
                                            n(s.rust.cache_bytes_max),
                                            n(s.wasm.threads),
                                            n(s.wasm.warm_workers),
                                            n(s.wasm.workers_max)};
  EXPECT_EQ(arrived, given);
}

TEST(Settings, TheEngineIsTheFirstAndHasItsFirstMode) {
  const Result<LoadedSettings> loaded = load_plain();
  ASSERT_TRUE(loaded) << loaded.error().message;
  const WasmSettings& wasm = loaded->settings.wasm;
  EXPECT_EQ(wasm.engine, "wasmtime");
  EXPECT_EQ(wasm.fallback, "");
  EXPECT_FALSE(wasm.own_process);
  EXPECT_EQ(wasm.modes.at("wasmtime"), "cranelift");
  EXPECT_EQ(wasm.engines, "") << "beside the program";
  EXPECT_EQ(load_plain({{"--runtimes-wasm-engines", "/opt/e"}})->settings.wasm.engines, "/opt/e");
}

TEST(Settings, AnEngineIsNoFallbackOfItself) {
  EXPECT_EQ(error(load_plain({{"--runtime-config-fallback", "wasmtime"}})),
            "flag --runtime-config-fallback: runtime_config.fallback: \"wasmtime\" is the engine "
            "itself. Name another, or remove it.");
}

TEST(Settings, EachDescriptorIsDescribedAndNamedOnce) {
  std::set<std::string> names;
  for (const config::Setting& setting : descriptors()) {
    EXPECT_TRUE(setting.description.ends_with('.')) << setting.key;
    EXPECT_TRUE(names.insert(setting.flag()).second) << setting.key;
    EXPECT_TRUE(names.insert(setting.environment_name()).second) << setting.key;
    for (const config::EnvironmentName& name : setting.environment)
      EXPECT_TRUE(names.insert(name.name).second);
  }
  for (const config::Unbuilt& name : unbuilt()) {
    EXPECT_TRUE(name.message.contains("not in this build. Remove it")) << name.message;
    if (!name.environment.empty())
      EXPECT_TRUE(names.insert(name.environment).second) << name.environment;
  }
}

TEST(Settings, OnlyLoopback) {
  for (const char* host : {"127.0.0.1", "127.8.0.1", "::1", "localhost"}) {
    EXPECT_EQ(error(load_plain({{"--host", host}})), "no error") << host;
  }
  EXPECT_EQ(error(load_plain({{"--host", "0.0.0.0"}})),
            "flag --host: host: \"0.0.0.0\" is not a loopback address. Until tokens exist the "
            "server listens on loopback "
            "only: use 127.0.0.1 or ::1.");
  for (const char* host :
       {"127.evil.example", "127.0.0.1.example.com", "127.0.0.256", "127.1", "::", "example.com"}) {
    EXPECT_NE(error(load_plain({{"--host", host}})), "no error") << host;
  }
}

TEST(Settings, KeptVariables) {
  const Result<LoadedSettings> loaded = load_plain({}, {{"HOST", "::1"},
                                                        {"PORT", "9000"},
                                                        {"SESSION_EXPIRY_SECONDS", "60"},
                                                        {"RUNTIME_TIMEOUT_SECONDS", "5"},
                                                        {"MAX_SCRIPT_SIZE", "2048"},
                                                        {"LOG_LEVEL", "DEBUG"},
                                                        {"SEAM_DATA", "/tmp/x"}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->settings.host, "::1");
  EXPECT_EQ(loaded->settings.port, 9000);
  EXPECT_EQ(loaded->settings.session_expiry, seconds(60));
  EXPECT_EQ(loaded->settings.timeout, seconds(5));
  EXPECT_EQ(loaded->settings.source_bytes_max, 2048U);
  EXPECT_EQ(loaded->settings.log_level, LogLevel::kDebug);
  EXPECT_EQ(loaded->settings.data, "/tmp/x");
}

TEST(Settings, PartsNotBuiltAreRefused) {
  for (const char* name :
       {"DATABASE_URL", "REDIS_URL", "NODEJS_RUNTIME_URL", "PYTHON_RUNTIME_URL", "RUST_RUNTIME_URL",
        "RUNTIME_FALLBACK_TIMEOUT_SECONDS", "RUNTIME_MAX_RETRIES", "RUNTIME_SELECTION_STRATEGY",
        "KUBERNETES_NAMESPACE", "METRICS_PORT"}) {
    const std::string message = error(load_plain({}, {{name, "secret"}}));
    EXPECT_TRUE(message.starts_with(std::string("environment ") + name + ": ")) << message;
    EXPECT_FALSE(message.contains("secret")) << message;
  }
}

TEST(Settings, Cache) {
  const Result<LoadedSettings> plain = load_plain({});
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_FALSE(plain->settings.cache.by_default);
  EXPECT_EQ(plain->settings.cache.ttl, seconds(3600));
  EXPECT_EQ(plain->settings.cache_bytes_max, 64U << 20U);
  const Result<LoadedSettings> wanted =
      load_plain({{"--cache-default", "on"}}, {{"CACHE_TTL_SECONDS", "60"}});
  ASSERT_TRUE(wanted) << wanted.error().message;
  EXPECT_TRUE(wanted->settings.cache.by_default);
  EXPECT_EQ(wanted->settings.cache.ttl, seconds(60));
  EXPECT_FALSE(load_plain({{"--cache-default", "yes"}}).has_value());
  EXPECT_FALSE(load_plain({{"--cache-bytes-max", "1KiB"}}).has_value());
}

TEST(Settings, RuntimeMap) {
  const Result<LoadedSettings> loaded =
      load_plain({{"--runtime-map", "[{prefix: x-, runtime: python}]"}});
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->settings.runtime_map.size(), 1U);
  EXPECT_EQ(loaded->settings.runtime_map[0].prefix, "x-");
  EXPECT_EQ(loaded->settings.runtime_map[0].runtime, "python");
  const std::string message =
      error(load_plain({{"--runtime-map", "[{pattern: '(', runtime: python}]"}}));
  EXPECT_TRUE(message.starts_with(
      "flag --runtime-map: runtime_map: the pattern '(' is not a regular expression"))
      << message;
}

TEST(Settings, DataDirectory) {
  EXPECT_EQ(default_data_directory({{"HOME", "/home/ann"}}, false), "/home/ann/.local/share/seam");
  EXPECT_EQ(default_data_directory({{"HOME", "/home/ann"}, {"XDG_DATA_HOME", "/data"}}, false),
            "/data/seam");
  EXPECT_EQ(default_data_directory({{"HOME", "/home/ann"}, {"XDG_DATA_HOME", "data"}}, false),
            "/home/ann/.local/share/seam");
  EXPECT_EQ(default_data_directory({{"HOME", "/root"}}, true), "/var/lib/seam");
  EXPECT_EQ(default_data_directory({}, false), "/var/lib/seam");
}

TEST(Settings, AFileThatIsNamedMustBeThere) {
  EXPECT_EQ(error(load_with({})), "/dev/null/none: Not a directory");
}

}  // namespace
}  // namespace seam::cli
