// Instances: how a guest runs, is sliced and is interrupted.
//
// Every run, on a fiber or not, begins with an epoch deadline of one tick. When the ticker advances
// the epoch, the guest's next loop or call enters on_epoch(), which looks at the caller's deadline
// and cancellation, and then either lets the guest go on for another tick or, on a fiber whose
// slice is over, yields to whoever resumed it. So a guest that spins is noticed within about two
// milliseconds, and one that runs for less than a tick never pays.

#include <fmt/format.h>
#include <wasm.h>
#include <wasmtime.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "wasm/wasmtime/engine.h"
#include "wasm/wasmtime/sanitizer.h"

namespace seam::wasm {
namespace {

static_assert(sizeof(Value) == sizeof(wasmtime_val_raw_t) &&
              alignof(Value) == alignof(wasmtime_val_raw_t));

constexpr std::uint64_t kTicksBetweenLooks = 1;

wasmtime_val_t to_wasmtime(ValueType type, const Value& value) {
  wasmtime_val_t out{};
  switch (type) {
    case ValueType::kI32:
      out.kind = WASMTIME_I32;
      break;
    case ValueType::kI64:
      out.kind = WASMTIME_I64;
      break;
    case ValueType::kF32:
      out.kind = WASMTIME_F32;
      break;
    case ValueType::kF64:
      out.kind = WASMTIME_F64;
      break;
    case ValueType::kV128:
      out.kind = WASMTIME_V128;
      break;
    case ValueType::kFuncref:
      out.kind = WASMTIME_FUNCREF;
      wasmtime_funcref_set_null(&out.of.funcref);
      return out;
    case ValueType::kExternref:
      out.kind = WASMTIME_EXTERNREF;
      wasmtime_externref_set_null(&out.of.externref);
      return out;
  }
  std::memcpy(&out.of, value.bytes, sizeof value.bytes);
  return out;
}

Value from_wasmtime(wasmtime_val_t& from) {
  Value value;
  if (from.kind <= WASMTIME_V128) {
    const std::size_t size = from.kind == WASMTIME_V128                               ? 16
                             : from.kind == WASMTIME_I64 || from.kind == WASMTIME_F64 ? 8
                                                                                      : 4;
    std::memcpy(value.bytes, &from.of, size);
  }
  wasmtime_val_unroot(&from);
  return value;
}

struct Bound {
  HostFunction function;
};

class WasmtimeContext;

class WasmtimeInstance final : public ModuleInstance {
 public:
  WasmtimeInstance(WasmtimeContext& context, const InstanceOptions& options);
  WasmtimeInstance(WasmtimeInstance&&) = delete;
  ~WasmtimeInstance() override;

  Outcome<std::unique_ptr<Execution>> start(Interruption interruption) override;
  std::unique_ptr<FunctionInstance> function(std::string_view name) override;
  std::unique_ptr<Memory> memory(std::string_view name) override;
  std::optional<TypedValue> global(std::string_view /*name*/) override { return std::nullopt; }
  std::optional<std::uint64_t> fuel_left() const override {
    std::uint64_t fuel = 0;
    if (!has_fuel_) return std::nullopt;
    if (wasmtime_error_t* error = wasmtime_context_get_fuel(store_context_, &fuel))
      wasmtime_error_delete(error);
    return fuel;
  }

  // Puts whatever ended the run in one Error; `outside` first, for it is the cause.
  Error take_failure(wasmtime_error_t* error, wasm_trap_t* trap) {
    Error taken = trap != nullptr ? take_trap(trap) : take_error(error, ErrorCode::kTrapped);
    if (failure_) {
      failure_->backtrace = std::move(taken.backtrace);
      return *std::exchange(failure_, std::nullopt);
    }
    if (taken.message.contains("exceeds memory limits") ||
        taken.message.contains("exceeds table limits")) {
      taken.code = ErrorCode::kLimitExceeded;
    } else if (taken.message.contains("maximum concurrent")) {
      taken.code = ErrorCode::kNoRoom;
    }
    return taken;
  }

  // Whether the caller wants no more of it; then failure_ says why.
  bool interrupted() {
    if (interruption_.cancelled.stop_requested()) {
      failure_ = Error{.code = ErrorCode::kCancelled, .message = "the caller no longer wants it"};
    } else if (interruption_.deadline.passed(MonotonicClock::now())) {
      failure_ = Error{.code = ErrorCode::kDeadlineExceeded, .message = "its time is up"};
    }
    return failure_.has_value();
  }

