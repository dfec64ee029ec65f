// Instances: how a guest runs, waits and is interrupted.
//
// A guest runs on its caller's thread. About every millisecond the engine's watch raises the flag
// of the function that runs; the guest sees it at its next loop or function entry, comes out, and
// on_look() compares the caller's deadline and cancellation. A guest that runs for less than that
// never pays.
//
// wazero has no fibers: a host function that waits holds the thread, until its time, the deadline
// or the cancellation.
//
// Instances that are linked are one group. A function of one may be called through a table of
// another after the first has gone, so what the library knows of an instance (its Body) belongs to
// the group, and goes with the last of it.

#include "wasm/wazero/instance.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "wasm/wazero/values.h"

namespace seam::wasm {
namespace {

constexpr std::uint64_t kPageBytes = 65536;

struct Body;
struct Group;

// A host function as one link or one linked instance has imported it.
struct Bound {
  HostFunction function;
  const Body* owner = nullptr;  // whose state it gets; the caller's if null
  std::vector<std::uint8_t> types = {};
};

// The imports of a module, resolved.
struct Link {
  std::shared_ptr<const WazeroCode> code;
  std::uintptr_t link = 0;
  std::vector<std::unique_ptr<Bound>> bound;  // what the library points to

  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() {
    if (link != 0) code->engine->api.seam_wazero_link_delete(link);
  }
};

struct Body {
  Group* group = nullptr;
  std::shared_ptr<Link> link;  // shared: by the context and its instances
  std::uintptr_t instance = 0;
  seam_wazero_memory own_memory{};
  seam_wazero_memory* memory = nullptr;  // the module's only one, its own or another's
  bool exports_memory = false;           // under the name that host functions look for
  void* state = nullptr;
};

struct Group {
  std::shared_ptr<WazeroEngine> engine;
  Limits limits;
  std::vector<std::unique_ptr<Body>> bodies;
  Watched watched;
  GuestRun run;  // that goes on

  explicit Group(std::shared_ptr<WazeroEngine> the_engine) : engine(std::move(the_engine)) {
    engine->watch->watch(watched);
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() {
    engine->watch->unwatch(watched);
    for (const std::unique_ptr<Body>& body : bodies) {
      if (body->instance != 0) engine->api.seam_wazero_instance_delete(body->instance);
    }
  }

  // Puts whatever ended the run in one Error; run.failure first, for it is the cause.
  Error take_failure(const WazeroBuffer& buffer) {
    Error taken = take_error(buffer);
    if (!run.failure) return taken;
    run.failure->backtrace = std::move(taken.backtrace);
    return *std::exchange(run.failure, std::nullopt);
  }

  // Sleeps until a host function's time has come; false if the run is interrupted before that.
  bool wait(Deadline until) {
    sleep_until(until.at, run.bounds);
    return !run.interrupted();
  }
};

// One function that can be called, and room for what goes in and out.
class Callable {
 public:
  Callable(Group& group, std::uintptr_t function, std::uint32_t* look)
      : group_(group), function_(function), look_(look) {}
  Callable(const Callable&) = delete;
  Callable& operator=(const Callable&) = delete;
  ~Callable() {
    group_.engine->watch->settle();
    group_.engine->api.seam_wazero_function_delete(function_);
  }

  Failure run(Bounds bounds, std::uint64_t* stack) {
    if (bounds.passed()) [[unlikely]]
      return failure_of(bounds);
    Group& group = group_;
    group.run.bounds = bounds;
    Watch& watch = *group.engine->watch;
    WazeroBuffer failed;
    std::uint32_t* const outer_look = watch.enter(group.watched, look_);
    const std::int32_t ended = group.engine->api.seam_wazero_call(function_, stack, failed.out());
    watch.leave(group.watched, outer_look);
    if (ended != 0) [[unlikely]]
      return group.take_failure(failed);
    return {};
  }

 private:
  Group& group_;
  std::uintptr_t function_;
  std::uint32_t* look_;
};

class WazeroHostCall final : public HostCall {
 public:
  WazeroHostCall(void* state, const Body& caller) : HostCall(state), caller_(caller) {}

  std::span<std::byte> memory() override {
    if (!caller_.exports_memory) return {};
    return {reinterpret_cast<std::byte*>(caller_.memory->base), caller_.memory->bytes};
  }

