// Instances: how a guest is started and called. What several of them share is in store.h.

#include <fmt/format.h>
#include <wasm.h>
#include <wasmtime.h>

#include <algorithm>
#include <iterator>
#include <ranges>

#include "base/check.h"
#include "wasm/wasmtime/convert.h"
#include "wasm/wasmtime/engine.h"
#include "wasm/wasmtime/sanitizer.h"
#include "wasm/wasmtime/store.h"

namespace seam::wasm {
namespace {

bool has_references(const FunctionType& type) {
  const auto is_reference = [](ValueType each) { return each >= ValueType::kFuncref; };
  return std::ranges::any_of(type.params, is_reference) ||
         std::ranges::any_of(type.results, is_reference);
}

class WasmtimeInstance final : public ModuleInstance {
 public:
  // Alone in its store; `pre` and `exports` are its context's.
  WasmtimeInstance(std::shared_ptr<Store> store, const wasmtime_instance_pre_t* pre,
                   const std::vector<ExternType>& exports)
      : store_(std::move(store)), pre_(pre), exports_(exports) {}
  // Linked with others.
  WasmtimeInstance(std::shared_ptr<Store> store, std::vector<ExternType>&& exports)
      : store_(std::move(store)), kept_exports_(std::move(exports)), exports_(kept_exports_) {}
  WasmtimeInstance(WasmtimeInstance&&) = delete;

  Outcome<std::unique_ptr<Execution>> start(Interruption interruption) override;
  std::unique_ptr<FunctionInstance> function(std::string_view name) override;
  std::unique_ptr<Memory> memory(std::string_view name) override;
  std::optional<TypedValue> global(std::string_view name) override;
  std::optional<std::uint64_t> fuel_left() const override {
    std::uint64_t fuel = 0;
    if (!store_->has_fuel) return std::nullopt;
    if (wasmtime_error_t* error = wasmtime_context_get_fuel(store_->context, &fuel))
      wasmtime_error_delete(error);
    return fuel;
  }

  // Of that kind, or nothing.
  std::optional<wasmtime_extern_t> find(std::string_view name, wasmtime_extern_kind_t kind) {
    CHECK(started_);
    wasmtime_extern_t found;
    if (!wasmtime_instance_export_get(store_->context, &instance_, name.data(), name.size(),
                                      &found))
      return std::nullopt;
    if (found.kind == kind) return found;
    wasmtime_extern_delete(&found);
    return std::nullopt;
  }

  std::shared_ptr<Store> store_;                  // shared by those that are linked
  const wasmtime_instance_pre_t* pre_ = nullptr;  // of one that is alone
  std::vector<ExternType> kept_exports_;
  const std::vector<ExternType>& exports_;
  wasmtime_instance_t instance_{};
  bool started_ = false;
};

class WasmtimeContext final : public Context {
 public:
  WasmtimeContext(std::shared_ptr<Engine> engine_, wasmtime_linker_t* linker_)
      : engine(std::move(engine_)), linker(linker_) {}
  WasmtimeContext(WasmtimeContext&&) = delete;
  ~WasmtimeContext() override {
    if (pre != nullptr) wasmtime_instance_pre_delete(pre);
    wasmtime_linker_delete(linker);
  }

  Outcome<std::unique_ptr<ModuleInstance>> create(const InstanceOptions& options) override {
    if (options.limits.fuel && !engine->fuel) return no_fuel();
    auto store = std::make_shared<Store>(*engine, options);
    store->waits = waits;
    return std::make_unique<WasmtimeInstance>(std::move(store), pre, exports);
  }

  static std::unexpected<Error> no_fuel() {
    return fail(ErrorCode::kInvalidConfiguration,
                "fuel is limited, but the engine was made without fuel");
  }

  std::shared_ptr<Engine> engine;  // shared: see Engine
  wasmtime_linker_t* linker;
  wasmtime_instance_pre_t* pre = nullptr;
  std::vector<std::unique_ptr<Bound>> bound;  // what the linker's callbacks point to
  std::vector<ExternType> exports;
  bool waits = false;
};

class WasmtimeExecution : public Execution {
 public:
  explicit WasmtimeExecution(Store& store) : store_(store) {}
  WasmtimeExecution(WasmtimeExecution&&) = delete;

  bool resume(milliseconds slice) override {
    if (future_ == nullptr) return true;
    if (store_.run.interrupted()) {
      abandon();
      return true;
    }
    store_.sliced = true;
    store_.slice_end = MonotonicClock::now() + slice;
    const bool done = poll();
    store_.sliced = false;
    if (done) {
      wasmtime_call_future_delete(std::exchange(future_, nullptr));
      if (error_ == nullptr && trap_ == nullptr) finish();
    }
    return done;
  }

