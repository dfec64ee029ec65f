// Instances: how a guest is linked, started and called. What bounds it while it runs is in
// store.cc.

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "base/check.h"
#include "wasm/wasmi/store.h"

namespace seam::wasm {
namespace {

static_assert(sizeof(Value) == sizeof(seam_wasmi_value) &&
              alignof(Value) == alignof(seam_wasmi_value));

seam_wasmi_value* raw(Value* values) { return reinterpret_cast<seam_wasmi_value*>(values); }
const seam_wasmi_value* raw(const Value* values) {
  return reinterpret_cast<const seam_wasmi_value*>(values);
}

void define(const seam_wasmi_api& api, seam_wasmi_linker* linker, const WasmiBound& bound) {
  const HostFunction& function = bound.function;
  const auto codes = [](const std::vector<ValueType>& types) {
    return reinterpret_cast<const std::uint8_t*>(types.data());
  };
  const seam_wasmi_extern type{.module = function.module.data(),
                               .module_size = function.module.size(),
                               .name = function.name.data(),
                               .name_size = function.name.size(),
                               .kind = SEAM_WASMI_FUNCTION,
                               .params = codes(function.type.params),
                               .params_count = function.type.params.size(),
                               .results = codes(function.type.results),
                               .results_count = function.type.results.size(),
                               .memory_pages_min = 0};
  api.linker_define(linker, &type, &bound, on_host_call);
}

Error no_fuel() {
  return {.code = ErrorCode::kInvalidConfiguration,
          .message = "fuel is limited, but the engine was made without fuel"};
}

class WasmiInstance final : public ModuleInstance {
 public:
  // `linker` and `exports` are its context's.
  WasmiInstance(std::shared_ptr<WasmiStore> store, const seam_wasmi_linker* linker,
                const std::vector<ExternType>& exports)
      : store_(std::move(store)), linker_(linker), exports_(exports) {}
  // Linked with others.
  WasmiInstance(std::shared_ptr<WasmiStore> store, const seam_wasmi_linker* linker,
                std::vector<ExternType>&& exports)
      : store_(std::move(store)),
        linker_(linker),
        kept_exports_(std::move(exports)),
        exports_(kept_exports_) {}
  WasmiInstance(WasmiInstance&&) = delete;

  Outcome<std::unique_ptr<Execution>> start(Interruption interruption) override;
  std::unique_ptr<FunctionInstance> function(std::string_view name) override;
  std::unique_ptr<Memory> memory(std::string_view name) override;
  std::optional<TypedValue> global(std::string_view name) override;
  std::optional<std::uint64_t> fuel_left() const override { return store_->fuel_left(); }

  const ExternType* find_export(std::string_view name) const {
    const auto found = std::ranges::find(exports_, name, &ExternType::name);
    return found == exports_.end() ? nullptr : &*found;
  }

  std::shared_ptr<WasmiStore> store_;  // shared by those that are linked
  const seam_wasmi_linker* linker_;    // until it is started
  std::vector<ExternType> kept_exports_ = {};
  const std::vector<ExternType>& exports_;
  seam_wasmi_instance instance_ = 0;
  bool started_ = false;
};

class WasmiExecution : public Execution {
 public:
  WasmiExecution(WasmiStore& store, Interruption interruption)
      : store_(store), interruption_(std::move(interruption)) {}
  WasmiExecution(WasmiExecution&&) = delete;
  ~WasmiExecution() override { drop_run(); }

  bool resume(milliseconds slice) override {
    if (done_) return true;
    store_.run = {.bounds = interruption_.bounds()};
    const MonotonicTime now = MonotonicClock::now();
    if (store_.run.interrupted()) return end(SEAM_WASMI_STOPPED);
    if (store_.waits_until && now < *store_.waits_until) return false;
    store_.waits_until.reset();
    store_.sliced = true;
    const bool ended = run(now + slice);
    store_.sliced = false;
    return ended;
  }

  MonotonicTime ready_at() const override {
    if (!store_.waits_until) return {};
    return std::min(*store_.waits_until, interruption_.deadline.at);
  }

  Outcome<> outcome() override {
    CHECK(done_);
    if (failure_) return std::unexpected(*std::exchange(failure_, std::nullopt));
    return {};
  }

