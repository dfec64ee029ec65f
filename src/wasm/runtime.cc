#include "wasm/runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

namespace seam::wasm {
namespace {

std::string list(const std::vector<ValueType>& types) {
  std::string text;
  for (const ValueType type : types) {
    if (!text.empty()) text += ", ";
    text += to_string(type);
  }
  return text;
}

std::unexpected<Error> out_of_bounds(std::uint64_t offset, std::uint64_t size,
                                     std::size_t memory_bytes) {
  return std::unexpected(
      Error{.code = ErrorCode::kTrapped,
            .message = fmt::format("{} bytes at {} lie outside the memory of {} bytes", size,
                                   offset, memory_bytes),
            .trap = TrapKind::kMemoryOutOfBounds});
}

}  // namespace

std::string_view to_string(ValueType type) {
  static constexpr std::string_view kNames[] = {"i32",  "i64",     "f32",      "f64",
                                                "v128", "funcref", "externref"};
  return kNames[static_cast<std::size_t>(type)];
}

std::string to_string(const FunctionType& type) {
  const std::string results =
      type.results.size() == 1 ? list(type.results) : "(" + list(type.results) + ")";
  return "(" + list(type.params) + ") -> " + results;
}

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kRuntimeNotFound:
      return "RuntimeNotFound";
    case ErrorCode::kModuleCompileFailed:
      return "ModuleCompileFailed";
    case ErrorCode::kModuleInstantiateFailed:
      return "ModuleInstantiateFailed";
    case ErrorCode::kFunctionNotExported:
      return "FunctionNotExported";
    case ErrorCode::kInvalidConfiguration:
      return "InvalidConfiguration";
    case ErrorCode::kTrapped:
      return "Trapped";
    case ErrorCode::kDeadlineExceeded:
      return "DeadlineExceeded";
    case ErrorCode::kCancelled:
      return "Cancelled";
    case ErrorCode::kLimitExceeded:
      return "LimitExceeded";
    case ErrorCode::kNoRoom:
      return "NoRoom";
    case ErrorCode::kExited:
      return "Exited";
    case ErrorCode::kHostFailed:
      return "HostFailed";
  }
  return "";
}

std::string_view to_string(TrapKind kind) {
  switch (kind) {
    case TrapKind::kUnreachable:
      return "Unreachable";
    case TrapKind::kMemoryOutOfBounds:
      return "MemoryOutOfBounds";
    case TrapKind::kTableOutOfBounds:
      return "TableOutOfBounds";
    case TrapKind::kIndirectCallToNull:
      return "IndirectCallToNull";
    case TrapKind::kBadSignature:
      return "BadSignature";
    case TrapKind::kIntegerOverflow:
      return "IntegerOverflow";
    case TrapKind::kIntegerDivisionByZero:
      return "IntegerDivisionByZero";
    case TrapKind::kBadConversionToInteger:
      return "BadConversionToInteger";
    case TrapKind::kStackOverflow:
      return "StackOverflow";
    case TrapKind::kMisalignedAtomic:
      return "MisalignedAtomic";
    case TrapKind::kUncaughtException:
      return "UncaughtException";
    case TrapKind::kOther:
      return "Other";
  }
  return "";
}

std::string_view message_of(TrapKind kind) {
  switch (kind) {
    case TrapKind::kUnreachable:
      return "an unreachable instruction was executed";
    case TrapKind::kMemoryOutOfBounds:
      return "a memory access out of bounds";
    case TrapKind::kTableOutOfBounds:
      return "a table access out of bounds";
    case TrapKind::kIndirectCallToNull:
      return "an indirect call to a null table entry";
    case TrapKind::kBadSignature:
      return "an indirect call with another signature";
    case TrapKind::kIntegerOverflow:
      return "an integer overflow";
    case TrapKind::kIntegerDivisionByZero:
      return "an integer division by zero";
    case TrapKind::kBadConversionToInteger:
      return "a conversion of a number that no integer holds";
    case TrapKind::kStackOverflow:
      return "the stack is used up";
    case TrapKind::kMisalignedAtomic:
      return "an atomic access that is not aligned";
    case TrapKind::kUncaughtException:
      return "an exception that nothing caught";
    case TrapKind::kOther:
      return "";
  }
  return "";
}

std::string Error::trace() const {
  std::string text;
  for (const Frame& frame : backtrace) {
    text += fmt::format("  at {} (function {}, offset {:#x})\n",
                        frame.function.empty() ? "?" : frame.function, frame.function_index,
                        frame.module_offset);
  }
  return text;
}

