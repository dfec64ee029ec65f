#include "runtimes/wasm/guest_call.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_text.h"

namespace seam::runtimes {
namespace {

using wasm::ExternKind;
using wasm::FunctionType;
using wasm::Value;
using wasm::ValueType;

constexpr std::size_t kStderrTailBytes = 1024;

// A function export of just this type.
Result<> need(const wasm::CompiledModule& module, std::string_view name, const FunctionType& type) {
  const wasm::ExternType* found = module.find_export(name);
  if (found == nullptr || found->kind != ExternKind::kFunction) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the module exports no function {} of type {}; a function is either a "
                            "WASI command with "
                            "_start or a reactor with memory, alloc and handle",
                            name, to_string(type)));
  }
  if (found->function != type) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the module exports {} as {}; it must be {}", name,
                            to_string(found->function), to_string(type)));
  }
  return {};
}

bool exports_function(const wasm::CompiledModule& module, std::string_view name) {
  const wasm::ExternType* found = module.find_export(name);
  return found != nullptr && found->kind == ExternKind::kFunction;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// In the words of the runtimes that have workers.
std::string over_limit(std::uint64_t memory_bytes_max, std::string_view what) {
  return fmt::format("the function passed its memory limit of {} MiB: {}", memory_bytes_max >> 20U,
                     what);
}

}  // namespace

Result<std::unique_ptr<GuestProgram>> GuestProgram::make(
    wasm::Runtime& engine, const wasm::HostModule& host,
    std::unique_ptr<wasm::CompiledModule> module, const std::string& entry) {
  auto guest = std::make_unique<GuestProgram>();
  const FunctionType nothing;
  if (entry == "_start" || (entry.empty() && exports_function(*module, "_start"))) {
    guest->form = Form::kCommand;
    guest->entry = "_start";
    SEAM_RETURN_IF_ERROR(need(*module, guest->entry, nothing));
  } else {
    guest->form = Form::kReactor;
    guest->entry = entry.empty() ? "handle" : entry;
    SEAM_RETURN_IF_ERROR(
        need(*module, guest->entry, {{ValueType::kI32, ValueType::kI32}, {ValueType::kI64}}));
    SEAM_RETURN_IF_ERROR(need(*module, "alloc", {{ValueType::kI32}, {ValueType::kI32}}));
    const wasm::ExternType* memory = module->find_export("memory");
    if (memory == nullptr || memory->kind != ExternKind::kMemory) {
      return fail(ErrorCode::kInvalidArgument,
                  "the module exports no memory named memory, which a reactor must");
    }
    guest->has_initialize = exports_function(*module, "_initialize");
    if (guest->has_initialize) SEAM_RETURN_IF_ERROR(need(*module, "_initialize", nothing));
  }
  guest->has_environment =
      std::ranges::any_of(module->imports(), [](const wasm::ExternType& import) {
        return import.name.starts_with("environ_") || import.name.starts_with("args_");
      });
  auto context = engine.link(*module, host);
  if (!context) return std::unexpected(context.error().canonical());
  guest->context = *std::move(context);
  guest->code_bytes = module->code_bytes();
  guest->module = std::move(module);
  return guest;
}

GuestCall::GuestCall(const GuestProgram& guest, const Program& program, const Call& call)
    : guest_(guest), program_(program), call_(call) {
  const bool command = guest.form == GuestProgram::Form::kCommand;
  if (command) wasi_.stdin_bytes = call.params;
  wasi_.standard_output.bytes_max =
      command ? program.limits.result_bytes_max : program.limits.log_bytes_max;
  wasi_.standard_error.bytes_max = program.limits.log_bytes_max;
  if (guest.has_environment) {
    wasi_.args = {program.language_title};
    for (const auto& [name, value] : program.environment)
      wasi_.environment.push_back(name + "=" + value);
    wasi_.environment.push_back(fmt::format("SEAM_CALL_ID={}", call.call_id));
    wasi_.environment.push_back(fmt::format("SEAM_CONTEXT={}", call.context));
  }
}

