#pragma once
// What the endurance runs and the test of several engines in one process do to an engine: calls
// with answers that are known, traps of every kind, deadlines.
//
//   Workload workload(adapter, {.library_folder = folder});
//   std::string wrong = workload.call(7);      // empty: as it should be

#include <memory>
#include <string>

#include "wasm/engines.h"

namespace seam::endurance {

// Each returns what was wrong, or nothing. Any thread, several at once.
class Workload {
 public:
  // Throws std::runtime_error where the engine cannot be made.
  Workload(const wasm::EngineAdapter& adapter, const wasm::EngineOptions& options);

  // A fresh instance, a call that writes to its memory and calls the host, a right answer, gone.
  [[nodiscard]] std::string call(std::uint32_t number) const;
  // A fresh instance that traps, in one of the ways in turn.
  [[nodiscard]] std::string trap(std::uint32_t number) const;
  // A module that no other is like, compiled, perhaps run, and dropped.
  [[nodiscard]] std::string compile(std::uint32_t number) const;
  // A guest that spins is stopped by its deadline.
  [[nodiscard]] std::string spin() const;

  [[nodiscard]] wasm::Runtime& runtime() const { return *runtime_; }

 private:
  std::unique_ptr<wasm::Runtime> runtime_;
  std::unique_ptr<wasm::CompiledModule> module_;
  std::unique_ptr<wasm::Context> context_;
};

// What the process holds.
struct Holdings {
  double memory_mib = 0;  // its own
  int descriptors = 0;
  int threads = 0;
};
[[nodiscard]] Holdings holdings();

}  // namespace seam::endurance
