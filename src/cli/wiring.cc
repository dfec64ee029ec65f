#include "cli/wiring.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <thread>
#include <vector>

#include "api/calls_api.h"
#include "api/console_api.h"
#include "api/door.h"
#include "api/functions_api.h"
#include "api/health_api.h"
#include "api/metrics_api.h"
#include "api/openapi_api.h"
#include "api/sessions_api.h"
#include "base/event_loop.h"
#include "base/json_text.h"
#include "base/log.h"
#include "cli/build_commit.h"
#include "cli/commands.h"
#include "cli/examples.h"
#include "cli/run_on.h"
#include "cli/rust_toolchains.h"
#include "cli/server_engines.h"
#include "functions/call_metrics.h"
#include "functions/executor.h"
#include "functions/log_hub.h"
#include "functions/names.h"
#include "functions/recorder.h"
#include "functions/registry.h"
#include "functions/result_cache.h"
#include "functions/sessions.h"
#include "http/server.h"
#include "journal/journal.h"
#include "packages/package_cache.h"
#include "process/spawner.h"
#include "runtimes/node/node_runtime.h"
#include "runtimes/python/python_runtime.h"
#include "runtimes/rust/rust_runtime.h"
#include "runtimes/wasm/engine_router.h"
#include "store/record_drain.h"
#include "store/sqlite/sqlite_store.h"

namespace seam::cli {
namespace {

constexpr seconds kExpiredSessionsInterval(30);

Result<void> make_directory(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return fail_errno(
        fmt::format("data: cannot make the directory {} (give one of yours by --data)",
                    path.string()),
        error.value());
  std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  if (error)
    return fail_errno(
        fmt::format("data: {} is another user's, for its mode cannot be set (give one of "
                    "yours by --data)",
                    path.string()),
        error.value());
  return {};
}

http::ServerOptions server_options(const Settings& settings) {
  http::ServerOptions options;
  options.host = settings.host;
  options.port = settings.port;
  options.connections_max = settings.connections_max;
  options.idle_timeout = settings.idle_timeout;
  options.head_timeout = settings.head_timeout;
  options.body_timeout = settings.body_timeout;
  return options;
}

runtimes::PoolLimits pool_limits(const Settings& settings, const WorkerRuntimeSettings& runtime) {
  runtimes::PoolLimits limits;
  limits.workers_max = runtime.workers_max;
  limits.warm_per_loop = runtime.warm_workers;
  limits.idle_max = settings.worker_idle;
  limits.calls_max = settings.worker_calls_max;
  return limits;
}

functions::ImplementationOptions default_options(const Settings& settings) {
  functions::ImplementationOptions options;
  options.limits = settings.limits;
  return options;
}

}  // namespace

std::string render_isolation(const process::IsolationReport& report) {
  std::string out = fmt::format(R"({{"complete":{},"as_root":{},"cgroup":"{}","layers":[)",
                                report.complete(), report.as_root, report.cgroup_version);
  for (const process::IsolationLayer& layer : report.layers) {
    if (!out.ends_with('[')) out.push_back(',');
    out.append(R"({"name":)");
    append_json_string(out, layer.name);
    out.append(
        fmt::format(R"(,"in_force":{},"essential":{},"detail":)", layer.in_force, layer.essential));
    append_json_string(out, layer.detail);
    out.append(R"(,"meaning":)");
    append_json_string(out, layer.meaning);
    out.push_back('}');
  }
  return out + "]}";
}

// In the order they are made; destroyed in the reverse, after the loops' threads have ended.
struct FunctionHost::Parts {
  Parts(const Settings& wanted, HostOptions options)
      : settings(wanted), host_options(std::move(options)) {}

