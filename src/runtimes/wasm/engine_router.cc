#include "runtimes/wasm/engine_router.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace seam::runtimes {

// One engine, here in the server or apart in processes of its own.
struct EngineRouter::Place {
  explicit Place(bool apart_) : apart(apart_) {}

  const bool apart;
  std::atomic<Runtime*> ready{nullptr};  // what a call needs; never goes back to null
  // Guarded by the router's mutex_.
  std::unique_ptr<Runtime> runtime;
  std::string version;
  std::string why_not;  // it could not be loaded when it was last tried
  MonotonicTime tried_at{};
  bool loading = false;
};

struct EngineRouter::Engine {
  explicit Engine(const EngineRouterOptions::Engine& from)
      : adapter(from.adapter),
        mode(!from.mode.empty() || from.adapter.modes.empty()
                 ? from.mode
                 : std::string(from.adapter.modes.front())),
        capabilities(from.adapter.capabilities(mode)) {}

  [[nodiscard]] std::string shown() const {
    return mode.empty() ? std::string(adapter.name) : fmt::format("{} ({})", adapter.name, mode);
  }

  const wasm::EngineAdapter adapter;
  const std::string mode;
  const wasm::EngineCapabilities capabilities;
  Place here{false};
  Place apart{true};
  // The settings, or what is stored or called, name it: that it cannot be loaded is worth a word.
  std::atomic<bool> named{false};
};

// What a wish leads to.
struct EngineRouter::Route {
  Engine* first = nullptr;
  Engine* second = nullptr;  // null: no fallback
  bool own_process = false;
};

namespace {

std::vector<std::string_view> names_of(const std::vector<EngineRouterOptions::Engine>& engines) {
  std::vector<std::string_view> names;
  for (const EngineRouterOptions::Engine& each : engines) names.push_back(each.adapter.name);
  return names;
}

}  // namespace

EngineRouter::EngineRouter(EngineRouterOptions options, process::Spawner& spawner,
                           std::span<EventLoop* const> loops)
    : options_(std::move(options)),
      spawner_(spawner),
      loops_(loops.begin(), loops.end()),
      engines_([this] {
        std::vector<std::unique_ptr<Engine>> engines;
        for (const EngineRouterOptions::Engine& each : options_.engines)
          engines.push_back(std::make_unique<Engine>(each));
        return engines;
      }()) {
  CHECK(find(options_.engine) != nullptr);
}

EngineRouter::~EngineRouter() = default;

EngineRouter::Engine* EngineRouter::find(std::string_view name) const {
  for (const std::unique_ptr<Engine>& engine : engines_) {
    if (engine->adapter.name == name) return engine.get();
  }
  return nullptr;
}

Result<void> EngineRouter::check_wish(const EngineWish& wish) const {
  const std::pair<std::string_view, const std::string&> named[] = {{"engine", wish.engine},
                                                                   {"fallback", wish.fallback}};
  for (const auto& [key, value] : named) {
    if (value.empty() || find(value) != nullptr) continue;
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is \"{}\": it must be one of {}", key, value.substr(0, 60),
                            fmt::join(names_of(options_.engines), ", ")));
  }
  if (!wish.fallback.empty() &&
      wish.fallback == (wish.engine.empty() ? options_.engine : wish.engine)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("fallback is \"{}\": that is the engine itself; name another, or leave "
                            "it out",
                            wish.fallback));
  }
  return {};
}

// Who names an engine has the fallback that they name, and not the server's. A stored name that
// this build has no more leads to nothing.
EngineRouter::Route EngineRouter::route_of(const EngineWish& wish) const {
  const std::string& first = wish.engine.empty() ? options_.engine : wish.engine;
  const bool own = !wish.engine.empty() || !wish.fallback.empty();
  const std::string& second = own ? wish.fallback : options_.fallback;
  return {.first = find(first),
          .second = second.empty() || second == first ? nullptr : find(second),
          .own_process = wish.own_process || options_.own_process};
}

EngineRouter::Place& EngineRouter::place_of(Engine& engine, const Route& route) const {
  return route.own_process || engine.capabilities.own_process ? engine.apart : engine.here;
}

