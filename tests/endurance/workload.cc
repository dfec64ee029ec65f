#include "endurance/workload.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "wasm/wasmtime/wasmtime.h"

namespace seam::endurance {
namespace {

using namespace seam::wasm;

// mix(a) writes to two pages and gives host(a) + 3; each export that is named like a trap ends so.
constexpr std::string_view kGuest = R"((module
  (import "env" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 4)
  (table 2 funcref) (elem (i32.const 1) $one)
  (type $none (func))
  (data (i32.const 100) "\01\02")
  (func $one (result i32) (i32.const 1))
  (func (export "mix") (param i32) (result i32)
    (i32.store (i32.const 8192) (local.get 0))
    (i32.store (i32.const 200000) (i32.add (i32.load8_u (i32.const 100)) (i32.load8_u (i32.const 101))))
    (i32.add (call $host (i32.load (i32.const 8192))) (i32.load (i32.const 200000))))
  (func (export "Unreachable") unreachable)
  (func (export "MemoryOutOfBounds") (drop (i32.load (i32.const 262144))))
  (func (export "TableOutOfBounds") (call_indirect (type $none) (i32.const 2)))
  (func (export "IndirectCallToNull") (call_indirect (type $none) (i32.const 0)))
  (func (export "BadSignature") (call_indirect (type $none) (i32.const 1)))
  (func (export "IntegerOverflow") (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
  (func (export "IntegerDivisionByZero") (drop (i32.div_u (i32.const 1) (i32.const 0))))
  (func (export "BadConversionToInteger") (drop (i32.trunc_f32_s (f32.const nan))))
  (func $deep (export "StackOverflow") (call $deep))
  (func (export "spin") (loop (br 0)))))";

constexpr std::array kTraps = {TrapKind::kUnreachable,           TrapKind::kMemoryOutOfBounds,
                               TrapKind::kTableOutOfBounds,      TrapKind::kIndirectCallToNull,
                               TrapKind::kBadSignature,          TrapKind::kIntegerOverflow,
                               TrapKind::kIntegerDivisionByZero, TrapKind::kBadConversionToInteger};
constexpr std::uint32_t kTrapsToAStackOverflow = 50;  // which costs an engine more than the others

std::string module_of(std::string_view text) {
  Outcome<std::string> bytes = wasm_from_text(text);
  if (!bytes) throw std::runtime_error(bytes.error().message);
  return *std::move(bytes);
}

template <class T>
T take(Outcome<T> outcome) {
  if (!outcome) throw std::runtime_error(outcome.error().message);
  return *std::move(outcome);
}

HostModule host() {
  HostModule module;
  module.add("env", "host",
             [](HostCall& call, std::int32_t value) { return value ^ call.state<std::int32_t>(); });
  return module;
}

std::string told(const wasm::Error& error) {
  return fmt::format("{}: {}", to_string(error.code), error.message);
}

}  // namespace

Workload::Workload(const EngineAdapter& adapter, const EngineOptions& options)
    : runtime_(take(adapter.make(options))),
      module_(take(runtime_->compile(module_of(kGuest)))),
      context_(take(runtime_->link(*module_, host()))) {}

std::string Workload::call(std::uint32_t number) const {
  std::int32_t state = 0x5a5a;
  const auto instance = context_->instantiate({.limits = {}, .state = &state}, {});
  if (!instance) return told(instance.error());
  const auto value = static_cast<std::int32_t>(number);
  const auto result = (*instance)->function("mix")->call<std::int32_t>(Deadline::never(), value);
  if (!result) return told(result.error());
  if (*result != (value ^ state) + 3) return fmt::format("mix({}) gave {}", value, *result);
  return "";
}

std::string Workload::trap(std::uint32_t number) const {
  const TrapKind kind = number % kTrapsToAStackOverflow == kTrapsToAStackOverflow - 1
                            ? TrapKind::kStackOverflow
                            : kTraps[number % kTraps.size()];
  std::int32_t state = 0;
  const auto instance = context_->instantiate({.limits = {}, .state = &state}, {});
  if (!instance) return told(instance.error());
  const Outcome<> outcome = (*instance)->function(to_string(kind))->call(Deadline::never());
  if (outcome) return fmt::format("{} gave no trap", to_string(kind));
  if (outcome.error().code != wasm::ErrorCode::kTrapped || outcome.error().trap != kind) {
    return fmt::format("{} gave {} ({})", to_string(kind), told(outcome.error()),
                       to_string(outcome.error().trap));
  }
  return "";
}

std::string Workload::compile(std::uint32_t number) const {
  // Built by hand, so that no text need be parsed: one function that gives `number`.
  static constexpr char kHead[] =
      "\0asm\1\0\0\0"
      "\1\5\1\x60\0\1\x7f"     // types: () -> i32
      "\3\2\1\0"               // functions: one of it
      "\7\5\1\1f\0\0"          // exports: it, as "f"
      "\x0a\x0a\1\x08\0\x41";  // code: i32.const
  std::string bytes(kHead, sizeof kHead - 1);
  for (int i = 0; i < 5; ++i) {  // a signed LEB128 of five bytes; the last holds the sign
    const auto low = static_cast<char>(number >> (7 * i) & 0x7f);
    bytes += i < 4 ? static_cast<char>(low | 0x80) : low;
  }
  bytes += '\x0b';
  const auto module = runtime_->compile(bytes);
  if (!module) return told(module.error());
  if (number % 10 != 0) return "";
  const auto both = runtime_->instantiate_with_host(**module, {}, {});
  if (!both) return told(both.error());
  const auto result = both->instance->function("f")->call<std::uint32_t>(Deadline::never());
  if (!result) return told(result.error());
  return *result == number ? "" : fmt::format("the module of {} gave {}", number, *result);
}

std::string Workload::spin() const {
  std::int32_t state = 0;
  const auto instance = context_->instantiate({.limits = {}, .state = &state}, {});
  if (!instance) return told(instance.error());
  const Deadline deadline = Deadline::after(milliseconds(5));
  const Outcome<> outcome = (*instance)->function("spin")->call(deadline);
  if (outcome || outcome.error().code != wasm::ErrorCode::kDeadlineExceeded) {
    return outcome ? "spin came to an end" : told(outcome.error());
  }
  return MonotonicClock::now() < deadline.at ? "stopped before its deadline" : "";
}

Holdings holdings() {
  Holdings held;
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string word; file >> word;) {
    if (word == "Private_Clean:" || word == "Private_Dirty:") {
      double kib = 0;
      file >> kib;
      held.memory_mib += kib / 1024;
    }
  }
  const auto count = [](const char* folder) {
    return static_cast<int>(std::distance(std::filesystem::directory_iterator(folder), {}));
  };
  held.descriptors = count("/proc/self/fd") - 1;  // the one that counts them
  held.threads = count("/proc/self/task");
  return held;
}

}  // namespace seam::endurance