 private:
  const Body& caller_;
};

// What a guest gives and takes lies in Go's heap. ThreadSanitizer sees two threads there, and not
// that Go has used the memory again in between.
[[clang::no_sanitize("thread")]] std::uint64_t get(const std::uint64_t& of_guest) {
  return of_guest;
}
[[clang::no_sanitize("thread")]] void set(std::uint64_t& of_guest, std::uint64_t number) {
  of_guest = number;
}

std::int32_t on_host_call(const void* bound_function, std::uintptr_t caller_tag,
                          std::uint64_t* stack) {
  const Bound& bound = *static_cast<const Bound*>(bound_function);
  const Body& caller = *reinterpret_cast<const Body*>(caller_tag);
  Group& group = *caller.group;
  WazeroHostCall call((bound.owner == nullptr ? caller : *bound.owner).state, caller);
  const FunctionType& type = bound.function.type;  // numbers only
  constexpr std::size_t kSlots = 16;
  std::array<Value, kSlots> few;
  std::vector<Value> many(type.slots() > kSlots ? type.slots() : 0);
  Value* const slots = many.empty() ? few.data() : many.data();
  for (std::size_t i = 0; i < type.params.size(); ++i) slots[i] = Value::of(get(stack[i]));
  if (Failure failure = bound.function.invoke(bound.function.callable.get(), call, slots)) {
    group.run.failure = std::move(failure).take();
    return 1;
  }
  if (!type.results.empty()) set(stack[0], to_number(type.results[0], slots[0]));
  if (const auto& until = call.waits_until(); until && !group.wait(*until)) return 1;
  return 0;
}

std::int32_t on_look(std::uintptr_t tag) {
  return reinterpret_cast<const Body*>(tag)->group->run.interrupted() ? 1 : 0;
}

class WazeroMemory final : public Memory {
 public:
  explicit WazeroMemory(const seam_wazero_memory& memory) : memory_(memory) {}
  std::span<std::byte> view() override {
    return {reinterpret_cast<std::byte*>(memory_.base), memory_.bytes};
  }

 private:
  const seam_wazero_memory& memory_;
};

// Runs to the end in one resume().
class WazeroExecution : public Execution {
 public:
  bool resume(milliseconds /*slice*/) override {
    if (!done_) outcome_ = run();
    done_ = true;
    return true;
  }
  MonotonicTime ready_at() const override { return {}; }
  Outcome<> outcome() override {
    CHECK(done_);
    return std::exchange(outcome_, Outcome<>());
  }
  std::span<const Value> results() const override { return results_; }

 protected:
  virtual Outcome<> run() = 0;

  std::vector<Value> results_;

 private:
  bool done_ = false;
  Outcome<> outcome_;
};

class WazeroFunction final : public FunctionInstance {
 public:
  WazeroFunction(std::shared_ptr<Group> group, const FunctionType& type, std::uintptr_t function,
                 std::uint32_t* look)
      : FunctionInstance(type),
        group_(std::move(group)),
        callable_(*group_, function, look),
        stack_(std::max<std::size_t>(
            {numbers_of(type.params), numbers_of(type.results), std::size_t{1}})) {}

  Outcome<std::unique_ptr<Execution>> start(Interruption interruption,
                                            std::span<const Value> params) override;

 private:
  Failure invoke(Bounds bounds, Value* slots) override {
    const std::span<Value> all(slots, this->slots());
    if (Outcome<> put = to_stack(type().params, all, stack_.data()); !put)
      return std::move(put).error();
    if (Failure failure = callable_.run(bounds, stack_.data())) [[unlikely]]
      return failure;
    from_stack(type().results, stack_.data(), all);
    return {};
  }

  std::shared_ptr<Group> group_;
  Callable callable_;
  std::vector<std::uint64_t> stack_;
};

class WazeroCall final : public WazeroExecution {
 public:
  WazeroCall(WazeroFunction& function, Interruption interruption, std::vector<Value> slots)
      : function_(function), interruption_(std::move(interruption)), slots_(std::move(slots)) {}

 private:
  Outcome<> run() override {
    SEAM_RETURN_IF_ERROR(function_.call(interruption_, slots_));
    slots_.resize(function_.type().results.size());
    results_ = std::move(slots_);
    return {};
  }

  WazeroFunction& function_;
  Interruption interruption_;
  std::vector<Value> slots_;
};

Outcome<std::unique_ptr<Execution>> WazeroFunction::start(Interruption interruption,
                                                          std::span<const Value> params) {
  if (params.size() < type().params.size()) return std::unexpected(too_few(params.size()));
  std::vector<Value> slots(params.begin(), params.end());
  slots.resize(this->slots());
  return std::make_unique<WazeroCall>(*this, std::move(interruption), std::move(slots));
}

class WazeroInstance final : public ModuleInstance {
 public:
  WazeroInstance(std::shared_ptr<Group> group, Body& body)
      : group_(std::move(group)), body_(body) {}

  Outcome<std::unique_ptr<Execution>> start(Interruption interruption) override;