Runtime* EngineRouter::at_hand(const EngineWish& wish) const {
  const Route route = route_of(wish);
  if (route.first == nullptr) return nullptr;
  return place_of(*route.first, route).ready.load(std::memory_order_acquire);
}

Task<Result<Runtime*>> EngineRouter::loaded(EngineWish wish) {
  const Route route = route_of(wish);
  if (route.first == nullptr) {
    co_return fail(
        ErrorCode::kFailedPrecondition,
        fmt::format("this build has no engine {}: it has {}; put the function again with "
                    "one of them",
                    wish.engine, fmt::join(names_of(options_.engines), ", ")));
  }
  Result<Runtime*> first = co_await loaded_one(*route.first, place_of(*route.first, route));
  if (first) co_return first;
  if (route.second == nullptr) {
    first.error().message.append("; name another engine for it, or a fallback");
    co_return first;
  }
  Result<Runtime*> second = co_await loaded_one(*route.second, place_of(*route.second, route));
  if (second) co_return second;
  co_return fail(
      ErrorCode::kFailedPrecondition,
      fmt::format("{}; its fallback neither: {}", first.error().message, second.error().message));
}

Task<Result<Runtime*>> EngineRouter::loaded_one(Engine& engine, Place& place) {
  for (bool tried = false;;) {
    bool load = false;
    {
      const std::lock_guard lock(mutex_);
      if (place.ready != nullptr) co_return place.ready.load();
      const bool lately =
          place.tried_at != MonotonicTime{} && MonotonicClock::now() - place.tried_at < kRetryAfter;
      if (!place.loading && (tried || lately)) {
        co_return fail(
            ErrorCode::kFailedPrecondition,
            fmt::format("the engine {} cannot be loaded: {}", engine.adapter.name, place.why_not));
      }
      if (!place.loading) {
        place.loading = load = true;
        if (!place.apart) load_here(engine, place);
      }
    }
    if (load && place.apart) co_await load_apart(engine, place);
    tried = tried || load;
    if (load) continue;
    co_await EventLoop::current()->sleep(Deadline::after(milliseconds(5)));  // another loads it
  }
}

// Holds the mutex: a library is opened once, and takes milliseconds.
void EngineRouter::load_here(Engine& engine, Place& place) {
  const wasm::EngineOptions options{.mode = engine.mode, .library_folder = options_.library_folder};
  place.loading = false;
  place.tried_at = MonotonicClock::now();
  wasm::Outcome<std::string> version = engine.adapter.version(options);
  wasm::Outcome<std::unique_ptr<wasm::Runtime>> made =
      version ? engine.adapter.make(options) : std::unexpected(version.error());
  if (!made) {
    place.why_not = std::move(made).error().message;
    return log_error("wasm: {} cannot be loaded: {}", engine.shown(), place.why_not);
  }
  WasmOptions in_process = options_.in_process;
  in_process.slices = engine.capabilities.slices;
  in_process.engine = engine.adapter.name;
  place.version = *std::move(version);
  place.why_not.clear();
  place.runtime = make_wasm_runtime(*std::move(made), std::move(in_process));
  place.ready.store(place.runtime.get(), std::memory_order_release);
  log_info("wasm: {} {} runs in this process", engine.shown(), place.version);
}

Task<> EngineRouter::load_apart(Engine& engine, Place& place) {
  const EngineProcess process{.engine = std::string(engine.adapter.name),
                              .mode = engine.mode,
                              .library_folder = options_.library_folder.string(),
                              .options = options_.processes};
  Result<std::string> version = co_await engine_version(process, spawner_);
  const std::lock_guard lock(mutex_);
  place.loading = false;
  place.tried_at = MonotonicClock::now();
  if (!version) {
    place.why_not = std::move(version).error().message;
    log_error("wasm: {} cannot be loaded into a process of its own: {}", engine.shown(),
              place.why_not);
    co_return;
  }
  place.version = *std::move(version);
  place.why_not.clear();
  place.runtime = make_engine_processes(process, spawner_, loops_);
  place.ready.store(place.runtime.get(), std::memory_order_release);
  log_info("wasm: {} {} runs in processes of its own", engine.shown(), place.version);
}

