#pragma once
// How soon a guest that never ends is stopped: the time from its deadline, or from the request to
// cancel it, until its call has returned. First alone, then with a busy thread for each core.

#include <string>
#include <vector>

#include "gates.h"

namespace seam::bench {

struct Lateness {
  double median_ms = 0;
  double worst_ms = 0;
};

struct StopRow {
  std::string engine;   // "wazero compiled"
  std::string guest;    // what it does without end
  std::string by;       // what stops it
  Lateness alone = {};  // which the gate is for
  Lateness busy = {};
  Verdict verdict = Verdict::kUngated;
};

// What the machine itself costs: no guest, but a thread that does nothing but look at the clock.
[[nodiscard]] StopRow measure_machine(int calls);

// All rows of one engine, each of so many calls in both kinds of company. Throws std::runtime_error
// where a guest ends for another reason.
[[nodiscard]] std::vector<StopRow> measure_stops(const Contest& contest, int calls);
[[nodiscard]] std::string table(const std::vector<StopRow>& rows);
[[nodiscard]] std::string json(const std::vector<StopRow>& rows);

}  // namespace seam::bench