  std::span<const Value> results() const override { return results_; }

 protected:
  // Makes what is run, or ends.
  virtual bool begin() { return true; }

  bool end(seam_wasmi_status status) {
    done_ = true;
    if (status != SEAM_WASMI_DONE) failure_ = store_.take_failure(status, error_);
    store_.waits_until.reset();
    drop_run();
    return true;
  }

  WasmiStore& store_;
  seam_wasmi_run* run_ = nullptr;
  seam_wasmi_error error_{};
  std::vector<Value> results_;

 private:
  bool run(MonotonicTime slice_end) {
    if (!std::exchange(begun_, true) && !begin()) return true;
    for (;;) {
      std::uint64_t needed = 0;
      const seam_wasmi_status status =
          store_.api().run_resume(store_.store, run_, &needed, &error_);
      if (status == SEAM_WASMI_WAITING) return false;
      if (status != SEAM_WASMI_NO_FUEL) {
        if (status == SEAM_WASMI_DONE)
          store_.api().run_results(store_.store, run_, raw(results_.data()));
        return end(status);
      }
      const std::uint64_t fuel = store_.refill(needed, store_.api().store_fuel(store_.store));
      if (fuel == 0) return end(SEAM_WASMI_STOPPED);
      store_.api().store_set_fuel(store_.store, fuel);
      if (MonotonicClock::now() >= slice_end) return false;
    }
  }

  void drop_run() {
    if (run_ != nullptr) store_.api().run_delete(std::exchange(run_, nullptr));
  }

  Interruption interruption_;
  std::optional<Error> failure_;
  bool begun_ = false;
  bool done_ = false;
};

class WasmiStart final : public WasmiExecution {
 public:
  WasmiStart(WasmiInstance& instance, Interruption interruption)
      : WasmiExecution(*instance.store_, std::move(interruption)), instance_(instance) {}

 private:
  bool begin() override {
    seam_wasmi_func start = 0;
    const seam_wasmi_status status = store_.api().instantiate(
        store_.store, instance_.linker_, &instance_.instance_, &start, &error_);
    if (status != SEAM_WASMI_DONE) {
      end(status);
      return false;
    }
    instance_.started_ = true;
    if (start != 0) {
      run_ = store_.api().run_new(store_.store, start, nullptr);
      return true;
    }
    end(SEAM_WASMI_DONE);
    return false;
  }

  WasmiInstance& instance_;
};

class WasmiCall final : public WasmiExecution {
 public:
  WasmiCall(WasmiStore& store, Interruption interruption, seam_wasmi_func function,
            const FunctionType& type, std::span<const Value> params)
      : WasmiExecution(store, std::move(interruption)) {
    results_.resize(type.results.size());
    run_ = store.api().run_new(store.store, function, raw(params.data()));
  }
};

class WasmiFunction final : public FunctionInstance {
 public:
  WasmiFunction(WasmiStore& store, const seam_wasmi_entry& entry, const FunctionType& type)
      : FunctionInstance(type),
        store_(store),
        entry_(entry),
        takes_functions_(std::ranges::find(type.params, ValueType::kFuncref) != type.params.end()) {
  }

  Outcome<std::unique_ptr<Execution>> start(Interruption interruption,
                                            std::span<const Value> params) override {
    if (params.size() < type().params.size()) return std::unexpected(too_few(params.size()));
    if (Failure refused = check_functions(params))
      return std::unexpected(std::move(refused).take());
    return std::make_unique<WasmiCall>(store_, std::move(interruption), entry_.function, type(),
                                       params);
  }

