#pragma once
// WASI preview 1 for any engine: arguments, environment, clocks, random bytes, and the three
// standard streams. There are no files and no network: what names them answers with an error
// number.
//
//   HostModule host;
//   add_wasi(host);
//   WasiState state;
//   state.stdin_bytes = params;                            // borrowed
//   instance = context->instantiate({.state = &state}, …);
//   instance->function("_start")->call(deadline);          // proc_exit ends it with
//   ErrorCode::kExited use(state.standard_output.bytes);
//
// A guest's pointer that leaves its memory gives EFAULT and changes nothing.
// source    WASI snapshot preview 1, module "wasi_snapshot_preview1".

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "wasm/host.h"

namespace seam::wasm {

// The error numbers that are used here.
enum class WasiErrno : std::uint16_t {
  kSuccess = 0,
  kBadf = 8,
  kFault = 21,
  kInval = 28,
  kNotdir = 54,
  kNotsock = 57,
  kNotsup = 58,
  kOverflow = 61,
  kSpipe = 70,
};

// Fills `bytes` from the kernel's generator.
void kernel_random(std::span<std::byte> bytes);

// One instance's view of the world. Used by the thread that runs the guest.
struct WasiState {
  struct Output {
    std::size_t bytes_max = std::numeric_limits<std::size_t>::max();
    std::string bytes;
    std::uint64_t bytes_dropped = 0;  // written past bytes_max, of which the guest learns nothing
    std::string dropped_tail = {};    // the last of those, kTailBytes at least where there are any

    static constexpr std::size_t kTailBytes = 1024;
  };

  std::vector<std::string> args;         // without NUL
  std::vector<std::string> environment;  // "NAME=value"
  std::string_view stdin_bytes;          // borrowed
  Output standard_output;
  Output standard_error;
  const Clock* clock = &Clock::real();
  void (*random)(std::span<std::byte>) = kernel_random;

  std::size_t stdin_read = 0;
  // Which stream a descriptor is: 0 to 2, or -1 once it is closed.
  std::array<std::int8_t, 3> descriptors = {0, 1, 2};
};

// All 46 functions, so that any module links. The instances' state must be a WasiState.
void add_wasi(HostModule& host);

}  // namespace seam::wasm