void EngineRouter::note(const EngineWish& wish) const {
  const Route route = route_of(wish);
  for (Engine* engine : {route.first, route.second}) {
    if (engine != nullptr) engine->named = true;
  }
}

Task<> EngineRouter::look_at(EngineWish wish) {
  note(wish);
  const Result<Runtime*> found = co_await loaded(wish);
  const Route route = route_of(wish);
  if (!found) {
    log_error("wasm: functions {} cannot run: {}",
              wish.engine.empty() ? "that name no engine"
                                  : fmt::format("that name the engine {}", wish.engine),
              found.error().message);
  } else if (*found != place_of(*route.first, route).ready.load()) {
    log_warning("wasm: {} runs the functions of {}, which cannot be loaded", route.second->shown(),
                route.first->shown());
  }
}

Task<Result<void>> EngineRouter::prepare(ProgramPtr program) {
  const EngineWish wish = program->wish;
  SEAM_CO_ASSIGN_OR_RETURN(Runtime * engine, co_await loaded(wish));
  Result<void> prepared = co_await engine->prepare(std::move(program));
  if (prepared) note(wish);
  co_return prepared;
}

Task<Outcome> EngineRouter::run(ProgramPtr program, const Call& call, CallSink& sink) {
  if (Runtime* engine = at_hand(program->wish)) return engine->run(std::move(program), call, sink);
  return load_and_run(std::move(program), call, sink);
}

Task<Outcome> EngineRouter::load_and_run(ProgramPtr program, const Call& call, CallSink& sink) {
  note(program->wish);
  Result<Runtime*> engine = co_await loaded(program->wish);
  if (!engine) {
    Outcome refused;
    refused.value = std::move(engine).error();
    co_return refused;
  }
  co_return co_await (*engine)->run(std::move(program), call, sink);
}

std::vector<Runtime*> EngineRouter::all_loaded() const {
  std::vector<Runtime*> all;
  for (const std::unique_ptr<Engine>& engine : engines_) {
    for (const Place* place : {&engine->here, &engine->apart}) {
      if (Runtime* ready = place->ready.load(std::memory_order_acquire)) all.push_back(ready);
    }
  }
  return all;
}

void EngineRouter::release(const std::string& program_id) {
  for (Runtime* engine : all_loaded()) engine->release(program_id);
}

RuntimeHealth EngineRouter::health() const {
  RuntimeHealth health;
  std::vector<std::string> said;
  const std::lock_guard lock(mutex_);
  for (const std::unique_ptr<Engine>& engine : engines_) {
    for (const Place* place : {&engine->here, &engine->apart}) {
      const std::string_view where = place->apart ? " in processes of its own" : "";
      if (place->ready != nullptr) {
        said.push_back(fmt::format("{} {}{}", engine->shown(), place->version, where));
      } else if (engine->named && !place->why_not.empty()) {
        health.impaired = true;
        said.push_back(
            fmt::format("{} cannot be loaded{}: {}", engine->shown(), where, place->why_not));
      }
    }
  }
  const Route route = route_of({});
  const auto hopeless = [&](Engine* engine) {
    return engine == nullptr || !place_of(*engine, route).why_not.empty();
  };
  health.up = !hopeless(route.first) || !hopeless(route.second);
  health.detail = fmt::format("{}", fmt::join(said, "; "));
  return health;
}

Task<RuntimeCounts> EngineRouter::counts() {
  RuntimeCounts sum;
  for (Runtime* engine : all_loaded()) {
    const RuntimeCounts counts = co_await engine->counts();
    sum.workers += counts.workers;
    sum.warm += counts.warm;
    sum.idle += counts.idle;
    sum.running += counts.running;
    sum.waiting += counts.waiting;
    sum.started += counts.started;
    sum.start_failures += counts.start_failures;
  }
  co_return sum;
}

Task<> EngineRouter::shut_down() {
  for (Runtime* engine : all_loaded()) co_await engine->shut_down();
}

}  // namespace seam::runtimes