  static wasmtime_error_t* on_epoch(wasmtime_context_t* /*context*/, void* data,
                                    std::uint64_t* delta, wasmtime_update_deadline_kind_t* kind) {
    auto& self = *static_cast<WasmtimeInstance*>(data);
    if (self.interrupted()) return wasmtime_error_new("interrupted");
    *delta = kTicksBetweenLooks;
    *kind = self.sliced_ && MonotonicClock::now() >= self.slice_end_
                ? WASMTIME_UPDATE_DEADLINE_YIELD
                : WASMTIME_UPDATE_DEADLINE_CONTINUE;
    return nullptr;
  }

  WasmtimeContext& context_;
  wasmtime_store_t* store_;
  wasmtime_context_t* store_context_;
  wasmtime_instance_t instance_{};
  bool started_ = false;
  bool has_fuel_ = false;
  wasmtime_extern_t memory_{};  // the one exported as "memory", once started
  bool has_memory_ = false;
  void* state_;
  Interruption interruption_;
  std::optional<Error> failure_;  // ended from outside or by a host function
  std::optional<MonotonicTime> waits_until_;
  bool sliced_ = false;
  MonotonicTime slice_end_;
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
    if (options.limits.fuel && !engine->fuel) {
      return fail(ErrorCode::kInvalidConfiguration,
                  "fuel is limited, but the engine was made without fuel");
    }
    return std::make_unique<WasmtimeInstance>(*this, options);
  }

  std::shared_ptr<Engine> engine;  // shared: see Engine
  wasmtime_linker_t* linker;
  wasmtime_instance_pre_t* pre = nullptr;
  std::vector<std::unique_ptr<Bound>> bound;  // what the linker's callbacks point to
  std::vector<ExternType> exports;
  bool waits = false;  // an import may wait: guests can only run on fibers
};

class WasmtimeHostCall final : public HostCall {
 public:
  WasmtimeHostCall(WasmtimeInstance& instance, wasmtime_caller_t* caller)
      : HostCall(instance.state_), instance_(instance), caller_(caller) {}

  std::span<std::byte> memory() override {
    if (!instance_.has_memory_) {  // the start function runs
      wasmtime_extern_t found;
      if (!wasmtime_caller_export_get(caller_, "memory", 6, &found) ||
          found.kind != WASMTIME_EXTERN_MEMORY)
        return {};
      instance_.memory_ = found;
      instance_.has_memory_ = true;
    }
    wasmtime_context_t* context = wasmtime_caller_context(caller_);
    return {
        reinterpret_cast<std::byte*>(wasmtime_memory_data(context, &instance_.memory_.of.memory)),
        wasmtime_memory_data_size(context, &instance_.memory_.of.memory)};
  }

 private:
  WasmtimeInstance& instance_;
  wasmtime_caller_t* caller_;
};

WasmtimeInstance& instance_of(wasmtime_caller_t* caller) {
  return *static_cast<WasmtimeInstance*>(
      wasmtime_context_get_data(wasmtime_caller_context(caller)));
}

wasm_trap_t* end_guest(WasmtimeInstance& instance, Error error) {
  instance.failure_ = std::move(error);
  constexpr std::string_view kMessage = "ended by the host";
  return wasmtime_trap_new(kMessage.data(), kMessage.size());
}

wasm_trap_t* on_host_call(void* env, wasmtime_caller_t* caller, wasmtime_val_raw_t* slots,
                          std::size_t /*count*/) {
  const HostFunction& function = static_cast<const Bound*>(env)->function;
  WasmtimeInstance& instance = instance_of(caller);
  WasmtimeHostCall call(instance, caller);
  function.invoke(function.callable.get(), call, reinterpret_cast<Value*>(slots));
  return call.error ? end_guest(instance, *std::move(call.error)) : nullptr;
}

bool has_waited(void* env) {
  auto& instance = *static_cast<WasmtimeInstance*>(env);
  if (instance.waits_until_ && MonotonicClock::now() < *instance.waits_until_) return false;
  instance.waits_until_.reset();
  return true;
}

void on_waiting_host_call(void* env, wasmtime_caller_t* caller, const wasmtime_val_t* params,
                          std::size_t params_count, wasmtime_val_t* results,
                          std::size_t results_count, wasm_trap_t** trap,
                          wasmtime_async_continuation_t* continuation) {
  const HostFunction& function = static_cast<const Bound*>(env)->function;
  WasmtimeInstance& instance = instance_of(caller);
  WasmtimeHostCall call(instance, caller);
  std::vector<Value> slots(std::max(params_count, results_count));
  for (std::size_t i = 0; i < params_count; ++i)
    std::memcpy(slots[i].bytes, &params[i].of, sizeof(Value));
  function.invoke(function.callable.get(), call, slots.data());
  *continuation = {.callback = has_waited, .env = &instance, .finalizer = nullptr};
  if (call.error) {
    *trap = end_guest(instance, *std::move(call.error));
    return;
  }
  for (std::size_t i = 0; i < results_count; ++i)
    results[i] = to_wasmtime(function.type.results[i], slots[i]);
  if (const auto& until = call.waits_until()) instance.waits_until_ = until->at;
}

class WasmtimeExecution : public Execution {
 public:
  explicit WasmtimeExecution(WasmtimeInstance& instance) : instance_(instance) {}
  WasmtimeExecution(WasmtimeExecution&&) = delete;