  Settings settings;
  HostOptions host_options;
  metrics::Registry metrics;  // outlives whatever counts
  bool fresh = false;
  std::vector<std::string> examples;  // registered by this start
  bool stopped = false;
  std::vector<std::unique_ptr<EventLoop>> loops;
  std::vector<EventLoop*> loop_pointers;
  EventLoop metrics_loop{"seam-metrics"};  // writes /metrics, away from calls
  std::unique_ptr<functions::CallMetrics> call_metrics;
  std::optional<functions::RuntimeMap> names;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<journal::Journals> journals;
  std::unique_ptr<store::RecordDrain> drain;
  std::unique_ptr<packages::PackageCache> packages;
  std::unique_ptr<process::Spawner> spawner;
  functions::RuntimeTable runtimes;
  runtimes::EngineRouter* engines = nullptr;  // of `runtimes`
  std::unique_ptr<functions::Registry> registry;
  std::unique_ptr<functions::Sessions> sessions;
  std::unique_ptr<functions::Recorder> recorder;
  std::unique_ptr<functions::ResultCache> cache;
  std::unique_ptr<functions::LogHub> logs;
  std::unique_ptr<functions::Executor> executor;
  std::unique_ptr<api::SessionsApi> sessions_api;
  std::unique_ptr<api::FunctionsApi> functions_api;
  std::unique_ptr<api::CallsApi> calls_api;
  std::unique_ptr<api::HealthApi> health_api;
  std::unique_ptr<api::MetricsApi> metrics_api;
  std::unique_ptr<api::OpenapiApi> openapi_api;
  api::ConsoleApi console_api;
  api::Door door;
  http::RouteTable routes;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<Timer> expired_sessions;
  std::vector<std::jthread> threads;

  EventLoop& home() { return *loops.front(); }