 private:
  Failure invoke(Bounds bounds, Value* slots) override {
    if (takes_functions_) [[unlikely]] {
      if (Failure refused = check_functions({slots, this->slots()})) return refused;
    }
    if (is_over(bounds)) [[unlikely]]
      return failure_of(bounds);
    store_.run.bounds = bounds;
    seam_wasmi_error error;
    const seam_wasmi_status status =
        entry_.enter(store_.store, entry_.function, entry_.narrow, raw(slots), &error);
    if (status == SEAM_WASMI_DONE) [[likely]]
      return {};
    return failed(status, error);
  }
  // Apart from invoke(), whose frame stays small by it.
  [[gnu::noinline]] Failure failed(seam_wasmi_status status, seam_wasmi_error& error) {
    return store_.take_failure(status, error);
  }
  // Asks the system for the time only where the deadline is near.
  [[nodiscard]] bool is_over(Bounds bounds) const {
    constexpr milliseconds kNear{50};
    if (bounds.cancelled != nullptr && bounds.cancelled->stop_requested()) return true;
    return bounds.deadline != Deadline::never() &&
           bounds.deadline.at < store_.engine->clock.now() + kNear && bounds.passed();
  }
  [[nodiscard]] Failure check_functions(std::span<const Value> params) const {
    for (std::size_t i = 0; i < type().params.size(); ++i) {
      if (type().params[i] == ValueType::kFuncref && params[i].bytes[8] != 0) {
        return Error{.code = ErrorCode::kInvalidConfiguration,
                     .message = "a host has no function to pass as a reference: only null"};
      }
    }
    return {};
  }

  WasmiStore& store_;
  seam_wasmi_entry entry_;
  bool takes_functions_;
};

class WasmiMemory final : public Memory {
 public:
  WasmiMemory(WasmiStore& store, seam_wasmi_memory memory) : store_(store), memory_(memory) {}
  std::span<std::byte> view() override {
    const seam_wasmi_bytes bytes = store_.api().memory_bytes(store_.store, memory_);
    return {reinterpret_cast<std::byte*>(bytes.data), bytes.size};
  }

 private:
  WasmiStore& store_;
  seam_wasmi_memory memory_;
};

Outcome<std::unique_ptr<Execution>> WasmiInstance::start(Interruption interruption) {
  CHECK(!started_);
  return std::make_unique<WasmiStart>(*this, std::move(interruption));
}

std::unique_ptr<FunctionInstance> WasmiInstance::function(std::string_view name) {
  CHECK(started_);
  const ExternType* type = find_export(name);
  seam_wasmi_entry entry;
  if (type == nullptr || type->kind != ExternKind::kFunction ||
      store_->api().find_function(store_->store, instance_, name.data(), name.size(), &entry) == 0)
    return nullptr;
  return std::make_unique<WasmiFunction>(*store_, entry, type->function);
}

std::unique_ptr<Memory> WasmiInstance::memory(std::string_view name) {
  CHECK(started_);
  seam_wasmi_memory memory = 0;
  if (store_->api().find_memory(store_->store, instance_, name.data(), name.size(), &memory) == 0)
    return nullptr;
  return std::make_unique<WasmiMemory>(*store_, memory);
}

std::optional<TypedValue> WasmiInstance::global(std::string_view name) {
  CHECK(started_);
  std::uint8_t type = 0;
  TypedValue global;
  if (store_->api().find_global(store_->store, instance_, name.data(), name.size(), &type,
                                raw(&global.value)) == 0)
    return std::nullopt;
  global.type = static_cast<ValueType>(type);
  return global;
}

class WasmiContext final : public Context {
 public:
  WasmiContext(std::shared_ptr<WasmiEngine> engine, const seam_wasmi_module* module,
               const CompiledModule& compiled)
      : engine_(std::move(engine)),
        module_(module),
        linker_(engine_->api.linker_new(module)),
        exports_(compiled.exports()) {}
  WasmiContext(WasmiContext&&) = delete;
  ~WasmiContext() override { engine_->api.linker_delete(linker_); }

  Outcome<> resolve_all(const CompiledModule& compiled, const HostModule& host) {
    for (const ExternType& import : compiled.imports()) {
      SEAM_ASSIGN_OR_RETURN(const HostFunction* const function, host.resolve(import));
      define(engine_->api, linker_,
             *bound_.emplace_back(std::make_unique<WasmiBound>(WasmiBound{*function})));
    }
    return {};
  }

  Outcome<std::unique_ptr<ModuleInstance>> create(const InstanceOptions& options) override {
    if (options.limits.fuel && !engine_->fuel) return std::unexpected(no_fuel());
    return std::make_unique<WasmiInstance>(std::make_shared<WasmiStore>(engine_, module_, options),
                                           linker_, exports_);
  }