  bool resume(milliseconds slice) override {
    if (future_ == nullptr) return true;
    if (instance_.interrupted()) {
      abandon();
      return true;
    }
    EpochTicker& ticker = *instance_.context_.engine->ticker;
    instance_.sliced_ = true;
    instance_.slice_end_ = MonotonicClock::now() + slice;
    ticker.enter();
    const bool done = wasmtime_call_future_poll(future_);
    ticker.leave();
    instance_.sliced_ = false;
    if (done) {
      wasmtime_call_future_delete(std::exchange(future_, nullptr));
      if (error_ == nullptr && trap_ == nullptr) finish();
    }
    return done;
  }

  MonotonicTime ready_at() const override {
    if (!instance_.waits_until_) return {};
    return std::min(*instance_.waits_until_, instance_.interruption_.deadline.at);
  }

  Outcome<> outcome() override {
    CHECK(future_ == nullptr);
    if (error_ != nullptr || trap_ != nullptr) {
      return std::unexpected(
          instance_.take_failure(std::exchange(error_, nullptr), std::exchange(trap_, nullptr)));
    }
    if (instance_.failure_)
      return std::unexpected(*std::exchange(instance_.failure_, std::nullopt));
    return {};
  }

  std::span<const Value> results() const override { return results_; }

 protected:
  virtual void finish() = 0;
  // Unwinds the guest where it stands.
  void abandon() {
    if (future_ != nullptr) wasmtime_call_future_delete(std::exchange(future_, nullptr));
    if (error_ != nullptr) wasmtime_error_delete(std::exchange(error_, nullptr));
    if (trap_ != nullptr) wasm_trap_delete(std::exchange(trap_, nullptr));
    instance_.waits_until_.reset();
  }

  WasmtimeInstance& instance_;
  wasmtime_call_future_t* future_ = nullptr;
  wasmtime_error_t* error_ = nullptr;
  wasm_trap_t* trap_ = nullptr;
  std::vector<Value> results_;
};

class WasmtimeStart final : public WasmtimeExecution {
 public:
  ~WasmtimeStart() override { abandon(); }
  explicit WasmtimeStart(WasmtimeInstance& instance) : WasmtimeExecution(instance) {
    future_ = wasmtime_instance_pre_instantiate_async(
        instance.context_.pre, instance.store_context_, &instance.instance_, &trap_, &error_);
  }

 private:
  void finish() override {
    pool_takes(instance_.context_.engine->engine);
    instance_.started_ = true;
    wasmtime_extern_t found;
    if (!instance_.has_memory_ &&
        wasmtime_instance_export_get(instance_.store_context_, &instance_.instance_, "memory", 6,
                                     &found) &&
        found.kind == WASMTIME_EXTERN_MEMORY) {
      instance_.memory_ = found;
      instance_.has_memory_ = true;
    }
  }
};

class WasmtimeCall final : public WasmtimeExecution {
 public:
  ~WasmtimeCall() override { abandon(); }  // while what the future points to is there
  WasmtimeCall(WasmtimeInstance& instance, const wasmtime_func_t& function,
               const FunctionType& type, std::span<const Value> params)
      : WasmtimeExecution(instance), function_(function), raw_results_(type.results.size()) {
    std::vector<wasmtime_val_t> values;
    values.reserve(type.params.size());
    for (std::size_t i = 0; i < type.params.size(); ++i)
      values.push_back(to_wasmtime(type.params[i], params[i]));
    future_ =
        wasmtime_func_call_async(instance.store_context_, &function_, values.data(), values.size(),
                                 raw_results_.data(), raw_results_.size(), &trap_, &error_);
  }

