#pragma once
// Real programs on every engine, side by side: guests/programs, WASI commands built by its README.

#include <string>
#include <vector>

#include "wasm/engines.h"

namespace seam::bench {

struct ProgramOptions {
  std::string folder;  // with report-c.wasm … and, where it is, report-c of this machine
  std::string library_folder;
  int rounds = 20;  // of SHA-256 over the text
  int repeats = 5;  // of each run
  std::size_t text_bytes = 1U << 20U;
};

struct ProgramRow {
  std::string program;
  std::string engine;  // "native" where it is the machine itself
  double compile_ms = 0;
  double run_ms = 0;      // the least processor time of the repeats, from instantiation to the end
  double memory_mib = 0;  // that the guest's memory had at the end
  double to_native = 0;   // run_ms as a multiple of the native program's; 0 without one
};

// Throws std::runtime_error where a program fails, or writes another output than the others.
[[nodiscard]] std::vector<ProgramRow> measure_programs(
    const std::vector<wasm::EngineAdapter>& adapters, const ProgramOptions& options);
[[nodiscard]] std::string table(const std::vector<ProgramRow>& rows);
[[nodiscard]] std::string json(const std::vector<ProgramRow>& rows);

}  // namespace seam::bench
