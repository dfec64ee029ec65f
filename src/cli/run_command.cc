// The command line of `seam run`.

#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/development.h"
#include "cli/flags.h"
#include "cli/function_commands.h"

namespace seam::cli {
namespace {

constexpr std::uint16_t kPort = 8081;  // unless it is taken: beside that of `seam serve`

// Whether anybody has said anything about a setting.
const config::Effective* said(const LoadedSettings& loaded, std::string_view key) {
  for (const config::Effective& each : loaded.effective) {
    if (each.setting->key == key) return each.source == "default" ? nullptr : &each;
  }
  return nullptr;
}

bool by_flag(const LoadedSettings& loaded, std::string_view key) {
  const config::Effective* const effective = said(loaded, key);
  return effective != nullptr && effective->source.starts_with("flag");
}

}  // namespace

CommandResult run_run(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("run",
              "Serves one function while you write it: each change of its files that loads is the "
              "version that\nanswers. Shows calls and what they print. It listens on loopback, and "
              "keeps nothing.",
              "seam run greet.js\n  seam run . --params '{\"name\": \"Ada\"}'\n  seam run slugs "
              "nodejs-slugs --port 9000");
  Development development;
  std::string params;
  flags.option("PATH", development.path, "The project's folder, or a .js, .py, .rs or .wasm file",
               "FILE");
  flags.option("NAME", development.name,
               "The function, such as nodejs-slugs (the manifest's, or the folder's name)");
  flags.option("--params", params,
               "Call it with these after each change: JSON, @file, or - for stdin", "JSON");
  flags.flag("--json", development.json, "Say everything as JSON, one object a line");
  flags.add_settings(SettingFlags::kRun);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (development.path.empty())
    return {.exit_code = kUsage, .error = "Give a file or a folder: seam run greet.js\n"};
  if (!params.empty()) {
    Result<std::string> json = read_json("--params", params);
    if (!json) return refuse(json.error());
    development.params = *std::move(json);
  }
  const Result<LoadedSettings> loaded = flags.load(options.environment);
  if (!loaded) return refuse(loaded.error());
  if (by_flag(*loaded, "data")) {
    return {.exit_code = kUsage,
            .error =
                "--data: `seam run` keeps nothing. Use `seam serve` and `seam deploy` for a "
                "server that does.\n"};
  }
  Settings& settings = development.settings;
  settings = loaded->settings;
  // Address and data are another server's, unless they were given here.
  if (!by_flag(*loaded, "host")) settings.host = "127.0.0.1";
  if (!by_flag(*loaded, "port")) {
    settings.port = kPort;
    development.other_port = true;
  }
  if (said(*loaded, "threads") == nullptr) settings.threads = 1;
  if (said(*loaded, "log.level") == nullptr) settings.log_level = LogLevel::kWarning;
  settings.drain_timeout = seconds(1);
  development.style = options.style;
  return develop(development);
}

}  // namespace seam::cli