bool GuestCall::run(milliseconds slice) {
  const MonotonicTime begun = MonotonicClock::now();
  const MonotonicTime end = begun + slice;
  const Phase first = phase_;
  MonotonicTime started = begun;
  bool over = false;
  while (!over) {
    if (!execution_ && !begin(phase_)) {
      over = true;
      break;
    }
    const auto left = std::chrono::ceil<milliseconds>(end - MonotonicClock::now());
    if (!execution_->resume(std::max(left, milliseconds(0)))) break;
    wasm::Outcome<> outcome = execution_->outcome();
    if (!outcome) {
      error_ = std::move(outcome).error();
      over = true;
      break;
    }
    const Phase next = after(phase_);
    execution_.reset();
    if (phase_ == Phase::kInstantiate) started = MonotonicClock::now();
    phase_ = next;
    over = failure_.has_value() || phase_ == Phase::kOver;
  }
  const MonotonicTime now = MonotonicClock::now();
  if (first != Phase::kInstantiate) started = begun;
  if (phase_ == Phase::kInstantiate) started = now;
  start_time_ += started - begun;
  run_time_ += now - started;
  return over;
}

// Starts the work of a phase; false if that failed, and then error_ or failure_ says why.
bool GuestCall::begin(Phase phase) {
  switch (phase) {
    case Phase::kInstantiate: {
      auto instance = guest_.context->create(
          {.limits = {.memory_bytes_max = program_.limits.memory_bytes_max}, .state = &wasi_});
      if (!instance) {
        error_ = std::move(instance).error();
        return false;
      }
      instance_ = *std::move(instance);
      auto execution = instance_->start({call_.deadline, call_.cancelled});
      if (!execution) {
        error_ = std::move(execution).error();
        return false;
      }
      execution_ = *std::move(execution);
      return true;
    }
    case Phase::kInitialize:
      return begin_call("_initialize", {});
    case Phase::kAllocate: {
      const Value params[] = {Value::of(static_cast<std::uint32_t>(call_.params.size()))};
      return begin_call("alloc", params);
    }
    case Phase::kHandle: {
      if (!deliver_params()) return false;
      const Value params[] = {Value::of(params_at_),
                              Value::of(static_cast<std::uint32_t>(call_.params.size()))};
      return begin_call(guest_.entry, params);
    }
    case Phase::kStart:
      return begin_call("_start", {});
    case Phase::kOver:
      return false;
  }
  return false;
}

bool GuestCall::begin_call(std::string_view name, std::span<const Value> params) {
  function_ = instance_->function(name);  // checked when the program was made
  auto execution = function_->start({call_.deadline, call_.cancelled}, params);
  if (!execution) {
    error_ = std::move(execution).error();
    return false;
  }
  execution_ = *std::move(execution);
  return true;
}

// Takes the results of a phase that ended well, and says which comes next.
GuestCall::Phase GuestCall::after(Phase phase) {
  switch (phase) {
    case Phase::kInstantiate:
      if (guest_.form == GuestProgram::Form::kCommand) return Phase::kStart;
      return guest_.has_initialize ? Phase::kInitialize : Phase::kAllocate;
    case Phase::kInitialize:
      return Phase::kAllocate;
    case Phase::kAllocate:
      params_at_ = execution_->results()[0].as<std::uint32_t>();
      return Phase::kHandle;
    case Phase::kHandle:
      result_ = execution_->results()[0].as<std::uint64_t>();
      return Phase::kOver;
    case Phase::kStart:
    case Phase::kOver:
      return Phase::kOver;
  }
  return Phase::kOver;
}

void GuestCall::fail_guest(FunctionError::Kind kind, std::string message) {
  failure_ = FunctionError{.kind = kind,
                           .type = {},
                           .message = std::move(message),
                           .line = {},
                           .column = {},
                           .stack_trace = {}};
}

bool GuestCall::deliver_params() {
  if (params_at_ == 0) {
    fail_guest(FunctionError::Kind::kMemoryExceeded,
               fmt::format("alloc({}) returned 0: no room for the params within {} bytes of memory",
                           call_.params.size(), program_.limits.memory_bytes_max));
    return false;
  }
  const auto written =
      instance_->memory()->write(params_at_, std::as_bytes(std::span(call_.params)));
  if (written) return true;
  fail_guest(
      FunctionError::Kind::kThrew,
      fmt::format("alloc({}) returned {}, which leaves no room for that many bytes in its memory",
                  call_.params.size(), params_at_));
  return false;
}