  MonotonicTime ready_at() const override {
    if (!store_.waits_until) return {};
    return std::min(*store_.waits_until, store_.run.bounds.deadline.at);
  }

  Outcome<> outcome() override {
    CHECK(future_ == nullptr);
    if (error_ != nullptr || trap_ != nullptr) {
      return std::unexpected(
          store_.take_failure(std::exchange(error_, nullptr), std::exchange(trap_, nullptr)));
    }
    if (store_.run.failure)
      return std::unexpected(*std::exchange(store_.run.failure, std::nullopt));
    return {};
  }

  std::span<const Value> results() const override { return results_; }

 protected:
  virtual void finish() = 0;
  bool poll() {
    const Running running(store_);
    return wasmtime_call_future_poll(future_);
  }
  // Unwinds the guest where it stands.
  void abandon() {
    if (future_ != nullptr) wasmtime_call_future_delete(std::exchange(future_, nullptr));
    if (error_ != nullptr) wasmtime_error_delete(std::exchange(error_, nullptr));
    if (trap_ != nullptr) wasm_trap_delete(std::exchange(trap_, nullptr));
    store_.waits_until.reset();
  }

  Store& store_;
  wasmtime_call_future_t* future_ = nullptr;
  wasmtime_error_t* error_ = nullptr;
  wasm_trap_t* trap_ = nullptr;
  std::vector<Value> results_;
};

class WasmtimeStart final : public WasmtimeExecution {
 public:
  ~WasmtimeStart() override { abandon(); }
  explicit WasmtimeStart(WasmtimeInstance& instance)
      : WasmtimeExecution(*instance.store_), instance_(instance) {
    future_ = wasmtime_instance_pre_instantiate_async(instance.pre_, store_.context,
                                                      &instance.instance_, &trap_, &error_);
  }
  WasmtimeStart(WasmtimeInstance& instance, const wasmtime_linker_t* linker,
                const wasmtime_module_t* module)
      : WasmtimeExecution(*instance.store_), instance_(instance) {
    future_ = wasmtime_linker_instantiate_async(linker, store_.context, module, &instance.instance_,
                                                &trap_, &error_);
  }

 private:
  void finish() override {
    pool_takes(store_.engine.engine);
    instance_.started_ = true;
    if (instance_.pre_ == nullptr) return;
    if (const auto found = instance_.find("memory", WASMTIME_EXTERN_MEMORY))
      store_.own.set_memory(found->of.memory);
  }

  WasmtimeInstance& instance_;
};

// A call on a fiber, which values of all types go in and out of.
class WasmtimeCall final : public WasmtimeExecution {
 public:
  ~WasmtimeCall() override { abandon(); }  // while what the future points to is there
  WasmtimeCall(Store& store, const wasmtime_func_t& function, std::size_t results_count,
               std::span<const wasmtime_val_t> params)
      : WasmtimeExecution(store), function_(function), raw_results_(results_count) {
    future_ = wasmtime_func_call_async(store.context, &function_, params.data(), params.size(),
                                       raw_results_.data(), raw_results_.size(), &trap_, &error_);
  }

 private:
  void finish() override {
    for (wasmtime_val_t& value : raw_results_)
      results_.push_back(from_wasmtime(store_.context, value).value);
  }

  wasmtime_func_t function_;
  std::vector<wasmtime_val_t> raw_results_;
};

class WasmtimeFunction final : public FunctionInstance {
 public:
  WasmtimeFunction(Store& store, const wasmtime_func_t& function, const FunctionType& type)
      : FunctionInstance(type),
        store_(store),
        function_(function),
        has_references_(has_references(type)) {}

  Outcome<std::unique_ptr<Execution>> start(Interruption interruption,
                                            std::span<const Value> params) override {
    if (params.size() < type().params.size()) return std::unexpected(too_few(params.size()));
    SEAM_ASSIGN_OR_RETURN(std::vector<wasmtime_val_t> values, convert(params));
    store_.begin(std::move(interruption));
    auto execution =
        std::make_unique<WasmtimeCall>(store_, function_, type().results.size(), values);
    unroot(values);
    return execution;
  }

