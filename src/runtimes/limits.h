#pragma once
// Every limit of the pools of worker processes, in one place. What a program may use itself is in
// its ProgramLimits (runtimes/runtime.h); these are the host's own.

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace seam::runtimes {

struct PoolLimits {
  // Worker processes of one runtime, over all loops; each loop has its even share, at least one.
  // 64 workers of 256 MiB could fill a machine of 16 GiB, if all used their all.
  std::uint32_t workers_max = 64;

  // Empty workers that wait for a program, each loop: a first call then pays for loading only.
  std::uint32_t warm_per_loop = 1;

  // Starts under way at once, each loop. A start is 20-30 ms of processor time: more at once only
  // make each of them late.
  std::uint32_t starts_at_once_max = 2;

  // Kept warm for a program that nobody calls.
  seconds idle_max{300};

  // Calls of one worker before it makes place for a fresh one: bounds slow leaks of a program.
  std::uint64_t calls_max = 1'000'000;

  // A worker that holds this part of its memory limit between two calls makes place for a fresh
  // one, before a call fails for what earlier ones left behind.
  double memory_fraction_max = 0.8;

  // Calls of all programs that one loop holds, running and waiting: bounds the host's own memory.
  std::size_t calls_per_loop_max = 10'000;
};

// A worker that says nothing this long after its start is ended.
inline constexpr seconds kWorkerStartMax{30};

// A program that is loaded ahead of its first call may take this long.
inline constexpr seconds kPrepareMax{10};

// Calls wait this long, with every worker of their program busy, before one more is started: on a
// busy processor a wait that is shorter than a start is not cured by one.
inline constexpr milliseconds kGrowAfter{2};

// How often deadlines and cancellations of the calls on a loop are looked at: a call is ended at
// most this late. One timer a loop costs less than one a call.
inline constexpr milliseconds kTick{5};

// A worker that ends its calls itself has this long after a deadline before it is ended for it.
inline constexpr milliseconds kOverrunMax{10};

// How often idle and memory limits are looked at.
inline constexpr milliseconds kMaintenanceInterval{1000};

// After a start that failed: waits this long, twice as long after each further failure, at most
// kStartBackoffMax.
inline constexpr milliseconds kStartBackoffMin{100};
inline constexpr milliseconds kStartBackoffMax{10'000};

// A worker whose socket has closed may take this long to end by itself, so that its own exit status
// is the one reported; the same where it has ended and its socket is still open in a child of its.
inline constexpr milliseconds kEndingMax{100};

// Read from a worker's stdout and stderr in one go before other work has its turn.
inline constexpr std::size_t kOutputBytesAtOnce = 256U << 10U;

// The last bytes of a worker's stdout and stderr, kept to explain its end.
inline constexpr std::size_t kOutputTailBytes = 4U << 10U;

}  // namespace seam::runtimes
