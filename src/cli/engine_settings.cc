// The settings that choose a WebAssembly engine. They are made from what the engines of this build
// say of themselves, so a new engine's name and modes are right without a line here.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "cli/settings_bound.h"
#include "cli/wasm_engines.h"

namespace seam::cli {

namespace {

using config::Setting;
using config::Type;
using config::Value;

constexpr std::string_view kTypeKey = "runtime_config.type";
constexpr std::string_view kFallbackKey = "runtime_config.fallback";
constexpr std::string_view kOldModeKey = "runtime.mode";
constexpr std::string_view kNone = "none";
constexpr std::string_view kLookForIt = "auto";
// The engine of configurations that were written before there was a choice.
constexpr std::string_view kOldEngine = "wazero";

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const wasm::EngineAdapter& engine : wasm_engines().all()) out.emplace_back(engine.name);
  return out;
}

std::vector<std::string> none_or(std::vector<std::string> names) {
  names.insert(names.begin(), std::string(kNone));
  return names;
}

std::string unless(std::string_view nothing, std::string value) {
  return value == nothing ? std::string() : std::move(value);
}

std::string check_folder(const Value& value) {
  if (text(value) == kLookForIt || text(value).starts_with('/')) return {};
  return "is neither auto nor an absolute path. Write it from the root, such as "
         "/opt/seam/lib/seam/engines.";
}

std::vector<Bound> mode_settings() {
  std::vector<Bound> out;
  for (const wasm::EngineAdapter& engine : wasm_engines().all()) {
    if (engine.mode_key.empty()) continue;
    out.push_back({{.key = fmt::format("runtime_config.{}.{}", engine.name, engine.mode_key),
                    .type = Type::kChoice,
                    .default_text = std::string(engine.modes.front()),
                    .choices = {engine.modes.begin(), engine.modes.end()},
                    .description = fmt::format("How {} runs WebAssembly.", engine.name)},
                   [name = std::string(engine.name)](Settings& s, const Value& v) {
                     s.wasm.modes[name] = text(v);
                   }});
  }
  return out;
}

std::vector<std::string> old_modes() {
  const wasm::EngineAdapter* const found = wasm_engines().find(kOldEngine);
  if (found == nullptr) return {};
  return {found->modes.begin(), found->modes.end()};
}

Result<void> take_old_form(WasmSettings& wasm, const std::string& mode_source,
                           const std::string& type_source) {
  if (type_source != "default") {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}: is the older form, for a configuration without {} ({}). "
                            "Write runtime_config.{}.mode instead.",
                            mode_source, kOldModeKey, kTypeKey, type_source, kOldEngine));
  }
  wasm.engine = kOldEngine;
  wasm.modes[wasm.engine] = wasm.mode_of_old;
  return {};
}

}  // namespace

std::vector<Bound> engine_settings() {
  std::vector<Bound> out = {
      {{.key = std::string(kTypeKey),
        .type = Type::kChoice,
        .default_text = std::string(wasm_engines().all().front().name),
        .choices = names(),
        .description = "The engine that runs WebAssembly, also that of functions in Rust; a "
                       "function may name another.",
        .common = true},
       [](Settings& s, const Value& v) { s.wasm.engine = text(v); }},
      {{.key = std::string(kFallbackKey),
        .type = Type::kChoice,
        .default_text = std::string(kNone),
        .choices = none_or(names()),
        .description = "The engine that is used where that one cannot be loaded."},
       [](Settings& s, const Value& v) { s.wasm.fallback = unless(kNone, text(v)); }}};
  std::ranges::move(mode_settings(), std::back_inserter(out));
  if (!old_modes().empty()) {
    out.push_back(
        {{.key = std::string(kOldModeKey),
          .older_key = "runtime_config.runtime.mode",
          .type = Type::kChoice,
          .default_text = std::string(kNone),
          .choices = none_or(old_modes()),
          .description = "An older form of runtime_config: without a type, wazero in "
                         "this mode."},
         [](Settings& s, const Value& v) { s.wasm.mode_of_old = unless(kNone, text(v)); }});
  }
  std::vector<Bound> processes = {
      {{.key = "runtimes.wasm.isolation",
        .type = Type::kChoice,
        .default_text = "in-process",
        .choices = {"in-process", "process"},
        .description = "Where WebAssembly runs: in the server, or in sandboxed processes, each of "
                       "one function or session. An engine whose own failure ends a process "
                       "(wazero) is never loaded into the server."},
       [](Settings& s, const Value& v) { s.wasm.own_process = text(v) == "process"; }},
      {{.key = "runtimes.wasm.engines",
        .default_text = std::string(kLookForIt),
        .description = "Folder of the engines that are libraries of their own; `auto` is "
                       "lib/seam/engines beside the program's folder.",
        .check = check_folder},
       [](Settings& s, const Value& v) { s.wasm.engines = unless(kLookForIt, text(v)); }},
      {{.key = "runtimes.wasm.warm_workers",
        .type = Type::kInteger,
        .default_text = "1",
        .maximum = 64,
        .description = "Engine processes that each server thread starts ahead of need, for each "
                       "engine that has been used in processes."},
       [](Settings& s, const Value& v) { s.wasm.warm_workers = number<std::uint32_t>(v); }},
      {{.key = "runtimes.wasm.workers_max",
        .type = Type::kInteger,
        .default_text = "64",
        .minimum = 1,
        .maximum = 4096,
        .description = "Processes of one engine, of all functions together."},
       [](Settings& s, const Value& v) { s.wasm.workers_max = number<std::uint32_t>(v); }}};
  std::ranges::move(processes, std::back_inserter(out));
  return out;
}

Result<void> settle_engines(LoadedSettings& loaded) {
  WasmSettings& wasm = loaded.settings.wasm;
  const auto source = [&](std::string_view key) -> const std::string& {
    return std::ranges::find_if(
               loaded.effective,
               [&](const config::Effective& each) { return each.setting->key == key; })
        ->source;
  };
  if (!wasm.mode_of_old.empty()) {
    SEAM_RETURN_IF_ERROR(take_old_form(wasm, source(kOldModeKey), source(kTypeKey)));
  }
  if (wasm.fallback == wasm.engine) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}: \"{}\" is the engine itself. Name another, or remove it.",
                            source(kFallbackKey), kFallbackKey, wasm.fallback));
  }
  return {};
}

}  // namespace seam::cli
