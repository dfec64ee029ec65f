#pragma once
// What can go wrong between a host and a guest. The same input gives the same code on every engine.
//
//   wasm::Outcome<std::int64_t> result = handle->call<std::int64_t>(deadline, pointer, length);
//   if (!result && result.error().code == wasm::ErrorCode::kTrapped) log(result.error().trace());

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace seam::wasm {

enum class ErrorCode : std::uint8_t {
  kRuntimeNotFound,          // no such engine in this build
  kModuleCompileFailed,      // not a module, or not one that this engine takes
  kModuleInstantiateFailed,  // an import that the host lacks or types otherwise
  kFunctionNotExported,
  kInvalidConfiguration,  // a limit or option that this engine was not set up for
  kTrapped,               // `trap` and `backtrace` say where; the instance is spent
  kDeadlineExceeded,      // interrupted; the instance is spent
  kCancelled,      // interrupted, because the caller no longer wants it; the instance is spent
  kLimitExceeded,  // a declared minimum over the limit, or fuel used up
  kNoRoom,         // the engine holds as many instances as it can; retry later
  kExited,         // a WASI guest ended itself with `exit_code`; the instance is spent
  kHostFailed,     // a host function could not do its work; the instance is spent
};

// "Trapped", "DeadlineExceeded": as the contract spells them. Static text.
[[nodiscard]] std::string_view to_string(ErrorCode code);

enum class TrapKind : std::uint8_t {
  kUnreachable,
  kMemoryOutOfBounds,
  kTableOutOfBounds,
  kIndirectCallToNull,
  kBadSignature,
  kIntegerOverflow,
  kIntegerDivisionByZero,
  kBadConversionToInteger,
  kStackOverflow,
  kMisalignedAtomic,
  kUncaughtException,
  kOther,
};

// "Unreachable", "StackOverflow". Static text.
[[nodiscard]] std::string_view to_string(TrapKind kind);

// "an integer division by zero": Error::message of such a trap, the same words on every engine.
// Empty for kOther, which has the engine's own. Static text.
[[nodiscard]] std::string_view message_of(TrapKind kind);

// One guest function that was running, innermost first.
struct Frame {
  std::string function;  // from the module's name section; empty without one
  std::uint32_t function_index = 0;
  std::uint64_t module_offset = 0;  // of the instruction, in bytes from the module's begin
};

struct Error {
  ErrorCode code = ErrorCode::kTrapped;
  std::string message = {};  // one sentence for a person
  TrapKind trap = TrapKind::kOther;
  std::int32_t exit_code = 0;
  std::vector<Frame> backtrace = {};

  // The backtrace as text, a line a frame: "  at fib (function 3, offset 0x2f)".
  [[nodiscard]] std::string trace() const;
  // For those who only know the canonical codes. Traps, exits and limits become kAborted.
  [[nodiscard]] seam::Error canonical() const;
};

// Nothing, or an error on the heap, in one register: what a call that ends well costs is counted in
// instructions.
class [[nodiscard]] [[clang::trivial_abi]] Failure {
 public:
  Failure() = default;
  Failure(Error error) : error_(new Error(std::move(error))) {}
  Failure(Failure&& other) noexcept : error_(std::exchange(other.error_, nullptr)) {}
  Failure& operator=(Failure&& other) noexcept {
    std::swap(error_, other.error_);
    return *this;
  }
  ~Failure() {
    if (error_ != nullptr) [[unlikely]]
      clear();
  }

  explicit operator bool() const { return error_ != nullptr; }
  // Where there is one.
  [[nodiscard]] Error take() &&;

 private:
  void clear();

  Error* error_ = nullptr;
};

template <class T = void>
using Outcome = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string message) {
  return std::unexpected(Error{.code = code, .message = std::move(message)});
}

}  // namespace seam::wasm
