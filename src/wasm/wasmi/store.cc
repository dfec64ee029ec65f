// How a guest is bounded.
//
// wasmi counts fuel and stops a call that has used it up where it stands; such a call goes on when
// it is given more. A guest gets its fuel in portions of what it burns in a fraction of a
// millisecond, and each time it comes for more, refill() looks at the caller's deadline and
// cancellation, and takes the portion from Limits::fuel where there is such a limit. So a guest
// that spins is noticed within about a millisecond. Host functions burn none: after each of them a
// clock that costs nothing is looked at instead.

#include "wasm/wasmi/store.h"

#include <fmt/format.h>

#include <algorithm>

namespace seam::wasm {
namespace {

// An instruction takes some nanoseconds, the worst a hundred.
constexpr std::uint64_t kPortion = 50'000;

TrapKind kind_of(seam_wasmi_trap trap) {
  switch (trap) {
    case SEAM_WASMI_TRAP_UNREACHABLE:
      return TrapKind::kUnreachable;
    case SEAM_WASMI_TRAP_MEMORY_OUT_OF_BOUNDS:
      return TrapKind::kMemoryOutOfBounds;
    case SEAM_WASMI_TRAP_TABLE_OUT_OF_BOUNDS:
      return TrapKind::kTableOutOfBounds;
    case SEAM_WASMI_TRAP_INDIRECT_CALL_TO_NULL:
      return TrapKind::kIndirectCallToNull;
    case SEAM_WASMI_TRAP_DIVISION_BY_ZERO:
      return TrapKind::kIntegerDivisionByZero;
    case SEAM_WASMI_TRAP_INTEGER_OVERFLOW:
      return TrapKind::kIntegerOverflow;
    case SEAM_WASMI_TRAP_BAD_CONVERSION:
      return TrapKind::kBadConversionToInteger;
    case SEAM_WASMI_TRAP_STACK_OVERFLOW:
      return TrapKind::kStackOverflow;
    case SEAM_WASMI_TRAP_BAD_SIGNATURE:
      return TrapKind::kBadSignature;
    case SEAM_WASMI_TRAP_OUT_OF_MEMORY:
    case SEAM_WASMI_TRAP_OTHER:
      return TrapKind::kOther;
  }
  return TrapKind::kOther;
}

ErrorCode code_of(const seam_wasmi_error& error) {
  switch (error.kind) {
    case SEAM_WASMI_ERROR_LIMIT:
      return ErrorCode::kLimitExceeded;
    case SEAM_WASMI_ERROR_LINK:
      return ErrorCode::kModuleInstantiateFailed;
    case SEAM_WASMI_ERROR_MODULE:
      return ErrorCode::kModuleCompileFailed;
    case SEAM_WASMI_ERROR_TRAP:
    case SEAM_WASMI_ERROR_OTHER:
      break;
  }
  return error.trap == SEAM_WASMI_TRAP_OUT_OF_MEMORY ? ErrorCode::kLimitExceeded
                                                     : ErrorCode::kTrapped;
}

std::uint64_t on_refill(void* context, std::uint64_t needed, std::uint64_t left) {
  return static_cast<WasmiStore*>(context)->refill(needed, left);
}

class WasmiHostCall final : public HostCall {
 public:
  WasmiHostCall(void* state, const seam_wasmi_api& api, seam_wasmi_caller* caller)
      : HostCall(state), api_(api), caller_(caller) {}

  std::span<std::byte> memory() override {
    const seam_wasmi_bytes bytes = api_.caller_memory(caller_);
    return {reinterpret_cast<std::byte*>(bytes.data), bytes.size};
  }

 private:
  const seam_wasmi_api& api_;
  seam_wasmi_caller* caller_;
};

seam_wasmi_status wait(WasmiStore& store, MonotonicTime until) {
  if (store.sliced) {
    store.waits_until = until;
    return SEAM_WASMI_WAITING;
  }
  sleep_until(until, store.run.bounds);
  return store.run.interrupted() ? SEAM_WASMI_STOPPED : SEAM_WASMI_DONE;
}

}  // namespace

Error take_error(const seam_wasmi_api& api, seam_wasmi_error& error) {
  Error result{.code = code_of(error), .trap = kind_of(error.trap)};
  result.message = message_of(result.trap);
  if (result.message.empty()) result.message.assign(error.text, error.size);
  api.error_free(&error);
  return result;
}

WasmiStore::WasmiStore(std::shared_ptr<WasmiEngine> engine_, const seam_wasmi_module* module,
                       const InstanceOptions& options)
    : engine(std::move(engine_)),
      state(options.state),
      has_fuel(options.limits.fuel.has_value()),
      fuel_reserve(options.limits.fuel.value_or(0)) {
  const seam_wasmi_host host{.context = this,
                             .refill = on_refill,
                             .memory_bytes_max = options.limits.memory_bytes_max,
                             .table_elements_max = options.limits.table_elements_max};
  store = api().store_new(module, &host);
  const std::uint64_t first = has_fuel ? std::min(fuel_reserve, kPortion) : kPortion;
  if (has_fuel) fuel_reserve -= first;
  api().store_set_fuel(store, first);
}

WasmiStore::~WasmiStore() { api().store_delete(store); }

std::uint64_t WasmiStore::refill(std::uint64_t needed, std::uint64_t left) {
  if (run.interrupted()) return 0;
  if (!has_fuel) return std::max(needed, kPortion);
  const std::uint64_t all = left + fuel_reserve;
  if (all < needed) {
    run.failure = Error{.code = ErrorCode::kLimitExceeded, .message = "the fuel is used up"};
    return 0;
  }
  const std::uint64_t portion = std::min(all, std::max(needed, kPortion));
  fuel_reserve = all - portion;
  return portion;
}

std::optional<std::uint64_t> WasmiStore::fuel_left() const {
  if (!has_fuel) return std::nullopt;
  return fuel_reserve + api().store_fuel(store);
}

Error WasmiStore::take_failure(seam_wasmi_status status, seam_wasmi_error& error) {
  if (status == SEAM_WASMI_FAILED) return take_error(api(), error);
  if (run.failure) return *std::exchange(run.failure, std::nullopt);
  return {.code = ErrorCode::kTrapped, .message = "wasmi stopped for no reason given"};
}

seam_wasmi_status on_host_call(const void* function, void* context, seam_wasmi_caller* caller,
                               seam_wasmi_value* slots) {
  const auto& bound = *static_cast<const WasmiBound*>(function);
  WasmiStore& store = *static_cast<WasmiStore*>(context);
  WasmiHostCall call(bound.state.value_or(store.state), store.api(), caller);
  if (Failure failure = bound.function.invoke(bound.function.callable.get(), call,
                                              reinterpret_cast<Value*>(slots))) [[unlikely]] {
    store.run.failure = std::move(failure).take();
    return SEAM_WASMI_STOPPED;
  }
  if (const auto& until = call.waits_until(); until && bound.function.may_wait) [[unlikely]]
    return wait(store, until->at);
  return store.interrupted_about_now() ? SEAM_WASMI_STOPPED : SEAM_WASMI_DONE;
}

}  // namespace seam::wasm
