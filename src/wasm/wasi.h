#pragma once
// WASI preview 1 for any engine: arguments, environment, clocks, random bytes, the three standard
// streams, and the directories that the guest was given. There is no network, and no file outside
// those directories: what names one answers with an error number.
//
//   HostModule host;
//   add_wasi(host);
//   WasiState state;
//   state.stdin_bytes = params;                            // borrowed
//   SEAM_RETURN_IF_ERROR(state.descriptors.give({.host_path = "./data", .guest_path = "/data"}));
//   instance = context->instantiate({.state = &state}, …);
//   instance->function("_start")->call(deadline);          // proc_exit ends it with
//   ErrorCode::kExited use(state.standard_output.bytes);
//
// A guest's pointer that leaves its memory gives EFAULT and changes nothing. Nothing here allocates
// on a guest's call, but opening a descriptor and keeping what it prints. The guest's thread may
// block on an ordinary file or directory of the host, and on nothing else: what is neither cannot
// be opened.
// source    WASI snapshot preview 1, module "wasi_snapshot_preview1".

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "wasm/host.h"
#include "wasm/wasi_descriptors.h"

namespace seam::wasm {

// Fills `bytes` from the kernel's generator.
void kernel_random(std::span<std::byte> bytes);

// Standard streams that are somebody else's, such as a terminal's. Called on the thread that runs
// the guest, which they may block; an error ends the guest's call with it.
class WasiSource {
 public:
  virtual ~WasiSource() = default;
  // How many bytes of standard input it has put into `bytes`: some, or 0 at its end.
  [[nodiscard]] virtual Outcome<std::size_t> read(std::span<std::byte> bytes) = 0;
  // A guest's C library asks whether to wait for whole buffers or for lines.
  [[nodiscard]] virtual bool is_terminal() const = 0;
};
class WasiSink {
 public:
  virtual ~WasiSink() = default;
  // All of `bytes`, to stream 1 (standard output) or 2 (standard error).
  [[nodiscard]] virtual Outcome<> write(int stream, std::span<const std::byte> bytes) = 0;
  [[nodiscard]] virtual bool is_terminal(int stream) const = 0;
};

// One instance's view of the world. Used by the thread that runs the guest. What the guest has
// opened is closed when this goes.
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
  WasiSource* source = nullptr;  // instead of stdin_bytes; borrowed
  WasiSink* sink = nullptr;      // instead of standard_output and standard_error; borrowed
  const Clock* clock = &Clock::real();
  void (*random)(std::span<std::byte>) = kernel_random;
  // The streams; directories come by descriptors.give(), none by default.
  WasiDescriptors descriptors;

  std::size_t stdin_read = 0;
};

// All 46 functions, so that any module links. The instances' state must be a WasiState.
void add_wasi(HostModule& host);

}  // namespace seam::wasm
