#pragma once
// One engine's part of `seam wasm compare`: runs a guest some times in this process and says how
// each run ended, what it wrote, how long it took, and how much memory.
//
//   const EngineRun run = measure(guest, "wasmi", "", bytes, input, 5);
//   print(run.render());

#include <optional>
#include <string>
#include <string_view>

#include "cli/wasm_guest.h"

namespace seam::cli {

struct EngineRun {
  std::string engine;
  std::string mode;

  // Nothing ran: why. It cannot be loaded here, or it refuses the module.
  std::string not_loaded = {};
  std::string refused = {};

  std::string outcome = {};      // GuestEnd::outcome()
  std::string message = {};      // of an error
  std::string results = "[]";    // render_results()
  std::string output_hash = {};  // of both streams and how they were interleaved
  std::uint64_t output_bytes = 0;
  bool varies = false;    // its runs did not end alike
  double compile_ms = 0;  // of these four, the medians
  double start_ms = 0;
  double run_ms = 0;
  std::uint64_t guest_memory_bytes = 0;
  std::uint64_t peak_memory_bytes = 0;  // of this process, beyond what it had before

  // What must be the same on all engines: outcome, results and output. Of a run that was cut short
  // the outcome alone: how far it came is a matter of speed.
  [[nodiscard]] std::string verdict() const;
  [[nodiscard]] std::string render() const;  // as JSON
  // errors    kInvalidArgument   not what render() wrote
  [[nodiscard]] static Result<EngineRun> parse(std::string_view json);
};

// The guest's clock and random bytes are made up, and the same each time: they are no reason for
// two runs to differ.
[[nodiscard]] EngineRun measure(const GuestOptions& guest, const wasm::EngineChoice& choice,
                                std::string_view module, std::string_view input,
                                std::uint64_t repeat);

}  // namespace seam::cli
