#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "base/json_text.h"
#include "cli/wasm_commands.h"
#include "cli/wasm_engines.h"
#include "cli/wasm_file.h"
#include "cli/wasm_guest.h"
#include "cli/wasm_streams.h"

namespace seam::cli {
namespace {

// What --json keeps of each stream; the rest is counted.
constexpr std::size_t kKeptBytesMax = 16U << 20U;

CommandResult not_begun(std::string message) {
  return {.exit_code = kGuestNotBegun, .error = std::move(message) + "\n"};
}

std::string render_stream(const wasm::WasiState::Output& output) {
  std::string out;
  append_json_string(out, output.bytes);
  return out;
}

std::string render(const wasm::MadeEngine& made, const GuestEnd& end, nanoseconds compile_time,
                   const wasm::WasiState& wasi) {
  std::string out = R"({"engine":)";
  append_json_string(out, made.engine);
  out += R"(,"mode":)";
  append_json_string(out, made.mode);
  out += R"(,"outcome":)";
  append_json_string(out, end.outcome());
  return fmt::format(
      R"({},"exit_code":{},"error":{},"results":{},"stdout":{},"stderr":{},"bytes_dropped":{},)"
      R"("compile_ms":{},"start_ms":{},"run_ms":{},"memory_bytes":{},"fuel_left":{}}})"
      "\n",
      out, end.exit_code(), render_error(end.error), render_results(end.results),
      render_stream(wasi.standard_output), render_stream(wasi.standard_error),
      wasi.standard_output.bytes_dropped + wasi.standard_error.bytes_dropped, in_ms(compile_time),
      in_ms(end.start_time), in_ms(end.run_time), end.memory_bytes,
      end.fuel_left ? fmt::format("{}", *end.fuel_left) : "null");
}

// What a person is told after the guest's own output: nothing, where it ended as it wanted to.
CommandResult show(const std::string& file, const GuestEnd& end) {
  CommandResult result{.exit_code = end.exit_code()};
  for (const wasm::TypedValue& value : end.results) result.out += to_string(value) + "\n";
  if (!end.error || end.error->code == wasm::ErrorCode::kCancelled) return result;
  if (end.error->code == wasm::ErrorCode::kExited) {
    if (result.exit_code != end.error->exit_code)
      result.error = fmt::format("{}: it ended with code {}, which no process can end with.\n",
                                 file, end.error->exit_code);
    return result;
  }
  result.error =
      fmt::format("{}: {}: {}\n{}", file, end.outcome(), end.error->message, end.error->trace());
  return result;
}

CommandResult run_file(const GuestOptions& guest, bool json) {
  const wasm::Engines& engines = wasm_engines();
  const auto choice = engines.choose(guest.engine, guest.mode);
  if (!choice) return not_begun(of_flags(choice.error().message));
  const Result<WasmFile> file = read_wasm_file(guest.file);
  if (!file) return not_begun(file.error().message);
  const Result<std::string_view> bytes = file->module();
  if (!bytes) return not_begun(bytes.error().message);

  wasm::WasiState wasi;
  if (json) {
    wasi.standard_output.bytes_max = kKeptBytesMax;
    wasi.standard_error.bytes_max = kKeptBytesMax;
  }
  if (const Result<> given = give(guest, wasi); !given) return not_begun(given.error().message);
  const auto made = engines.make(*choice, {.fuel = guest.limits.fuel.has_value(),
                                           .instances_max = 1,
                                           .parallel_compilation = true,
                                           .library_folder = engine_library_folder()});
  if (!made) return not_begun(made.error().message);
  const auto wrong = [&](const wasm::Error& error) {
    return not_begun(
        fmt::format("{}: {}: {}", guest.file, wasm::to_string(error.code), error.message));
  };
  const MonotonicTime begun = MonotonicClock::now();
  const auto module = made->runtime->compile(*bytes);
  if (!module) return wrong(module.error());
  const nanoseconds compile_time = MonotonicClock::now() - begun;
  wasm::HostModule host;
  wasm::add_wasi(host);
  const auto context = made->runtime->link(**module, host);
  if (!context) return wrong(context.error());
  const Deadline deadline = guest.timeout ? Deadline::after(*guest.timeout) : Deadline::never();
  ProcessInput input(deadline);
  ProcessOutput output(deadline);
  wasi.source = &input;
  if (!json) wasi.sink = &output;
  const GuestEnd end = run_guest(**context, **module, guest, wasi, deadline);
  if (json) return {.exit_code = end.exit_code(), .out = render(*made, end, compile_time, wasi)};
  return show(guest.file, end);
}

}  // namespace

CommandResult wasm_run(const Arguments& arguments, const CommandLineOptions&) {
  Flags flags("wasm run",
              "Runs a WASI command (or by --invoke one export) with limits and without a server. "
              "Its streams are\nthis command's, and its exit code too. Other exit codes: 124 the "
              "time is up, 125 it was not begun\n(a wrong flag, file or module), 134 it trapped, "
              "137 a limit was passed.\nIt has no files but those of --dir, no variables but "
              "those of --env, and no network.",
              "seam wasm run hello.wasm --engine wasmi --dir ./data::/data -- --verbose input.txt\n"
              "  seam wasm run add.wat --invoke add 20 22");
  GuestFlags guest_flags(arguments);
  guest_flags.add(flags, "no limit");
  bool json = false;
  flags.flag("--json", json,
             "Print one JSON object at the end, with what the guest wrote, times and memory");
  if (auto stop = flags.parse(guest_flags.ours())) {
    if (stop->exit_code == kUsage) stop->exit_code = kGuestNotBegun;
    return *std::move(stop);
  }
  const Result<GuestOptions> guest = guest_flags.options();
  if (!guest) return not_begun(guest.error().message);
  return run_file(*guest, json);
}

}  // namespace seam::cli
