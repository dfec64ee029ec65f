#include "wasm/wasmtime/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "wasm/wasmtime/convert.h"
#include "wasm/wasmtime/sanitizer.h"

namespace seam::wasm {
namespace {

Store& store_of(wasmtime_caller_t* caller) {
  return *static_cast<Store*>(wasmtime_context_get_data(wasmtime_caller_context(caller)));
}

HostSide& side_of(const Bound& bound, Store& store) {
  return bound.side == nullptr ? store.own : *bound.side;
}

// Apart from the calls that end well, whose frames stay small by it.
[[gnu::noinline]] wasm_trap_t* end_guest(Store& store, Failure failure) {
  store.run.failure = std::move(failure).take();
  constexpr std::string_view kMessage = "ended by the host";
  return wasmtime_trap_new(kMessage.data(), kMessage.size());
}

wasm_trap_t* on_host_call(void* env, wasmtime_caller_t* caller, wasmtime_val_raw_t* slots,
                          std::size_t /*count*/) {
  const Bound& bound = *static_cast<const Bound*>(env);
  Store& store = *running_store;
  HostSide& side = side_of(bound, store);
  side.begin(caller);
  Failure failure =
      bound.function.invoke(bound.function.callable.get(), side, reinterpret_cast<Value*>(slots));
  running_store = &store;  // the function may have run another guest
  if (failure) [[unlikely]]
    return end_guest(store, std::move(failure));
  return nullptr;
}

bool has_waited(void* env) {
  auto& store = *static_cast<Store*>(env);
  if (store.waits_until && MonotonicClock::now() < *store.waits_until) return false;
  store.waits_until.reset();
  return true;
}

void on_waiting_host_call(void* env, wasmtime_caller_t* caller, const wasmtime_val_t* params,
                          std::size_t params_count, wasmtime_val_t* results,
                          std::size_t results_count, wasm_trap_t** trap,
                          wasmtime_async_continuation_t* continuation) {
  const Bound& bound = *static_cast<const Bound*>(env);
  Store& store = store_of(caller);
  HostSide& side = side_of(bound, store);
  side.begin(caller);
  std::vector<Value> slots(std::max(params_count, results_count));
  for (std::size_t i = 0; i < params_count; ++i)
    std::memcpy(slots[i].bytes, &params[i].of, sizeof(Value));
  Failure failure = bound.function.invoke(bound.function.callable.get(), side, slots.data());
  *continuation = {.callback = has_waited, .env = &store, .finalizer = nullptr};
  if (failure) {
    *trap = end_guest(store, std::move(failure));
    return;
  }
  for (std::size_t i = 0; i < results_count; ++i) {
    results[i].kind = kind_of(bound.function.type.results[i]);
    std::memcpy(&results[i].of, slots[i].bytes, sizeof(Value));
  }
  if (const auto until = side.take_wait()) store.waits_until = until->at;
}

}  // namespace

std::span<std::byte> HostSide::memory() {
  if (!has_memory_) {  // the start function runs, or another instance may have called
    wasmtime_extern_t found;
    if (!wasmtime_caller_export_get(caller_, "memory", 6, &found)) return {};
    if (found.kind != WASMTIME_EXTERN_MEMORY) {
      wasmtime_extern_delete(&found);
      return {};
    }
    memory_ = found.of.memory;
    has_memory_ = alone_;
  }
  wasmtime_context_t* context = wasmtime_caller_context(caller_);
  return {reinterpret_cast<std::byte*>(wasmtime_memory_data(context, &memory_)),
          wasmtime_memory_data_size(context, &memory_)};
}

wasmtime_error_t* define(wasmtime_linker_t* linker, Bound& bound) {
  const HostFunction& function = bound.function;
  wasm_functype_t* type = make_type(function.type);
  const auto define_one = [&](auto* defining, auto* callback) {
    return defining(linker, function.module.data(), function.module.size(), function.name.data(),
                    function.name.size(), type, callback, &bound, nullptr);
  };
  wasmtime_error_t* error =
      function.may_wait ? define_one(wasmtime_linker_define_async_func, on_waiting_host_call)
                        : define_one(wasmtime_linker_define_func_unchecked, on_host_call);
  wasm_functype_delete(type);
  return error;
}

Store::Store(Engine& engine_, const InstanceOptions& options)
    : engine(engine_),
      ticker(*engine_.ticker),
      store(wasmtime_store_new(engine_.engine, this, nullptr)),
      context(wasmtime_store_context(store)),
      has_fuel(options.limits.fuel.has_value()),
      own(options.state, true) {
  wasmtime_store_limiter(store, static_cast<std::int64_t>(options.limits.memory_bytes_max),
                         options.limits.table_elements_max, -1, -1, -1);
  wasmtime_store_epoch_deadline_callback(store, on_epoch, this, nullptr);
  wasmtime_context_set_epoch_deadline(context, kTicksBetweenLooks);
  if (engine.fuel) {
    const std::uint64_t fuel =
        options.limits.fuel.value_or(std::numeric_limits<std::int64_t>::max());
    if (wasmtime_error_t* error = wasmtime_context_set_fuel(context, fuel))
      wasmtime_error_delete(error);
  }
}

Store::~Store() {
  pool_gives(engine.engine);
  wasmtime_store_delete(store);
}

Error Store::take_failure(wasmtime_error_t* error, wasm_trap_t* trap) {
  Error taken = trap != nullptr ? take_trap(trap) : take_error(error, ErrorCode::kTrapped);
  if (run.failure) {
    run.failure->backtrace = std::move(taken.backtrace);
    return *std::exchange(run.failure, std::nullopt);
  }
  const auto says = [&](std::string_view words) { return taken.message.contains(words); };
  if (says("exceeds memory limits") || says("exceeds table limits") ||
      says("GC heap out of memory")) {
    taken.code = ErrorCode::kLimitExceeded;
  } else if (says("maximum concurrent")) {
    taken.code = ErrorCode::kNoRoom;
  } else if (says("thrown Wasm exception")) {
    taken.trap = TrapKind::kUncaughtException;
  }
  return taken;
}

wasmtime_error_t* Store::on_epoch(wasmtime_context_t* /*context*/, void* data, std::uint64_t* delta,
                                  wasmtime_update_deadline_kind_t* kind) {
  auto& self = *static_cast<Store*>(data);
  if (!self.counted) {
    self.counted = true;
    self.ticker.enter_long();
  }
  if (self.run.interrupted()) return wasmtime_error_new("interrupted");
  *delta = kTicksBetweenLooks;
  *kind = self.sliced && MonotonicClock::now() >= self.slice_end
              ? WASMTIME_UPDATE_DEADLINE_YIELD
              : WASMTIME_UPDATE_DEADLINE_CONTINUE;
  return nullptr;
}

}  // namespace seam::wasm
