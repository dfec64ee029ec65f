#pragma once
// Puts the record of each call into its loop's journal, before the call is answered.
//
//   if (!recorder.ready()) …answer 503…;
//   if (!recorder.append(record)) …answer 503 too…;

#include <atomic>
#include <cstdint>
#include <span>
#include <string>

#include "base/event_loop.h"
#include "base/per_loop.h"
#include "journal/journal.h"
#include "store/call_record.h"

namespace seam::functions {

// What happens to calls when the journal is full, because the store has been away for long or the
// disk is full.
enum class WhenFull {
  kReject,  // calls are refused until there is room
  kDrop,    // calls go on, their records are dropped and counted
};

class Recorder {
 public:
  // Writer i of the journals is loop i's.
  Recorder(journal::Journals& journals, std::span<EventLoop* const> loops, WhenFull when_full);

  // Whether a call may run now: the record that it will leave has room. On a loop.
  [[nodiscard]] bool ready();
  // False: the record is not kept, and the call must not be answered as if it were. On a loop.
  [[nodiscard]] bool append(const store::CallRecord& record);
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::string buffer;
  };
  journal::Journals& journals_;
  PerLoop<Slot> slots_;
  WhenFull when_full_;
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace seam::functions