 private:
  Failure invoke(Bounds bounds, Value* slots) override {
    // wasmtime's own unchecked form of a reference is not ours.
    if (store_.waits || has_references_) [[unlikely]]
      return call_on_fiber(bounds, slots);
    Store& store = store_;
    store.run.bounds = bounds;  // looked at there from now on: little is kept over the calls below
    if (!bounds.none() && store.run.bounds.passed()) [[unlikely]]
      return failure_of(store.run.bounds);
    wasm_trap_t* trap = nullptr;
    wasmtime_error_t* error = nullptr;
    {
      const Running running(store);
      error = wasmtime_func_call_unchecked(store.context, &function_,
                                           reinterpret_cast<wasmtime_val_raw_t*>(slots),
                                           this->slots(), &trap);
    }
    if (error != nullptr || trap != nullptr) [[unlikely]]
      return failed(error, trap);
    return {};
  }
  Outcome<std::vector<wasmtime_val_t>> convert(std::span<const Value> params) {
    std::vector<Parameter> parameters;
    if (has_references_) {
      parameters = parameters_of(store_.context, function_);
    } else {
      for (const ValueType type : type().params) parameters.push_back({kind_of(type), false});
    }
    std::vector<wasmtime_val_t> values;
    values.reserve(parameters.size());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      Outcome<wasmtime_val_t> value = to_wasmtime(store_.context, parameters[i], params[i]);
      if (!value) {
        unroot(values);
        return std::unexpected(std::move(value).error());
      }
      values.push_back(*value);
    }
    return values;
  }
  static void unroot(std::vector<wasmtime_val_t>& values) {
    for (wasmtime_val_t& value : values) wasmtime_val_unroot(&value);
  }
  // What few calls come to is kept apart from invoke(), whose frame stays small by it.
  [[gnu::noinline]] Failure failed(wasmtime_error_t* error, wasm_trap_t* trap) {
    return store_.take_failure(error, trap);
  }
  [[gnu::noinline]] Failure call_on_fiber(Bounds bounds, Value* slots) {
    const auto execution = start({.deadline = bounds.deadline, .cancelled = bounds.stop_token()},
                                 {slots, this->slots()});
    if (!execution) return execution.error();
    if (Outcome<> outcome = run_to_end(**execution); !outcome) return std::move(outcome).error();
    std::ranges::copy((*execution)->results(), slots);
    return {};
  }

  Store& store_;
  wasmtime_func_t function_;
  bool has_references_;
};

class WasmtimeMemory final : public Memory {
 public:
  WasmtimeMemory(wasmtime_context_t* context, const wasmtime_memory_t& memory)
      : context_(context), memory_(memory) {}
  std::span<std::byte> view() override {
    return {reinterpret_cast<std::byte*>(wasmtime_memory_data(context_, &memory_)),
            wasmtime_memory_data_size(context_, &memory_)};
  }

 private:
  wasmtime_context_t* context_;
  wasmtime_memory_t memory_;
};

Outcome<std::unique_ptr<Execution>> WasmtimeInstance::start(Interruption interruption) {
  CHECK(!started_);
  store_->begin(std::move(interruption));
  return std::make_unique<WasmtimeStart>(*this);
}

std::unique_ptr<FunctionInstance> WasmtimeInstance::function(std::string_view name) {
  const auto type = std::ranges::find(exports_, name, &ExternType::name);
  if (type == exports_.end()) return nullptr;
  const auto found = find(name, WASMTIME_EXTERN_FUNC);
  if (!found) return nullptr;
  return std::make_unique<WasmtimeFunction>(*store_, found->of.func, type->function);
}

std::unique_ptr<Memory> WasmtimeInstance::memory(std::string_view name) {
  const auto found = find(name, WASMTIME_EXTERN_MEMORY);
  if (!found) return nullptr;
  return std::make_unique<WasmtimeMemory>(store_->context, found->of.memory);
}

std::optional<TypedValue> WasmtimeInstance::global(std::string_view name) {
  const auto found = find(name, WASMTIME_EXTERN_GLOBAL);
  if (!found) return std::nullopt;
  wasmtime_val_t value;
  wasmtime_global_get(store_->context, &found->of.global, &value);
  return from_wasmtime(store_->context, value);
}

// The instance and export that the import names, the last of those under one name first.
std::optional<wasmtime_extern_t> find_linked(std::span<const LinkedInstance> linked, Store& store,
                                             const ExternType& import) {
  for (const LinkedInstance& each : std::views::reverse(linked)) {
    if (each.name != import.module) continue;
    const auto& instance = static_cast<const WasmtimeInstance&>(*each.instance);
    wasmtime_extern_t found;
    if (wasmtime_instance_export_get(store.context, &instance.instance_, import.name.data(),
                                     import.name.size(), &found))
      return found;
  }
  return std::nullopt;
}

// The store that they all live in, or a new one if there are none.
Outcome<std::shared_ptr<Store>> store_of(Engine& engine, std::span<const LinkedInstance> linked,
                                         const InstanceOptions& options) {
  std::shared_ptr<Store> store;
  for (const LinkedInstance& each : linked) {
    const auto* instance = dynamic_cast<const WasmtimeInstance*>(each.instance);
    if (instance == nullptr || &instance->store_->engine != &engine || !instance->started_ ||
        (store != nullptr && store != instance->store_)) {
      return fail(ErrorCode::kInvalidConfiguration,
                  fmt::format("the instance under the name {} cannot be linked with the others: it "
                              "is another engine's or another group's",
                              each.name));
    }
    store = instance->store_;
  }
  if (store != nullptr) return store;
  if (options.limits.fuel && !engine.fuel) return WasmtimeContext::no_fuel();
  return std::make_shared<Store>(engine, options);
}

struct LinkerDeleter {
  void operator()(wasmtime_linker_t* linker) const { wasmtime_linker_delete(linker); }
};
using OwnedLinker = std::unique_ptr<wasmtime_linker_t, LinkerDeleter>;

OwnedLinker make_linker(Engine& engine) {
  OwnedLinker linker(wasmtime_linker_new(engine.engine));
  wasmtime_linker_allow_shadowing(linker.get(), true);  // a module may import one function twice
  return linker;
}

}  // namespace