  Result<void> open_storage();
  Result<void> make_runtimes(process::SpawnerProcess spawner_process);
  void make_api();
  void start_threads();
  Task<Result<void>> take_in();
  Task<> load_engines();
  Result<functions::SessionPtr> restored(const store::SessionRow& row) const;
  void look_for_expired_sessions();
  Task<> shut_down();
};

Result<void> FunctionHost::Parts::open_storage() {
  SEAM_RETURN_IF_ERROR(make_directory(settings.data));
  const std::filesystem::path database = settings.data / "seam.db";
  fresh = !std::filesystem::exists(database);
  // The journal's lock keeps a second server away from this directory before anything is changed in
  // it.
  SEAM_ASSIGN_OR_RETURN(store, store::create_sqlite_store({.path = database}));
  // An earlier server may write its last records until the lock is ours: only what is read after
  // that holds.
  std::vector<std::uint64_t> acknowledged;
  do {
    journals.reset();
    SEAM_ASSIGN_OR_RETURN(acknowledged, store->acknowledged());
    SEAM_ASSIGN_OR_RETURN(journals,
                          journal::Journals::open({.directory = settings.data / "journal",
                                                   .writers = loops.size(),
                                                   .total_bytes_max = settings.spool_bytes_max},
                                                  acknowledged));
  } while (store->acknowledged() != acknowledged);
  drain = std::make_unique<store::RecordDrain>(
      *journals, *store,
      store::RecordDrainOptions{.keep = settings.records_keep,
                                .records_bytes_max = settings.records_bytes_max});
  // What an earlier process answered and did not write: before the sessions are read, so that their
  // counts are true.
  SEAM_RETURN_IF_ERROR(drain->drain_all());
  drain->start();
  return {};
}

Result<void> FunctionHost::Parts::make_runtimes(process::SpawnerProcess spawner_process) {
  spawner = std::make_unique<process::Spawner>(std::move(spawner_process), home());
  process::WorkerLimits worker;
  worker.memory_bytes_max = settings.limits.memory_bytes_max;
  worker.disk_bytes_max = settings.limits.disk_bytes_max;
  worker.processes_max = settings.limits.processes_max;
  SEAM_ASSIGN_OR_RETURN(
      packages, packages::PackageCache::open({.folder = (settings.data / "packages").string()}));
  const std::string harness = (settings.data / "harness").string();
  SEAM_ASSIGN_OR_RETURN(runtimes["nodejs"], runtimes::create_node_runtime(
                                                {.harness_folder = harness,
                                                 .interpreter = settings.node.command,
                                                 .limits = pool_limits(settings, settings.node),
                                                 .worker = worker},
                                                *spawner, loop_pointers));
  SEAM_ASSIGN_OR_RETURN(runtimes["python"], runtimes::create_python_runtime(
                                                {.harness_folder = harness,
                                                 .folders = packages->folder(),
                                                 .interpreter = settings.python.command,
                                                 .limits = pool_limits(settings, settings.python),
                                                 .worker = worker},
                                                *spawner, loop_pointers));
  auto router =
      std::make_unique<runtimes::EngineRouter>(engine_options(settings), *spawner, loop_pointers);
  engines = router.get();
  runtimes["wasm"] = std::move(router);
  SEAM_ASSIGN_OR_RETURN(
      runtimes["rust"],
      runtimes::create_rust_runtime(
          {.compiler = {.folder = (settings.data / "rust").string(),
                        .toolchains = rust_toolchains(settings.rust),
                        .toolchain_wanted = !settings.rust.toolchain.empty(),
                        .time_max = settings.rust.compile_timeout,
                        .memory_bytes_max = settings.rust.compile_memory_bytes_max,
                        .modules_bytes_max = settings.rust.cache_bytes_max,
                        // Half of the processors stay for calls.
                        .at_once_max = std::max(1U, std::thread::hardware_concurrency() / 2),
                        .precompiled = precompiled_examples()}},
          *spawner, *runtimes["wasm"]));
  return {};
}

void FunctionHost::Parts::make_api() {
  call_metrics = std::make_unique<functions::CallMetrics>(metrics);
  registry = std::make_unique<functions::Registry>(*store, *packages, *names, runtimes,
                                                   *call_metrics, loop_pointers);
  sessions = std::make_unique<functions::Sessions>(
      *store, Clock::real(), functions::SessionsOptions{.lifetime = settings.session_expiry},
      [this](const functions::Session& session) {
        if (runtimes::Runtime* runtime = registry->runtime(session.runtime))
          runtime->release(session.script->id);
      });
  recorder = std::make_unique<functions::Recorder>(*journals, loop_pointers, settings.log_on_full);
  cache = std::make_unique<functions::ResultCache>(Clock::real(), settings.cache_bytes_max);
  logs = std::make_unique<functions::LogHub>(loop_pointers);
  executor = std::make_unique<functions::Executor>(
      functions::ExecutorParts{.registry = *registry,
                               .sessions = *sessions,
                               .recorder = *recorder,
                               .cache = *cache,
                               .logs = *logs,
                               .metrics = *call_metrics,
                               .clock = Clock::real()},
      functions::ExecutorOptions{.timeout = settings.timeout, .cache = settings.cache});
  if (host_options.on_call) executor->observe(host_options.on_call);
  const api::BodyLimits limits{.source_bytes_max = settings.source_bytes_max,
                               .content_bytes_max = settings.content_bytes_max,
                               .params_bytes_max = settings.params_bytes_max};
  sessions_api = std::make_unique<api::SessionsApi>(
      *sessions, *registry, *executor, *names, Clock::real(), default_options(settings), limits);
  functions_api = std::make_unique<api::FunctionsApi>(*registry, *executor, *names,
                                                      default_options(settings), limits);
  health_api = std::make_unique<api::HealthApi>(*store, runtimes, std::string(version()),
                                                render_isolation(spawner->report()));
  calls_api = std::make_unique<api::CallsApi>(*store, *drain, *logs, Clock::real());
  metrics_api = std::make_unique<api::MetricsApi>(api::MetricsSources{.registry = metrics,
                                                                      .runtimes = runtimes,
                                                                      .functions = *registry,
                                                                      .sessions = *sessions,
                                                                      .recorder = *recorder,
                                                                      .cache = *cache,
                                                                      .journals = *journals,
                                                                      .drain = *drain},
                                                  metrics_loop, std::string(version()),
                                                  std::string(build_commit()));
  sessions_api->mount(routes);
  calls_api->mount(routes);
  functions_api->mount(routes);
  health_api->mount(routes);
  metrics_api->mount(routes);
  console_api.mount(routes);
  openapi_api = std::make_unique<api::OpenapiApi>(std::string(version()));
  openapi_api->mount(routes);
  openapi_api->describe(routes);  // when all are mounted
  http::ServerOptions options = server_options(settings);
  options.metrics = &metrics;
  server = std::make_unique<http::Server>(std::move(options), routes, door, loop_pointers);
}

void FunctionHost::Parts::start_threads() {
  try {
    for (EventLoop* loop : loop_pointers) threads.emplace_back([loop] { loop->run(); });
    threads.emplace_back([this] { metrics_loop.run(); });
  } catch (const std::system_error&) {
    // With some loops and not others nothing can be shut down in order.
    for (EventLoop* loop : loop_pointers) loop->stop();
    threads.clear();
    throw;
  }
}

Result<functions::SessionPtr> FunctionHost::Parts::restored(const store::SessionRow& row) const {
  functions::Session session;
  session.request_id = row.request_id;
  session.language_title = row.language_title;
  session.user_id = row.user_id;
  SEAM_ASSIGN_OR_RETURN(session.context, functions::CallContext::parse(row.context));
  if (!row.script_content.empty()) {
    SEAM_ASSIGN_OR_RETURN(const functions::ResolvedName name, names->resolve(row.language_title));
    functions::ImplementationOptions options = default_options(settings);
    options.environment = session.context.environment;
    options.wish = session.context.wish;
    session.script = functions::make_program(row.language_title, row.script_content, options);
    session.runtime = name.runtime;
  }
  session.created_at = row.created_at;
  session.lifetime = seconds(row.lifetime_seconds);
  session.use = std::make_shared<functions::SessionUse>();
  session.use->expires_at_us = row.expires_at.time_since_epoch().count();
  session.use->execution_count = row.execution_count;
  session.use->last_executed_at_us =
      row.last_executed_at ? row.last_executed_at->time_since_epoch().count() : 0;
  return std::make_shared<const functions::Session>(std::move(session));
}

// Loads the engines that the settings and the functions name, so that what cannot be loaded is said
// at the start.
Task<> FunctionHost::Parts::load_engines() {
  std::set<std::pair<std::string, std::string>> seen;
  for (const functions::FunctionPtr& function : registry->catalogue()->all()) {
    const functions::ImplementationPtr* routed = function->choose(0);
    if (routed == nullptr) continue;
    const runtimes::EngineWish wish = (*routed)->options.wish;
    if (wish.engine.empty() || !seen.emplace(wish.engine, wish.fallback).second) continue;
    co_await engines->look_at(wish);
  }
}

Task<Result<void>> FunctionHost::Parts::take_in() {
  co_await engines->look_at({});
  SEAM_CO_ASSIGN_OR_RETURN(store::Snapshot snapshot, co_await store->load());
  for (const store::SessionRow& row : snapshot.sessions) {
    Result<functions::SessionPtr> session = restored(row);
    if (session) {
      sessions->restore(*std::move(session));
    } else {
      // Its language is not in this server's runtime map any more, say; the others are not to
      // suffer.
      log_warning("session {} cannot be taken up again: {}", row.request_id,
                  session.error().message);
    }
  }
  Result<void> loaded = co_await registry->load(std::move(snapshot));
  SEAM_CO_RETURN_IF_ERROR(std::move(loaded));
  co_await load_engines();
  if (fresh && host_options.examples)
    examples = co_await register_examples(*registry, default_options(settings));
  co_return Result<void>();
}

void FunctionHost::Parts::look_for_expired_sessions() {
  expired_sessions->start(Deadline::after(kExpiredSessionsInterval), [this] {
    ::seam::start(sessions->end_expired(), [this] { look_for_expired_sessions(); });
  });
}

FunctionHost::FunctionHost() = default;

Result<std::unique_ptr<FunctionHost>> FunctionHost::start(const Settings& settings,
                                                          process::SpawnerProcess spawner,
                                                          HostOptions options) {
  try {
    return start_parts(settings, std::move(spawner), std::move(options));
  } catch (const std::system_error& error) {  // std::thread's
    return fail(
        ErrorCode::kResourceExhausted,
        fmt::format("no thread can be started: {}. Allow this user more processes (ulimit -u), or "
                    "the service more tasks (TasksMax= of systemd, pids.max of its cgroup)",
                    error.code().message()));
  }
}

Result<std::unique_ptr<FunctionHost>> FunctionHost::start_parts(const Settings& settings,
                                                                process::SpawnerProcess spawner,
                                                                HostOptions options) {
  std::unique_ptr<FunctionHost> host(new FunctionHost);
  host->parts_ = std::make_unique<Parts>(settings, std::move(options));
  Parts& parts = *host->parts_;
  const std::size_t threads =
      settings.threads != 0 ? settings.threads : std::max(1U, std::thread::hardware_concurrency());
  for (std::size_t i = 0; i < threads; ++i) {
    parts.loops.push_back(std::make_unique<EventLoop>(fmt::format("seam-{}", i)));
    parts.loop_pointers.push_back(parts.loops.back().get());
  }
  SEAM_ASSIGN_OR_RETURN(parts.names, functions::RuntimeMap::make(settings.runtime_map));
  SEAM_RETURN_IF_ERROR(parts.open_storage());
  SEAM_RETURN_IF_ERROR(parts.make_runtimes(std::move(spawner)));
  parts.make_api();
  parts.expired_sessions = std::make_unique<Timer>(parts.home());
  parts.start_threads();
  SEAM_RETURN_IF_ERROR(run_on(parts.home(), parts.take_in()));
  SEAM_RETURN_IF_ERROR(parts.server->listen());
  parts.home().post([&parts] { parts.look_for_expired_sessions(); });
  parts.health_api->set_ready(true);
  return host;
}

std::string FunctionHost::url() const {
  const std::string& host = parts_->settings.host;
  return fmt::format("http://{}:{}", host.contains(':') ? "[" + host + "]" : host,
                     parts_->server->port());
}

const process::IsolationReport& FunctionHost::isolation() const {
  return parts_->spawner->report();
}

FunctionHost::Inside FunctionHost::inside() const {
  return {.home = parts_->home(),
          .functions_api = *parts_->functions_api,
          .registry = *parts_->registry,
          .executor = *parts_->executor,
          .logs = *parts_->logs,
          .packages = parts_->packages->folder()};
}

const std::vector<std::string>& FunctionHost::examples() const { return parts_->examples; }

Task<> FunctionHost::Parts::shut_down() {
  health_api->set_ready(false);
  if (server) co_await server->drain(Deadline::after(settings.drain_timeout));
  expired_sessions->cancel();
  for (auto& [name, runtime] : runtimes) co_await runtime->shut_down();
}

void FunctionHost::stop() {
  Parts& parts = *parts_;
  if (std::exchange(parts.stopped, true)) return;
  if (!parts.threads.empty()) {
    run_on(parts.home(), parts.shut_down());
    for (EventLoop* loop : parts.loop_pointers) loop->stop();
    parts.metrics_loop.stop();
    parts.threads.clear();  // joins
  }
  // What is let go of from here on is for the next start to take up.
  if (parts.packages) parts.packages->close();
  if (parts.drain) parts.drain->stop();
}

FunctionHost::~FunctionHost() { stop(); }

}  // namespace seam::cli