seam::Error Error::canonical() const {
  const auto canonical_code = [&] {
    switch (code) {
      case ErrorCode::kModuleCompileFailed:
      case ErrorCode::kModuleInstantiateFailed:
      case ErrorCode::kFunctionNotExported:
        return seam::ErrorCode::kInvalidArgument;
      case ErrorCode::kRuntimeNotFound:
      case ErrorCode::kInvalidConfiguration:
        return seam::ErrorCode::kFailedPrecondition;
      case ErrorCode::kDeadlineExceeded:
        return seam::ErrorCode::kDeadlineExceeded;
      case ErrorCode::kCancelled:
        return seam::ErrorCode::kCancelled;
      case ErrorCode::kNoRoom:
        return seam::ErrorCode::kUnavailable;
      case ErrorCode::kHostFailed:
        return seam::ErrorCode::kInternal;
      case ErrorCode::kTrapped:
      case ErrorCode::kExited:
      case ErrorCode::kLimitExceeded:
        return seam::ErrorCode::kAborted;
    }
    return seam::ErrorCode::kUnknown;
  };
  return {canonical_code(), message, {}};
}

Error Failure::take() && {
  Error taken = std::move(*error_);
  clear();
  return taken;
}

void Failure::clear() {
  delete error_;
  error_ = nullptr;
}

Failure failure_of(Bounds bounds) {
  if (bounds.cancelled != nullptr && bounds.cancelled->stop_requested())
    return Error{.code = ErrorCode::kCancelled, .message = "the caller no longer wants it"};
  return Error{.code = ErrorCode::kDeadlineExceeded, .message = "its time is up"};
}

bool GuestRun::interrupted() {
  if (!bounds.passed()) return false;
  failure = failure_of(bounds).take();
  return true;
}

void sleep_until(MonotonicTime until, Bounds bounds) {
  std::mutex mutex;
  std::condition_variable_any never_notified;
  std::unique_lock lock(mutex);
  never_notified.wait_until(lock, bounds.stop_token(), std::min(until, bounds.deadline.at),
                            [] { return false; });
}

Outcome<const HostFunction*> HostModule::resolve(const ExternType& import) const {
  const auto found = std::ranges::find_if(functions_, [&](const HostFunction& function) {
    return function.module == import.module && function.name == import.name;
  });
  if (import.kind != ExternKind::kFunction || found == functions_.end()) {
    return fail(ErrorCode::kModuleInstantiateFailed,
                fmt::format("it imports {}.{}, which is not offered", import.module, import.name));
  }
  if (found->type != import.function) {
    return fail(ErrorCode::kModuleInstantiateFailed,
                fmt::format("it imports {}.{} as {}, which is {}", import.module, import.name,
                            to_string(import.function), to_string(found->type)));
  }
  return &*found;
}

Outcome<> run_to_end(Execution& execution) {
  while (!execution.resume(seconds(1))) std::this_thread::sleep_until(execution.ready_at());
  return execution.outcome();
}

Outcome<std::span<const std::byte>> Memory::read(std::uint64_t offset, std::uint64_t size) {
  const std::span<std::byte> all = view();
  if (offset > all.size() || size > all.size() - offset)
    return out_of_bounds(offset, size, all.size());
  return all.subspan(offset, size);
}

Outcome<> Memory::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::span<std::byte> all = view();
  if (offset > all.size() || bytes.size() > all.size() - offset) {
    return out_of_bounds(offset, bytes.size(), all.size());
  }
  if (!bytes.empty()) std::memcpy(all.data() + offset, bytes.data(), bytes.size());
  return {};
}

Outcome<> FunctionInstance::call(const Interruption& interruption, std::span<Value> slots) {
  if (slots.size() < slots_) [[unlikely]]
    return std::unexpected(too_few(slots.size()));
  if (Failure failure = invoke(interruption.bounds(), slots.data())) [[unlikely]]
    return std::unexpected(std::move(failure).take());
  return {};
}

Error FunctionInstance::too_few(std::size_t given) const {
  return {
      .code = ErrorCode::kInvalidConfiguration,
      .message = fmt::format("{} values given to a function of type {}", given, to_string(type_))};
}

Error FunctionInstance::wrong_type() const {
  return {.code = ErrorCode::kInvalidConfiguration,
          .message = "called with other types than the function's " + to_string(type_)};
}

const ExternType* CompiledModule::find_export(std::string_view name) const {
  const auto found = std::ranges::find(exports(), name, &ExternType::name);
  return found == exports().end() ? nullptr : &*found;
}

Outcome<std::unique_ptr<ModuleInstance>> Context::instantiate(const InstanceOptions& options,
                                                              const Interruption& interruption) {
  SEAM_ASSIGN_OR_RETURN(std::unique_ptr<ModuleInstance> instance, create(options));
  {
    SEAM_ASSIGN_OR_RETURN(const std::unique_ptr<Execution> execution,
                          instance->start(interruption));
    SEAM_RETURN_IF_ERROR(run_to_end(*execution));
  }
  return instance;
}

Outcome<Runtime::InstanceAndContext> Runtime::instantiate_with_host(
    const CompiledModule& module, const HostModule& host, const InstanceOptions& options,
    const Interruption& interruption) {
  InstanceAndContext both;
  SEAM_ASSIGN_OR_RETURN(both.context, link(module, host));
  SEAM_ASSIGN_OR_RETURN(both.instance, both.context->instantiate(options, interruption));
  return both;
}

}  // namespace seam::wasm