Outcome<std::unique_ptr<Context>> make_context(std::shared_ptr<Engine> engine,
                                               const wasmtime_module_t* module,
                                               const std::vector<ExternType>& imports,
                                               const std::vector<ExternType>& exports,
                                               const HostModule& host) {
  OwnedLinker linker = make_linker(*engine);
  auto context = std::make_unique<WasmtimeContext>(std::move(engine), linker.release());
  context->exports = exports;
  for (const ExternType& import : imports) {
    SEAM_ASSIGN_OR_RETURN(const HostFunction* function, host.resolve(import));
    Bound& bound = *context->bound.emplace_back(std::make_unique<Bound>(*function));
    context->waits |= function->may_wait;
    if (wasmtime_error_t* error = define(context->linker, bound))
      return std::unexpected(take_error(error, ErrorCode::kModuleInstantiateFailed));
  }
  if (wasmtime_error_t* error =
          wasmtime_linker_instantiate_pre(context->linker, module, &context->pre)) {
    return std::unexpected(take_error(error, ErrorCode::kModuleInstantiateFailed));
  }
  return context;
}

Outcome<std::unique_ptr<ModuleInstance>> make_linked(
    Engine& engine, const wasmtime_module_t* module, const CompiledModule& described,
    const HostModule& host, std::span<const LinkedInstance> linked, const InstanceOptions& options,
    const Interruption& interruption) {
  SEAM_ASSIGN_OR_RETURN(const std::shared_ptr<Store> store, store_of(engine, linked, options));
  const OwnedLinker linker = make_linker(engine);
  auto side = std::make_unique<HostSide>(options.state, false);
  std::vector<std::unique_ptr<Bound>> bound;
  for (const ExternType& import : described.imports()) {
    wasmtime_error_t* error = nullptr;
    if (const auto item = find_linked(linked, *store, import)) {
      error = wasmtime_linker_define(linker.get(), store->context, import.module.data(),
                                     import.module.size(), import.name.data(), import.name.size(),
                                     &*item);
    } else {
      SEAM_ASSIGN_OR_RETURN(const HostFunction* function, host.resolve(import));
      bound.push_back(std::make_unique<Bound>(*function, side.get()));
      error = define(linker.get(), *bound.back());
    }
    if (error != nullptr)
      return std::unexpected(take_error(error, ErrorCode::kModuleInstantiateFailed));
  }
  // Compares the types, so that what fails below is the start of the instance.
  wasmtime_instance_pre_t* pre = nullptr;
  if (wasmtime_error_t* error = wasmtime_linker_instantiate_pre(linker.get(), module, &pre))
    return std::unexpected(take_error(error, ErrorCode::kModuleInstantiateFailed));
  wasmtime_instance_pre_delete(pre);

  for (const std::unique_ptr<Bound>& each : bound) store->waits |= each->function.may_wait;
  std::ranges::move(bound, std::back_inserter(store->bound));
  store->sides.push_back(std::move(side));
  auto instance =
      std::make_unique<WasmtimeInstance>(store, std::vector<ExternType>(described.exports()));
  store->begin(interruption);
  WasmtimeStart start(*instance, linker.get(), module);
  SEAM_RETURN_IF_ERROR(run_to_end(start));
  return instance;
}

}  // namespace seam::wasm