 private:
  std::shared_ptr<WasmiEngine> engine_;  // shared: see WasmiStore
  const seam_wasmi_module* module_;      // the compiled module's, which outlives this
  seam_wasmi_linker* linker_;
  std::vector<std::unique_ptr<WasmiBound>> bound_;  // what the linker's callbacks point to
  const std::vector<ExternType>& exports_;          // the compiled module's
};

// The store of the group that these belong to.
Outcome<std::shared_ptr<WasmiStore>> group_of(const std::shared_ptr<WasmiEngine>& engine,
                                              const seam_wasmi_module* module,
                                              std::span<const LinkedInstance> linked,
                                              const InstanceOptions& options) {
  std::shared_ptr<WasmiStore> store;
  for (const LinkedInstance& each : linked) {
    const auto* instance = dynamic_cast<const WasmiInstance*>(each.instance);
    if (instance == nullptr || instance->store_->engine != engine ||
        (store != nullptr && instance->store_ != store)) {
      return fail(ErrorCode::kInvalidConfiguration,
                  fmt::format("the instance linked as '{}' is of another engine or group: link "
                              "instances of one runtime that were linked with each other",
                              each.name));
    }
    store = instance->store_;
  }
  if (store != nullptr) return store;
  if (options.limits.fuel && !engine->fuel) return std::unexpected(no_fuel());
  return std::make_shared<WasmiStore>(engine, module, options);
}

struct LinkerDeleter {
  const seam_wasmi_api* api;
  void operator()(seam_wasmi_linker* linker) const { api->linker_delete(linker); }
};
struct ModuleDeleter {
  const seam_wasmi_api* api;
  void operator()(seam_wasmi_module* module) const { api->module_delete(module); }
};

}  // namespace

Outcome<std::unique_ptr<Context>> make_context(std::shared_ptr<WasmiEngine> engine,
                                               const seam_wasmi_module* module,
                                               const CompiledModule& compiled,
                                               const HostModule& host) {
  auto context = std::make_unique<WasmiContext>(std::move(engine), module, compiled);
  SEAM_RETURN_IF_ERROR(context->resolve_all(compiled, host));
  return context;
}

Outcome<std::unique_ptr<ModuleInstance>> make_linked(
    std::shared_ptr<WasmiEngine> engine, const seam_wasmi_module* module,
    const CompiledModule& compiled, const HostModule& host, std::span<const LinkedInstance> linked,
    const InstanceOptions& options, const Interruption& interruption) {
  const seam_wasmi_api& api = engine->api;
  SEAM_ASSIGN_OR_RETURN(const std::shared_ptr<WasmiStore> store,
                        group_of(engine, module, linked, options));
  seam_wasmi_error error;
  seam_wasmi_module* same = nullptr;
  if (api.module_for(store->store, module, &same, &error) != SEAM_WASMI_DONE)
    return std::unexpected(take_error(api, error));
  const std::unique_ptr<seam_wasmi_module, ModuleDeleter> here(same, {&api});
  const std::unique_ptr<seam_wasmi_linker, LinkerDeleter> linker(api.linker_new(same), {&api});
  for (const ExternType& import : compiled.imports()) {
    const auto offers = [&](const LinkedInstance& each) {
      return each.name == import.module &&
             static_cast<const WasmiInstance*>(each.instance)->find_export(import.name) != nullptr;
    };
    const auto from = std::ranges::find_if(linked | std::views::reverse, offers);
    if (from != linked.rend()) {
      const auto& instance = static_cast<const WasmiInstance&>(*from->instance);
      CHECK(api.linker_define_export(linker.get(), store->store, instance.instance_,
                                     import.name.data(), import.name.size(), import.module.data(),
                                     import.module.size(), import.name.data(), import.name.size()));
      continue;
    }
    SEAM_ASSIGN_OR_RETURN(const HostFunction* const function, host.resolve(import));
    define(api, linker.get(),
           *store->bound.emplace_back(
               std::make_unique<WasmiBound>(WasmiBound{*function, options.state})));
  }
  auto instance = std::make_unique<WasmiInstance>(store, linker.get(),
                                                  std::vector<ExternType>(compiled.exports()));
  SEAM_ASSIGN_OR_RETURN(const std::unique_ptr<Execution> execution, instance->start(interruption));
  SEAM_RETURN_IF_ERROR(run_to_end(*execution));
  return instance;
}

}  // namespace seam::wasm