 private:
  void finish() override {
    for (wasmtime_val_t& value : raw_results_) results_.push_back(from_wasmtime(value));
  }

  wasmtime_func_t function_;
  std::vector<wasmtime_val_t> raw_results_;
};

class WasmtimeFunction final : public FunctionInstance {
 public:
  WasmtimeFunction(WasmtimeInstance& instance, const wasmtime_func_t& function,
                   const FunctionType& type)
      : instance_(instance), function_(function), type_(type) {}

  const FunctionType& type() const override { return type_; }

  Outcome<> call(const Interruption& interruption, std::span<Value> slots) override {
    if (slots.size() < type_.slots()) return std::unexpected(too_few(slots.size()));
    if (instance_.context_.waits) {
      SEAM_ASSIGN_OR_RETURN(const std::unique_ptr<Execution> execution, start(interruption, slots));
      SEAM_RETURN_IF_ERROR(run_to_end(*execution));
      std::ranges::copy(execution->results(), slots.begin());
      return {};
    }
    prepare(interruption);
    if (instance_.interrupted())
      return std::unexpected(*std::exchange(instance_.failure_, std::nullopt));
    EpochTicker& ticker = *instance_.context_.engine->ticker;
    wasm_trap_t* trap = nullptr;
    ticker.enter();
    wasmtime_error_t* error = wasmtime_func_call_unchecked(
        instance_.store_context_, &function_, reinterpret_cast<wasmtime_val_raw_t*>(slots.data()),
        slots.size(), &trap);
    ticker.leave();
    if (error != nullptr || trap != nullptr)
      return std::unexpected(instance_.take_failure(error, trap));
    return {};
  }

  Outcome<std::unique_ptr<Execution>> start(Interruption interruption,
                                            std::span<const Value> params) override {
    if (params.size() < type_.params.size()) return std::unexpected(too_few(params.size()));
    prepare(std::move(interruption));
    return std::make_unique<WasmtimeCall>(instance_, function_, type_, params);
  }

 private:
  void prepare(Interruption interruption) {
    instance_.interruption_ = std::move(interruption);
    instance_.failure_.reset();
    wasmtime_context_set_epoch_deadline(instance_.store_context_, kTicksBetweenLooks);
  }
  Error too_few(std::size_t given) const {
    return {.code = ErrorCode::kInvalidConfiguration,
            .message =
                fmt::format("{} values given to a function of type {}", given, to_string(type_))};
  }