  std::unique_ptr<FunctionInstance> function(std::string_view name) override {
    CHECK(started_);
    const auto& exports = info().exports;
    const auto type = std::ranges::find(exports, name, &ExternType::name);
    if (type == exports.end() || type->kind != ExternKind::kFunction) return nullptr;
    std::uint32_t* look = nullptr;
    const std::uintptr_t found = group_->engine->api.seam_wazero_function(
        body_.instance, name.data() == nullptr ? "" : name.data(), name.size(), &look);
    CHECK(found != 0);
    return std::make_unique<WazeroFunction>(group_, type->function, found, look);
  }

  std::unique_ptr<Memory> memory(std::string_view name) override {
    CHECK(started_);
    const auto& exports = info().exports;
    const auto type = std::ranges::find(exports, name, &ExternType::name);
    if (type == exports.end() || type->kind != ExternKind::kMemory) return nullptr;
    return std::make_unique<WazeroMemory>(*body_.memory);
  }

  std::optional<TypedValue> global(std::string_view name) override {
    CHECK(started_);
    std::uint64_t value[2] = {};
    const std::uint32_t type = group_->engine->api.seam_wazero_global(
        body_.instance, name.data() == nullptr ? "" : name.data(), name.size(), value);
    if (type == 0) return std::nullopt;
    const ValueType kind = value_type(static_cast<std::uint8_t>(type));
    return TypedValue{kind, from_number(kind, value[0], value[1])};
  }

  std::optional<std::uint64_t> fuel_left() const override { return std::nullopt; }

  const std::shared_ptr<Group>& group() const { return group_; }
  Body& body() const { return body_; }
  const WazeroModuleInfo& info() const { return body_.link->code->info; }

  // Makes the instance in the library and runs its start function.
  Outcome<> instantiate(const Interruption& interruption) {
    started_ = true;
    SEAM_RETURN_IF_ERROR(within_limits());
    const seam_wazero_api& api = group_->engine->api;
    const Bounds bounds = interruption.bounds();
    if (bounds.passed()) return std::unexpected(failure_of(bounds).take());
    body_.own_memory.bytes_max = group_->limits.memory_bytes_max;
    WazeroBuffer failed;
    body_.instance = api.seam_wazero_instantiate(
        body_.link->link, &body_.own_memory, group_->limits.table_elements_max,
        reinterpret_cast<std::uintptr_t>(&body_), failed.out());
    if (!failed.empty()) return std::unexpected(take_error(failed));
    if (!info().has_start) return {};
    std::uint32_t* look = nullptr;
    const std::uintptr_t start = api.seam_wazero_function(body_.instance, nullptr, 0, &look);
    CHECK(start != 0);
    std::uint64_t none = 0;
    if (Failure failure = Callable(*group_, start, look).run(bounds, &none))
      return std::unexpected(std::move(failure).take());
    return {};
  }

 private:
  Outcome<> within_limits() const {
    const Limits& limits = group_->limits;
    if (info().has_memory && info().memory_pages_min > limits.memory_bytes_max / kPageBytes) {
      return fail(ErrorCode::kLimitExceeded,
                  fmt::format("a memory begins with {} pages, and its limit is {} bytes",
                              info().memory_pages_min, limits.memory_bytes_max));
    }
    for (const std::uint32_t elements : info().table_elements_min) {
      if (elements > limits.table_elements_max) {
        return fail(ErrorCode::kLimitExceeded,
                    fmt::format("a table begins with {} elements, and its limit is {}", elements,
                                limits.table_elements_max));
      }
    }
    return {};
  }

  std::shared_ptr<Group> group_;
  Body& body_;
  bool started_ = false;
};

class WazeroStart final : public WazeroExecution {
 public:
  WazeroStart(WazeroInstance& instance, Interruption interruption)
      : instance_(instance), interruption_(std::move(interruption)) {}

 private:
  Outcome<> run() override { return instance_.instantiate(interruption_); }

  WazeroInstance& instance_;
  Interruption interruption_;
};

Outcome<std::unique_ptr<Execution>> WazeroInstance::start(Interruption interruption) {
  CHECK(!started_);
  return std::make_unique<WazeroStart>(*this, std::move(interruption));
}

Outcome<> refuse_fuel(const InstanceOptions& options) {
  if (!options.limits.fuel) return {};
  return fail(ErrorCode::kInvalidConfiguration, "fuel is limited, but wazero counts none");
}

Body& add_body(Group& group, std::shared_ptr<Link> link, void* state) {
  Body& body = *group.bodies.emplace_back(std::make_unique<Body>());
  body.group = &group;
  body.state = state;
  body.memory = &body.own_memory;
  body.exports_memory = std::ranges::any_of(link->code->info.exports, [](const ExternType& item) {
    return item.kind == ExternKind::kMemory && item.name == "memory";
  });
  body.link = std::move(link);
  return body;
}

class WazeroContext final : public Context {
 public:
  explicit WazeroContext(std::shared_ptr<Link> link) : link_(std::move(link)) {}

