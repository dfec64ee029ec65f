#pragma once
// The gates of an engine: what each kind of work costs through the seven interfaces, as a ratio to
// the same work on the engine's own API.

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "measure.h"
#include "subjects.h"

namespace seam::bench {

enum class Verdict { kPass, kFail, kUndecided, kUngated };

struct Row {
  std::string engine;  // "wazero compiled"
  std::string work;    // "typed call"
  std::string unit;    // of ours and direct
  Comparison comparison;
  double gate = 0;  // 0: none
  Verdict verdict = Verdict::kUngated;
};

// An engine in a mode, and the same by its own API.
struct Contest {
  wasm::EngineAdapter adapter;
  SubjectOptions options;
  std::function<std::unique_ptr<Starter>(const SubjectOptions&)> direct;
  [[nodiscard]] std::string name() const;
};

struct GateOptions {
  Effort effort;
  int samples = 15;  // of start-up and memory, each a process
  std::uint32_t instances_live = kInstancesLive;
  std::string work = {};                      // only this, as "typed call"
  std::string program;                        // this program, which samples are taken with
  std::vector<std::string> sample_args = {};  // for the program, before those of the sample
};

// All rows of one engine; none where nothing is built on its own API. Throws std::runtime_error
// where an engine fails.
[[nodiscard]] std::vector<Row> measure_gates(const Contest& contest, const Guests& guests,
                                             const GateOptions& options);

// What a sample's process does: measures `what` (start-up, memory) of one side once and prints it.
[[nodiscard]] double take_sample(const Contest& contest, const Guests& guests,
                                 std::string_view what, bool of_ours, std::uint32_t instances);

// A gate is passed when the whole interval lies under it, and failed when the whole lies over it.
[[nodiscard]] Verdict judge(const Estimate& ratio, double gate);
[[nodiscard]] std::string_view to_string(Verdict verdict);

[[nodiscard]] std::string table(const std::vector<Row>& rows);
[[nodiscard]] std::string json(const std::vector<Row>& rows);

}  // namespace seam::bench
