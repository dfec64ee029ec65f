#pragma once
// A guest that is run from the command line: what it is given, how it is run, and how it ended.
// `seam wasm run` and `seam wasm compare` have this in common.
//
//   GuestFlags guest_flags;
//   guest_flags.add(flags);
//   …
//   SEAM_ASSIGN_OR_RETURN(const GuestOptions guest, guest_flags.options());
//   const GuestEnd end = run_guest(*context, *module, guest, wasi, deadline);

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/function_commands.h"
#include "wasm/engines.h"
#include "wasm/runtime.h"
#include "wasm/wasi.h"

namespace seam::cli {

struct GuestOptions {
  std::string file;
  std::string engine;  // empty: the first
  std::string mode;    // empty: the engine's first
  std::vector<std::string> args;
  std::vector<std::string> environment;  // "NAME=value"
  std::vector<wasm::WasiDirectory> directories;
  std::string invoke;  // an export that is called instead of _start, with `args` as its params
  std::optional<milliseconds> timeout;
  wasm::Limits limits;
};

// What is said of a key of runtime_config, as said of the flag that stands for it here.
[[nodiscard]] std::string of_flags(std::string_view message);

class GuestFlags {
 public:
  // What follows `--` among the arguments is the guest's; add() and options() come after.
  explicit GuestFlags(const Arguments& arguments);
  GuestFlags(const GuestFlags&) = delete;
  GuestFlags& operator=(const GuestFlags&) = delete;

  void add(Flags& flags, const std::string& default_timeout);
  [[nodiscard]] const Arguments& ours() const { return ours_; }
  [[nodiscard]] const Arguments& behind_dashes() const { return behind_dashes_; }

  // errors    kInvalidArgument   the message names the flag, its value and what would be right
  [[nodiscard]] Result<GuestOptions> options() const;

 private:
  Arguments ours_;
  Arguments args_;
  Arguments behind_dashes_;
  std::string file_;
  std::string engine_;
  std::string mode_;
  std::vector<std::string> environment_;
  std::vector<std::string> directories_;
  std::string invoke_;
  std::string timeout_;
  std::string memory_;
  std::string fuel_;
};

struct GuestEnd {
  std::optional<wasm::Error> error;  // also an exit code, 0 too
  std::vector<wasm::TypedValue> results;
  nanoseconds start_time{0};  // to instantiate
  nanoseconds run_time{0};
  std::uint64_t memory_bytes = 0;  // of the memory it exports, at the end: it never shrinks
  std::optional<std::uint64_t> fuel_left;

  // "returned", "exit 3", "Trapped (Unreachable)", "DeadlineExceeded".
  [[nodiscard]] std::string outcome() const;
  // For the process: as wasm_commands.h has them.
  [[nodiscard]] int exit_code() const;
  // It ended as a guest may: by returning, or with exit code 0.
  [[nodiscard]] bool ok() const;
};

// Arguments, environment and directories into `wasi`.
// errors    as WasiDescriptors::give()
[[nodiscard]] Result<> give(const GuestOptions& guest, wasm::WasiState& wasi);

// One fresh instance, run to its end. Blocks.
[[nodiscard]] GuestEnd run_guest(wasm::Context& context, const wasm::CompiledModule& module,
                                 const GuestOptions& guest, wasm::WasiState& wasi,
                                 Deadline deadline);

// "-5", "1.5", "nan", "0x00…" for 16 bytes, "null".
[[nodiscard]] std::string to_string(const wasm::TypedValue& value);

// With its quotes.
[[nodiscard]] std::string json_string(std::string_view text);
// {"code":…,"message":…,"trap":…,"exit_code":…,"backtrace":[…]}, or null.
[[nodiscard]] std::string render_error(const std::optional<wasm::Error>& error);
// [{"type":"i64","value":"-1"}]: as text, so that 64 bits stay 64.
[[nodiscard]] std::string render_results(const std::vector<wasm::TypedValue>& results);
// "12.3", for milliseconds.
[[nodiscard]] std::string in_ms(nanoseconds time);

}  // namespace seam::cli