  Outcome<std::unique_ptr<ModuleInstance>> create(const InstanceOptions& options) override {
    SEAM_RETURN_IF_ERROR(refuse_fuel(options));
    auto group = std::make_shared<Group>(link_->code->engine);
    group->limits = options.limits;
    Body& body = add_body(*group, link_, options.state);
    return std::make_unique<WazeroInstance>(std::move(group), body);
  }

 private:
  std::shared_ptr<Link> link_;  // shared: by the context and its instances
};

// The last of the linked instances under that name that exports it.
WazeroInstance* exporter(std::span<const LinkedInstance> linked, const ExternType& import) {
  for (std::size_t i = linked.size(); i > 0; --i) {
    if (linked[i - 1].name != import.module) continue;
    auto* instance = static_cast<WazeroInstance*>(linked[i - 1].instance);
    const auto& exports = instance->info().exports;
    if (std::ranges::find(exports, import.name, &ExternType::name) != exports.end())
      return instance;
  }
  return nullptr;
}

// Resolves each import. `body` is whose imports they are, if it is one instance's alone.
Outcome<> resolve(Link& link, const HostModule& host, std::span<const LinkedInstance> linked,
                  Body* body) {
  std::vector<seam_wazero_import> imports;
  for (const ExternType& import : link.code->info.imports) {
    seam_wazero_import& out = imports.emplace_back();
    out.module = import.module.data();
    out.module_size = import.module.size();
    out.name = import.name.data();
    out.name_size = import.name.size();
    if (const WazeroInstance* other = exporter(linked, import)) {
      out.instance = other->body().instance;
      if (import.kind == ExternKind::kMemory) body->memory = other->body().memory;
      continue;
    }
    SEAM_ASSIGN_OR_RETURN(const HostFunction* const function, host.resolve(import));
    Bound& bound = *link.bound.emplace_back(std::make_unique<Bound>(Bound{*function, body}));
    for (const auto* types : {&function->type.params, &function->type.results}) {
      for (const ValueType type : *types) bound.types.push_back(type_byte(type));
    }
    out.function = &bound;
    out.types = bound.types.data();
    out.params = function->type.params.size();
    out.results = function->type.results.size();
  }
  const WazeroEngine& engine = *link.code->engine;
  WazeroBuffer failed;
  link.link = engine.api.seam_wazero_link(engine.runtime, link.code->module, imports.data(),
                                          imports.size(), failed.out());
  if (link.link == 0) return std::unexpected(take_error(failed));
  return {};
}

}  // namespace

WazeroEngine::~WazeroEngine() {
  watch.reset();
  if (runtime != 0) api.seam_wazero_runtime_delete(runtime);
}

WazeroCode::~WazeroCode() {
  if (module != 0) engine->api.seam_wazero_module_delete(module);
}

seam_wazero_callbacks wazero_callbacks() { return {.call = on_host_call, .look = on_look}; }

Outcome<std::unique_ptr<Context>> make_context(const std::shared_ptr<const WazeroCode>& code,
                                               const HostModule& host) {
  auto link = std::make_shared<Link>();
  link->code = code;
  SEAM_RETURN_IF_ERROR(resolve(*link, host, {}, nullptr));
  return std::make_unique<WazeroContext>(std::move(link));
}

Outcome<std::unique_ptr<ModuleInstance>> make_linked(const std::shared_ptr<const WazeroCode>& code,
                                                     const HostModule& host,
                                                     std::span<const LinkedInstance> linked,
                                                     const InstanceOptions& options,
                                                     const Interruption& interruption) {
  SEAM_RETURN_IF_ERROR(refuse_fuel(options));
  std::shared_ptr<Group> group;
  for (const LinkedInstance& each : linked) {
    const auto* instance = dynamic_cast<const WazeroInstance*>(each.instance);
    if (instance == nullptr || instance->group()->engine != code->engine) {
      return fail(ErrorCode::kInvalidConfiguration,
                  fmt::format("{} is an instance of another engine", each.name));
    }
    if (group != nullptr && group != instance->group()) {
      return fail(ErrorCode::kInvalidConfiguration,
                  fmt::format("{} is not linked with the others", each.name));
    }
    group = instance->group();
  }
  if (group == nullptr) {
    group = std::make_shared<Group>(code->engine);
    group->limits = options.limits;
  }
  auto link = std::make_shared<Link>();
  link->code = code;
  Body& body = add_body(*group, link, options.state);
  auto instance = std::make_unique<WazeroInstance>(group, body);
  SEAM_RETURN_IF_ERROR(resolve(*link, host, linked, &body));
  SEAM_RETURN_IF_ERROR(instance->instantiate(interruption));
  return instance;
}

}  // namespace seam::wasm
