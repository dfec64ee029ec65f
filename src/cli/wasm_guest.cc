#include "cli/wasm_guest.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "base/json_text.h"
#include "cli/wasm_commands.h"
#include "config/setting.h"

namespace seam::cli {
namespace {

using wasm::TypedValue;
using wasm::ValueType;

std::unexpected<Error> invalid(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

// A whole number from `least` on.
Result<std::uint64_t> whole(std::string_view flag, const std::string& text, std::uint64_t least) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= least) return number;
  return invalid(
      fmt::format("{} \"{}\": give a whole number from {} on.", flag, config::shown(text), least));
}

// A number of either sign, in decimal or hexadecimal, that fits in T or in its unsigned sibling.
template <class Signed, class Unsigned>
std::optional<wasm::Value> integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  Unsigned number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, hex ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!negative) return wasm::Value::of(number);
  const auto least = static_cast<Unsigned>(std::numeric_limits<Signed>::min());
  if (number > least) return std::nullopt;
  return wasm::Value::of(static_cast<Unsigned>(Unsigned{0} - number));
}

template <class Float>
std::optional<wasm::Value> floating(std::string_view text) {
  Float number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return wasm::Value::of(number);
}

std::optional<wasm::Value> parse(ValueType type, std::string_view text) {
  switch (type) {
    case ValueType::kI32:
      return integer<std::int32_t, std::uint32_t>(text);
    case ValueType::kI64:
      return integer<std::int64_t, std::uint64_t>(text);
    case ValueType::kF32:
      return floating<float>(text);
    case ValueType::kF64:
      return floating<double>(text);
    case ValueType::kV128:
      return std::nullopt;
    case ValueType::kFuncref:
    case ValueType::kExternref:
      return text == "null" ? std::optional(wasm::Value()) : std::nullopt;
  }
  return std::nullopt;
}

wasm::Outcome<std::vector<wasm::Value>> params_of(const std::string& name,
                                                  const wasm::FunctionType& type,
                                                  const std::vector<std::string>& args) {
  if (args.size() != type.params.size()) {
    return wasm::fail(
        wasm::ErrorCode::kInvalidConfiguration,
        fmt::format("{} is {}: give it {} param{}, not {}.", name, to_string(type),
                    type.params.size(), type.params.size() == 1 ? "" : "s", args.size()));
  }
  std::vector<wasm::Value> slots(type.slots());
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::optional<wasm::Value> value = parse(type.params[i], args[i]);
    if (!value) {
      return wasm::fail(
          wasm::ErrorCode::kInvalidConfiguration,
          fmt::format("{} is {}: \"{}\" is no {} that can be given here.", name, to_string(type),
                      config::shown(args[i]), wasm::to_string(type.params[i])));
    }
    slots[i] = *value;
  }
  return slots;
}

// The functions that a module exports, for who named another.
std::string functions_of(const wasm::CompiledModule& module) {
  constexpr std::size_t kShown = 12;
  std::string text;
  std::size_t count = 0;
  for (const wasm::ExternType& each : module.exports()) {
    if (each.kind != wasm::ExternKind::kFunction) continue;
    if (++count <= kShown)
      text += fmt::format("{}{}", text.empty() ? "" : ", ", config::shown(each.name));
  }
  if (count == 0) return "It exports no function at all.";
  if (count > kShown) text += fmt::format(" and {} more", count - kShown);
  return fmt::format("It exports {}.", text);
}

wasm::Outcome<> call(wasm::ModuleInstance& instance, const wasm::CompiledModule& module,
                     const GuestOptions& guest, const wasm::Interruption& interruption,
                     std::vector<TypedValue>& results) {
  const wasm::FunctionType nothing;
  const std::string name = guest.invoke.empty() ? "_start" : guest.invoke;
  const std::unique_ptr<wasm::FunctionInstance> function = instance.function(name);
  if (!function) {
    const std::string remedy = guest.invoke.empty()
                                   ? "so it is no command. Name an export by --invoke."
                                   : "so it cannot be called.";
    return wasm::fail(wasm::ErrorCode::kFunctionNotExported,
                      fmt::format("it exports no function {}, {} {}", config::shown(name), remedy,
                                  functions_of(module)));
  }
  std::vector<wasm::Value> slots(function->type().slots());
  if (!guest.invoke.empty()) {
    SEAM_ASSIGN_OR_RETURN(slots, params_of(name, function->type(), guest.args));
    const wasm::ExternType* initialize = module.find_export("_initialize");
    if (initialize != nullptr && initialize->function == nothing && name != "_initialize")
      SEAM_RETURN_IF_ERROR(instance.function("_initialize")->call(interruption, {}));
  }
  SEAM_RETURN_IF_ERROR(function->call(interruption, slots));
  for (std::size_t i = 0; i < function->type().results.size(); ++i)
    results.push_back({.type = function->type().results[i], .value = slots[i]});
  return {};
}

}  // namespace