decltype(Outcome::value) GuestCall::finish(CallSink& sink, CallStats& stats) {
  execution_.reset();
  std::uint64_t memory_bytes = 0;
  if (instance_ && phase_ != Phase::kInstantiate) {
    if (const auto memory = instance_->memory()) memory_bytes = memory->view().size();
  }
  stats.memory_bytes = memory_bytes;
  stats.start_time += start_time_;
  stats.run_time += run_time_;

  // What it printed: stderr, and of a reactor stdout too, together within one limit.
  std::size_t room = program_.limits.log_bytes_max;
  const auto give = [&](LogStream stream, const wasm::WasiState::Output& output) {
    const std::string_view kept = std::string_view(output.bytes).substr(0, room);
    room -= kept.size();
    stats.log_bytes_dropped += output.bytes.size() - kept.size() + output.bytes_dropped;
    if (!kept.empty()) sink.on_log(stream, kept);
  };
  if (guest_.form == GuestProgram::Form::kReactor) give(LogStream::kStdout, wasi_.standard_output);
  give(LogStream::kStderr, wasi_.standard_error);

  if (failure_) return *std::move(failure_);
  const bool left_well = error_ && error_->code == wasm::ErrorCode::kExited &&
                         error_->exit_code == 0 && guest_.form == GuestProgram::Form::kCommand;
  if (error_ && !left_well) return failed_outcome(memory_bytes);
  return take_result(sink);
}

decltype(Outcome::value) GuestCall::failed_outcome(std::uint64_t memory_bytes) {
  switch (error_->code) {
    case wasm::ErrorCode::kTrapped:
    case wasm::ErrorCode::kExited:
    case wasm::ErrorCode::kLimitExceeded:
      return describe(*error_, memory_bytes);
    case wasm::ErrorCode::kNoRoom:
      return Error{ErrorCode::kUnavailable, error_->message, {}};
    default:
      return error_->canonical();
  }
}

FunctionError GuestCall::describe(const wasm::Error& error, std::uint64_t memory_bytes) const {
  FunctionError out;
  out.stack_trace = error.trace();
  const std::uint64_t limit = program_.limits.memory_bytes_max;
  if (error.code == wasm::ErrorCode::kLimitExceeded) {
    out.kind = FunctionError::Kind::kMemoryExceeded;
    out.message = over_limit(limit, error.message);
    return out;
  }
  if (error.code == wasm::ErrorCode::kTrapped) {
    out.type = fmt::format("Trap:{}", to_string(error.trap));
    out.message = error.message;
  } else {
    const auto last = [](std::string_view text, std::size_t bytes) {
      return text.substr(text.size() - std::min(text.size(), bytes));
    };
    // The very end, also where the log was full before.
    std::string tail(last(wasi_.standard_error.dropped_tail, kStderrTailBytes));
    tail.insert(0, last(wasi_.standard_error.bytes, kStderrTailBytes - tail.size()));
    out.type = "Exit";
    out.message =
        fmt::format("exited with code {}{}{}", error.exit_code, tail.empty() ? "" : ": ", tail);
  }
  // An engine does not say why a guest gave up. One that stands at its limit was refused more, as
  // far as anyone can tell: allocators grow by no more than an eighth at a time or ask for what
  // they lack.
  if (memory_bytes >= limit - limit / 8) {
    out.kind = FunctionError::Kind::kMemoryExceeded;
    out.message = over_limit(limit, out.message);
  }
  return out;
}

decltype(Outcome::value) GuestCall::take_result(CallSink& sink) {
  std::string_view text;
  if (guest_.form == GuestProgram::Form::kReactor) {
    const std::uint64_t at = result_ >> 32U;
    const std::uint64_t size = result_ & 0xffff'ffffU;
    const auto bytes = instance_->memory()->read(at, size);
    if (!bytes) {
      fail_guest(FunctionError::Kind::kBadResult,
                 fmt::format("{} returned {} bytes at {}, which lie outside its memory",
                             guest_.entry, size, at));
      return *std::move(failure_);
    }
    text = as_text(*bytes);
  } else {
    text = wasi_.standard_output.bytes;
  }
  if (text.size() > program_.limits.result_bytes_max ||
      (guest_.form == GuestProgram::Form::kCommand && wasi_.standard_output.bytes_dropped > 0)) {
    fail_guest(FunctionError::Kind::kBadResult,
               fmt::format("the result is larger than {} bytes", program_.limits.result_bytes_max));
    return *std::move(failure_);
  }
  const Result<std::string_view> checked = check_json(text);
  if (!checked) {
    fail_guest(FunctionError::Kind::kBadResult,
               "the result is not JSON: " + checked.error().message);
    return *std::move(failure_);
  }
  sink.on_result(*checked);
  return Completed{};
}

}  // namespace seam::runtimes