  WasmtimeInstance& instance_;
  wasmtime_func_t function_;
  const FunctionType& type_;  // the context's
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

WasmtimeInstance::WasmtimeInstance(WasmtimeContext& context, const InstanceOptions& options)
    : context_(context),
      store_(wasmtime_store_new(context.engine->engine, this, nullptr)),
      store_context_(wasmtime_store_context(store_)),
      has_fuel_(options.limits.fuel.has_value()),
      state_(options.state) {
  wasmtime_store_limiter(store_, static_cast<std::int64_t>(options.limits.memory_bytes_max),
                         options.limits.table_elements_max, -1, -1, -1);
  wasmtime_store_epoch_deadline_callback(store_, on_epoch, this, nullptr);
  if (context.engine->fuel) {
    const std::uint64_t fuel =
        options.limits.fuel.value_or(std::numeric_limits<std::int64_t>::max());
    if (wasmtime_error_t* error = wasmtime_context_set_fuel(store_context_, fuel))
      wasmtime_error_delete(error);
  }
}

WasmtimeInstance::~WasmtimeInstance() {
  pool_gives(context_.engine->engine);
  wasmtime_store_delete(store_);
}

Outcome<std::unique_ptr<Execution>> WasmtimeInstance::start(Interruption interruption) {
  CHECK(!started_);
  interruption_ = std::move(interruption);
  wasmtime_context_set_epoch_deadline(store_context_, kTicksBetweenLooks);
  return std::make_unique<WasmtimeStart>(*this);
}

std::unique_ptr<FunctionInstance> WasmtimeInstance::function(std::string_view name) {
  CHECK(started_);
  const auto type = std::ranges::find(context_.exports, name, &ExternType::name);
  if (type == context_.exports.end() || type->kind != ExternKind::kFunction) return nullptr;
  wasmtime_extern_t found;
  CHECK(wasmtime_instance_export_get(store_context_, &instance_, name.data(), name.size(), &found));
  return std::make_unique<WasmtimeFunction>(*this, found.of.func, type->function);
}

std::unique_ptr<Memory> WasmtimeInstance::memory(std::string_view name) {
  CHECK(started_);
  wasmtime_extern_t found;
  if (!wasmtime_instance_export_get(store_context_, &instance_, name.data(), name.size(), &found))
    return nullptr;
  if (found.kind != WASMTIME_EXTERN_MEMORY) {
    wasmtime_extern_delete(&found);
    return nullptr;
  }
  return std::make_unique<WasmtimeMemory>(store_context_, found.of.memory);
}

wasm_valtype_t* make_type(ValueType type) {
  static constexpr wasm_valkind_t kKinds[] = {WASM_I32, WASM_I64,     WASM_F32,      WASM_F64,
                                              WASM_I32, WASM_FUNCREF, WASM_EXTERNREF};
  CHECK(type != ValueType::kV128);  // no number of a host function's is one
  return wasm_valtype_new(kKinds[static_cast<std::size_t>(type)]);
}

wasm_functype_t* make_type(const FunctionType& type) {
  const auto list = [](const std::vector<ValueType>& types) {
    wasm_valtype_vec_t vector;
    wasm_valtype_vec_new_uninitialized(&vector, types.size());
    for (std::size_t i = 0; i < types.size(); ++i) vector.data[i] = make_type(types[i]);
    return vector;
  };
  wasm_valtype_vec_t params = list(type.params);
  wasm_valtype_vec_t results = list(type.results);
  return wasm_functype_new(&params, &results);
}

wasmtime_error_t* define(WasmtimeContext& context, const HostFunction& function) {
  Bound* bound = context.bound.emplace_back(std::make_unique<Bound>(function)).get();
  wasm_functype_t* type = make_type(function.type);
  const auto define_one = [&](auto* defining, auto* callback) {
    return defining(context.linker, function.module.data(), function.module.size(),
                    function.name.data(), function.name.size(), type, callback, bound, nullptr);
  };
  wasmtime_error_t* error =
      function.may_wait ? define_one(wasmtime_linker_define_async_func, on_waiting_host_call)
                        : define_one(wasmtime_linker_define_func_unchecked, on_host_call);
  wasm_functype_delete(type);
  context.waits |= function.may_wait;
  return error;
}

}  // namespace

Outcome<std::unique_ptr<Context>> make_context(std::shared_ptr<Engine> engine,
                                               const wasmtime_module_t* module,
                                               const std::vector<ExternType>& imports,
                                               const std::vector<ExternType>& exports,
                                               const HostModule& host) {
  wasmtime_linker_t* linker = wasmtime_linker_new(engine->engine);
  auto context = std::make_unique<WasmtimeContext>(std::move(engine), linker);
  context->exports = exports;
  wasmtime_linker_allow_shadowing(linker, true);  // a module may import one function twice
  for (const ExternType& import : imports) {
    const auto offered = std::ranges::find_if(host.functions(), [&](const HostFunction& function) {
      return function.module == import.module && function.name == import.name;
    });
    if (import.kind != ExternKind::kFunction || offered == host.functions().end()) {
      return fail(
          ErrorCode::kModuleInstantiateFailed,
          fmt::format("it imports {}.{}, which is not offered", import.module, import.name));
    }
    if (offered->type != import.function) {
      return fail(ErrorCode::kModuleInstantiateFailed,
                  fmt::format("it imports {}.{} as {}, which is {}", import.module, import.name,
                              to_string(import.function), to_string(offered->type)));
    }
    if (wasmtime_error_t* error = define(*context, *offered)) {
      return std::unexpected(take_error(error, ErrorCode::kModuleInstantiateFailed));
    }
  }
  if (wasmtime_error_t* error = wasmtime_linker_instantiate_pre(linker, module, &context->pre)) {
    return std::unexpected(take_error(error, ErrorCode::kModuleInstantiateFailed));
  }
  return context;
}

}  // namespace seam::wasm