GuestFlags::GuestFlags(const Arguments& arguments) {
  const auto dashes = std::ranges::find(arguments, "--");
  ours_.assign(arguments.begin(), dashes);
  if (dashes != arguments.end()) behind_dashes_.assign(dashes + 1, arguments.end());
}

void GuestFlags::add(Flags& flags, const std::string& default_timeout) {
  flags.option("FILE", file_, "A module: .wasm, or its text, .wat", "FILE");
  flags.app().add_option("ARGS", args_,
                         "What the guest is given; behind `--` also what begins with -");
  flags.option("--engine", engine_, "The engine: see `seam wasm engines` (the first of them)",
               "ENGINE");
  flags.option("--mode", mode_, "The engine's mode, such as interpreter (its first)", "MODE");
  flags.option("--dir", directories_,
               "A directory the guest may use, under this name or another; `::ro` at the end for "
               "reading only",
               "HOST[::GUEST]");
  flags.option("--env", environment_, "A variable of the guest's environment, which is empty",
               "NAME=VALUE");
  flags.option("--invoke", invoke_,
               "Call this export with ARGS as its params and print the results, instead of _start",
               "EXPORT");
  flags.option("--timeout-ms", timeout_, "How long it may run (" + default_timeout + ")", "N");
  flags.option("--memory-bytes", memory_, "How large its memory may get (256MiB)", "SIZE");
  flags.option("--fuel", fuel_, "How many instructions it may run, where the engine counts them",
               "N");
}

Result<GuestOptions> GuestFlags::options() const {
  if (file_.empty()) return invalid("Give a file: seam wasm run hello.wasm");
  GuestOptions guest{.file = file_,
                     .engine = engine_,
                     .mode = mode_,
                     .args = args_,
                     .environment = environment_,
                     .directories = {},
                     .invoke = invoke_,
                     .timeout = {},
                     .limits = {}};
  guest.args.insert(guest.args.end(), behind_dashes_.begin(), behind_dashes_.end());
  for (const std::string& variable : environment_) {
    const std::size_t equals = variable.find('=');
    if (equals == 0 || equals == std::string::npos)
      return invalid(fmt::format("--env {}: write NAME=VALUE.", config::shown(variable)));
  }
  for (const std::string& text : directories_) {
    Result<wasm::WasiDirectory> directory = wasm::parse_wasi_directory(text);
    if (!directory)
      return invalid(fmt::format("--dir {}: {}", config::shown(text), directory.error().message));
    guest.directories.push_back(*std::move(directory));
  }
  if (!timeout_.empty()) {
    SEAM_ASSIGN_OR_RETURN(const std::uint64_t timeout, whole("--timeout-ms", timeout_, 1));
    constexpr std::uint64_t kDayInMs = 86'400'000;
    if (timeout > kDayInMs) return invalid("--timeout-ms: give at most a day, 86400000.");
    guest.timeout = milliseconds(timeout);
  }
  if (!memory_.empty()) {
    const Result<std::int64_t> bytes = config::parse_bytes(memory_);
    if (!bytes) return invalid(fmt::format("--memory-bytes: {}", bytes.error().message));
    guest.limits.memory_bytes_max = static_cast<std::uint64_t>(*bytes);
  }
  if (!fuel_.empty()) {
    SEAM_ASSIGN_OR_RETURN(guest.limits.fuel, whole("--fuel", fuel_, 1));
  }
  return guest;
}

Result<> give(const GuestOptions& guest, wasm::WasiState& wasi) {
  wasi.args = {std::filesystem::path(guest.file).filename().string()};
  if (guest.invoke.empty()) wasi.args.insert(wasi.args.end(), guest.args.begin(), guest.args.end());
  wasi.environment = guest.environment;
  for (const wasm::WasiDirectory& directory : guest.directories)
    SEAM_RETURN_IF_ERROR(wasi.descriptors.give(directory));
  return {};
}

