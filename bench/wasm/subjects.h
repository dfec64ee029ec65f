#pragma once
// The work that is measured, once through the seven interfaces and once written on an engine's own
// API. Each subject is one engine with one live instance of kGuest and one compiled copy of a
// larger module.
//
//   std::unique_ptr<Subject> ours = make_ours(adapter, options, guests);
//   std::uint64_t sum = ours->run(Operation::kCall, 1'000'000);

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "measure.h"
#include "wasm/engines.h"

namespace seam::bench {

// What one time of each does. The numbers are what the libraries in Rust and Go are asked by.
enum class Operation : std::uint32_t {
  kCall = 0,          // add(i, 1), typed, without a deadline
  kCallDeadline = 1,  // the same by a deadline in an hour
  kCallUntyped = 2,   // the same through values that carry or know their types at run time
  kRoundTrip = 3,     // once(i): the guest calls a host function that adds to the host's own state
  kInstance = 4,      // instantiate, touch(i), drop
  kCompile = 5,       // compile the larger module and drop it
  kLoad = 6,          // load it from its compiled form and drop it
  kCopy = 7,          // 64 KiB into the guest's memory and out of it
  // hot_export(), by a deadline in an hour; by an engine's own API only with nothing to end it.
  kLoop = 8,
  kTightLoop = 9,
  kCalls = 10,
};

[[nodiscard]] constexpr std::string_view hot_export(Operation operation) {
  return operation == Operation::kLoop        ? "loop"
         : operation == Operation::kTightLoop ? "tight"
                                              : "calls";
}

struct Guests {
  std::string small;   // kGuest, as a module
  std::string larger;  // without imports other than WASI's
};

inline constexpr std::size_t kCopyBytes = 64U << 10U;
inline constexpr std::uint32_t kInstancesLive = 1000;

// The guest of all but compiling: two pages of memory, a page of data. Its loops go round a million
// times; the first one works in the second page, which nothing else touches.
inline constexpr std::string_view kGuest = R"((module
  (import "env" "count" (func $count (param i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "some data that is there from the start")
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "once") (param i32) (result i32) (call $count (local.get 0)))
  (func (export "touch") (param i32) (result i32)
    (i32.store (i32.const 2048) (local.get 0)) (i32.load (i32.const 2048)))
  (func (export "loop") (result i32) (local $left i32) (local $at i32) (local $x i32)
    (local.set $left (i32.const 1000000))
    (loop $again
      (local.set $at (i32.and (i32.shl (local.get $left) (i32.const 2)) (i32.const 0xffc)))
      (local.set $x (i32.xor (local.get $x) (i32.load offset=65536 (local.get $at))))
      (local.set $x (i32.add (local.get $x) (local.get $left)))
      (i32.store offset=65536 (local.get $at) (local.get $x))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (local.get $x))
  (func (export "tight") (result i32) (local $left i32) (local $sum i32)
    (local.set $left (i32.const 1000000))
    (loop $again
      (local.set $sum (i32.add (local.get $sum) (local.get $left)))
      (br_if $again (local.tee $left (i32.add (local.get $left) (i32.const -1)))))
    (local.get $sum))
  (func $fib (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                     (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func (export "calls") (result i32) (call $fib (i32.const 27)))))";

// Between the two halves of a copy, so that the compiler does not find that the second undoes
// nothing.
inline void touch_memory() { asm volatile("" ::: "memory"); }

// What is copied: one place for both, for where it lies decides how fast it is copied. Half a page
// from where a guest's memory begins, so that no load waits for a store of the same low address
// bits.
inline std::span<std::byte, kCopyBytes> copied() {
  constexpr std::size_t kPage = 4096;
  alignas(kPage) static std::array<std::byte, kPage + kCopyBytes> bytes{};
  return std::span(bytes).subspan<kPage / 2, kCopyBytes>();
}

class Subject {
 public:
  virtual ~Subject() = default;
  // Throws std::runtime_error where the engine fails.
  [[nodiscard]] virtual std::uint64_t run(Operation operation, std::uint64_t times) = 0;
  // The same, and what it took.
  [[nodiscard]] virtual Done measure(Operation operation, std::uint64_t times);
  // Whether there is something written for it.
  [[nodiscard]] virtual bool does(Operation /*operation*/) const { return true; }
  // Instances that stay, each touched once.
  virtual void keep_instances(std::uint32_t count) = 0;
  // Memory that is the own of the process in which they are.
  [[nodiscard]] virtual double own_bytes();
};

// An engine without modes has one without a name.
[[nodiscard]] std::vector<std::string> modes_of(const wasm::EngineAdapter& adapter);

// `library_folder` is where the engines' shared libraries lie.
struct SubjectOptions {
  std::string mode;
  std::string library_folder;
  std::string direct_folder = {};  // of what build_direct.sh has made
  std::uint32_t instances_max = 64;
  // Of what is written on an engine's own API: whether a guest that runs can be ended. wazero's own
  // never can: the way that it has for it costs a hot loop 17 times as much and more.
  bool interruptible = true;
};

// What an engine gave. Throws std::runtime_error where it failed.
template <class T>
T take(wasm::Outcome<T> outcome) {
  if (!outcome) throw std::runtime_error(outcome.error().message);
  if constexpr (!std::is_void_v<T>) return *std::move(outcome);
}

// start() makes the engine and nothing else, and returns the nanoseconds of processor time that it
// took; finish() makes the rest.
class Starter {
 public:
  virtual ~Starter() = default;
  virtual double start() = 0;
  [[nodiscard]] virtual std::unique_ptr<Subject> finish(const Guests& guests) = 0;
};

[[nodiscard]] std::unique_ptr<Starter> ours(const wasm::EngineAdapter& adapter,
                                            const SubjectOptions& options);
[[nodiscard]] std::unique_ptr<Starter> wasmtime_direct(const SubjectOptions& options);
// In Rust, in a library; in Go, in a process of its own. Nothing where build_direct.sh left it out.
[[nodiscard]] std::unique_ptr<Starter> wasmi_direct(const SubjectOptions& options);
[[nodiscard]] std::unique_ptr<Starter> wazero_direct(const SubjectOptions& options);

}  // namespace seam::bench