GuestEnd run_guest(wasm::Context& context, const wasm::CompiledModule& module,
                   const GuestOptions& guest, wasm::WasiState& wasi, Deadline deadline) {
  GuestEnd end;
  const wasm::Interruption interruption{.deadline = deadline, .cancelled = {}};
  const MonotonicTime begun = MonotonicClock::now();
  auto instance = context.instantiate({.limits = guest.limits, .state = &wasi}, interruption);
  const MonotonicTime started = MonotonicClock::now();
  end.start_time = started - begun;
  if (!instance) {
    end.error = std::move(instance).error();
    return end;
  }
  wasm::Outcome<> outcome = call(**instance, module, guest, interruption, end.results);
  end.run_time = MonotonicClock::now() - started;
  if (!outcome) end.error = std::move(outcome).error();
  if (const std::unique_ptr<wasm::Memory> memory = (*instance)->memory())
    end.memory_bytes = memory->view().size();
  end.fuel_left = (*instance)->fuel_left();
  return end;
}

std::string GuestEnd::outcome() const {
  if (!error) return "returned";
  if (error->code == wasm::ErrorCode::kExited) return fmt::format("exit {}", error->exit_code);
  if (error->code == wasm::ErrorCode::kTrapped)
    return fmt::format("{} ({})", wasm::to_string(error->code), wasm::to_string(error->trap));
  return std::string(wasm::to_string(error->code));
}

bool GuestEnd::ok() const {
  return !error || (error->code == wasm::ErrorCode::kExited && error->exit_code == 0);
}

int GuestEnd::exit_code() const {
  if (!error) return kOk;
  switch (error->code) {
    case wasm::ErrorCode::kExited:
      return error->exit_code >= 0 && error->exit_code <= 255 ? error->exit_code
                                                              : kGuestCodeOutside;
    case wasm::ErrorCode::kTrapped:
      return kGuestTrapped;
    case wasm::ErrorCode::kDeadlineExceeded:
      return kGuestTimeUp;
    case wasm::ErrorCode::kLimitExceeded:
      return kGuestOverLimit;
    case wasm::ErrorCode::kCancelled:
      return kGuestReaderGone;
    default:
      return kGuestNotBegun;
  }
}

std::string to_string(const TypedValue& value) {
  switch (value.type) {
    case ValueType::kI32:
      return fmt::format("{}", value.value.as<std::int32_t>());
    case ValueType::kI64:
      return fmt::format("{}", value.value.as<std::int64_t>());
    // Every NaN alike: which bits it has is an engine's own affair.
    case ValueType::kF32: {
      const auto number = value.value.as<float>();
      return std::isnan(number) ? "nan" : fmt::format("{}", number);
    }
    case ValueType::kF64: {
      const auto number = value.value.as<double>();
      return std::isnan(number) ? "nan" : fmt::format("{}", number);
    }
    case ValueType::kV128: {
      std::string text = "0x";
      for (std::size_t i = sizeof value.value.bytes; i > 0; --i)
        text += fmt::format("{:02x}", value.value.bytes[i - 1]);
      return text;
    }
    case ValueType::kFuncref:
      return value.value.bytes[8] == 0 ? "null" : "a function";
    case ValueType::kExternref:
      return value.value.bytes[8] == 0
                 ? "null"
                 : fmt::format("externref {}", value.value.as<std::uint64_t>());
  }
  return {};
}

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string render_error(const std::optional<wasm::Error>& error) {
  if (!error) return "null";
  std::string out = R"({"code":)";
  append_json_string(out, wasm::to_string(error->code));
  out += R"(,"message":)";
  append_json_string(out, error->message);
  if (error->code == wasm::ErrorCode::kTrapped) {
    out += R"(,"trap":)";
    append_json_string(out, wasm::to_string(error->trap));
  }
  if (error->code == wasm::ErrorCode::kExited)
    out += fmt::format(R"(,"exit_code":{})", error->exit_code);
  out += R"(,"backtrace":[)";
  for (const wasm::Frame& frame : error->backtrace) {
    if (!out.ends_with('[')) out += ',';
    out += R"({"function":)";
    append_json_string(out, frame.function);
    out += fmt::format(R"(,"function_index":{},"module_offset":{}}})", frame.function_index,
                       frame.module_offset);
  }
  return out + "]}";
}

std::string render_results(const std::vector<TypedValue>& results) {
  std::string out = "[";
  for (const TypedValue& result : results) {
    if (!out.ends_with('[')) out += ',';
    out += R"({"type":)";
    append_json_string(out, wasm::to_string(result.type));
    out += R"(,"value":)";
    append_json_string(out, to_string(result));
    out += '}';
  }
  return out + "]";
}

std::string in_ms(nanoseconds time) {
  return fmt::format("{:.3f}", static_cast<double>(time.count()) / 1e6);
}

std::string of_flags(std::string_view message) {
  const std::size_t end = std::min(message.find(':'), message.size());
  const bool engine = message.substr(0, end).ends_with(".type");
  return fmt::format("{}{}", engine ? "--engine" : "--mode", message.substr(end));
}

}  // namespace seam::cli
