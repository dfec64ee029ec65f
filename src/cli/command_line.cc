#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "cli/call_commands.h"
#include "cli/flags.h"
#include "cli/function_commands.h"
#include "cli/wasm_commands.h"
#include "config/nearest.h"
#include "process/isolation.h"

namespace seam::cli {

namespace {

constexpr std::string_view kHelp =
    R"(Seam runs your functions in JavaScript, Python, Rust and WebAssembly, each in a sandbox.

Usage: seam COMMAND [FLAGS]

{}
Start with `seam new nodejs slugs` and `seam run slugs`. `seam COMMAND --help` tells more.
)";

std::string help() {
  std::vector<std::vector<std::string>> rows;
  for (const Command& command : all_commands())
    rows.push_back({"  " + command.name, command.summary});
  return fmt::format(kHelp, align(rows));
}

CommandResult run_serve(const std::vector<std::string>& arguments,
                        const CommandLineOptions& options) {
  Flags flags(
      "serve",
      "Runs the server until it gets SIGTERM or SIGINT; then it finishes the calls in flight.",
      "seam serve --port 9000 --data ./data");
  bool json = false;
  flags.app().add_flag("--json", json, "Say where it listens as one line of JSON");
  flags.add_settings(SettingFlags::kCommon);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  const Result<LoadedSettings> loaded = flags.load(options.environment);
  if (!loaded) return refuse(loaded.error());
  return {.exit_code = options.serve(*loaded, json)};
}

CommandResult run_config(const std::vector<std::string>& arguments,
                         const CommandLineOptions& options) {
  Flags flags("config", "Shows every setting with its value and where that came from.",
              "seam config --port 9000");
  bool json = false;
  bool markdown = false;
  flags.app().add_flag("--json", json, "As JSON");
  flags.app().add_flag("--markdown", markdown, "The tables of docs/configuration.md");
  flags.add_settings(SettingFlags::kAll);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (markdown) return show_config_markdown();
  const Result<LoadedSettings> loaded = flags.load(options.environment);
  if (!loaded) return refuse(loaded.error());
  return json ? show_config_json(*loaded) : show_config_table(*loaded, options.style);
}

CommandResult run_doctor(const std::vector<std::string>& arguments,
                         const CommandLineOptions& options) {
  Flags flags("doctor",
              "Checks whether a server with these settings can run here, and what would isolate "
              "the functions.\n"
              "The exit code is 1 where it cannot.",
              "seam doctor --port 9000");
  bool json = false;
  flags.app().add_flag("--json", json, "As JSON");
  flags.add_settings(SettingFlags::kCommon);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  const Result<LoadedSettings> loaded = flags.load(options.environment);
  if (!loaded) return refuse(loaded.error());
  const std::vector<Check> checks = run_checks(loaded->settings, process::probe_isolation());
  return json ? show_checks_json(checks) : show_checks(checks, options.style);
}

CommandResult run_version(const std::vector<std::string>& arguments, const CommandLineOptions&) {
  Flags flags("version", "Shows the version, and what the build was made from.",
              "seam version --json");
  bool json = false;
  flags.app().add_flag("--json", json, "As JSON");
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  return show_version(json);
}

CommandResult run_invoke(const std::vector<std::string>& arguments,
                         const CommandLineOptions& options) {
  Flags flags("invoke",
              "Calls a function of a running server and prints its result on stdout.\n"
              "The exit code is 0, or 1: the function failed, 2: the request is wrong, 3: no "
              "server takes it.",
              R"(seam invoke nodejs-calculator --params '{"operation": "add", "a": 1, "b": 2}'
  seam invoke python-text_processor --params @request.json
  seam invoke --session 0b8f5c9e-1c2d-4e3f-8a4b-5c6d7e8f9a0b --params -)");
  Invocation invocation;
  flags.app().add_option("NAME", invocation.function, "The function, such as nodejs-calculator");
  flags.app()
      .add_option("--params", invocation.params, "Its params: JSON, @file, or - for stdin ({})")
      ->type_name("JSON");
  flags.app()
      .add_option("--context", invocation.context, "Its context, as params")
      ->type_name("JSON");
  flags.app()
      .add_option("--session", invocation.session,
                  "Executes this session instead of a function by name")
      ->type_name("ID");
  std::string url;
  flags.app().add_flag("--json", invocation.json, "Print the server's answer as it came");
  flags.add_server(url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());
  invocation.url = *std::move(server);
  CommandResult result = invoke(invocation, options.error_style);
  return result;
}

// The flags that `calls` and `logs` share.
void add_wanted(Flags& flags, CallsWanted& wanted) {
  flags.app().add_option("--session", wanted.session, "Only of this session")->type_name("ID");
  flags.app()
      .add_option("--since", wanted.since,
                  "Only what began since then: 90s, 15m, 2h, 7d, or a time such as "
                  "2026-01-02T03:04:05Z")
      ->type_name("WHEN");
  flags.app().add_flag("--json", wanted.json, "Print what the server said as it came");
  flags.add_server(wanted.url);
}

CommandResult run_calls(const std::vector<std::string>& arguments,
                        const CommandLineOptions& options) {
  Flags flags("calls", "Lists calls, newest first, or shows one with its stages, error and log.",
              R"(seam calls nodejs-calculator --status error --since 1h
  seam calls 0198c1d2-7e1f-7a3b-8c2d-0123456789ab)");
  CallsWanted wanted;
  flags.app().add_option("NAME", wanted.function, "A function, or the id of a call");
  flags.app()
      .add_option("--status", wanted.status,
                  "Only with this outcome: ok, error, an HTTP status, or a code such as TIMEOUT")
      ->type_name("STATUS");
  add_wanted(flags, wanted);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  const Result<std::string> url = flags.server(options.environment);
  if (!url) return refuse(url.error());
  wanted.url = *url;
  return show_calls(wanted, options.style);
}

CommandResult run_logs(const std::vector<std::string>& arguments,
                       const CommandLineOptions& options) {
  Flags flags("logs", "Shows what functions print, oldest first.",
              R"(seam logs -f nodejs-calculator
  seam logs --since 15m --json)");
  CallsWanted wanted;
  bool follow = false;
  flags.app().add_option("NAME", wanted.function, "A function");
  flags.app().add_flag("-f,--follow", follow, "Go on with what is printed from now on");
  flags.app().add_option("--call", wanted.call, "Only of this call")->type_name("ID");
  add_wanted(flags, wanted);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  const Result<std::string> url = flags.server(options.environment);
  if (!url) return refuse(url.error());
  wanted.url = *url;
  return follow ? follow_logs(wanted, options.style) : show_logs(wanted, options.style);
}

CommandResult run_deploy(const std::vector<std::string>& arguments,
                         const CommandLineOptions& options) {
  Flags flags(
      "deploy",
      "Packs a project, with the packages that its lock file or requirements.txt names, and "
      "sends it to a\nrunning server as a new version of its function. A project that has "
      "not changed is not sent again.",
      "seam deploy .\n  seam deploy slugs nodejs-slugs --dry-run\n  seam deploy handler.py "
      "python-hello");
  Deployment deployment;
  flags.app().add_option("PATH", deployment.path,
                         "The project's folder, or a .js, .py, .rs or .wasm file");
  flags.app().add_option(
      "NAME", deployment.name,
      "The function, such as nodejs-slugs (the manifest's, or the folder's name)");
  flags.app().add_flag("--dry-run", deployment.dry_run, "Say what would be sent, and send nothing");
  flags.app().add_flag("--json", deployment.json, "Say what was sent as one line of JSON");
  flags.add_server(deployment.url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (deployment.path.empty())
    return {.exit_code = kUsage, .error = "Give the folder of a project: seam deploy .\n"};
  const Result<std::string> url = flags.server(options.environment);
  if (!url) return refuse(url.error());
  deployment.url = *url;
  const Progress say = [&](const std::string& line) {
    if (!deployment.json) fmt::print(stderr, "{}\n", options.error_style.faint(line));
  };
  return deploy(deployment, say, options.style, options.error_style);
}

}  // namespace

std::span<const Command> all_commands() {
  static const std::vector<Command> all{
      {"new", "make a folder with a function to begin from", run_new},
      {"run", "serve one function while you write it", run_run},
      {"serve", "run the server", run_serve},
      {"invoke", "call a function on a running server", run_invoke},
      {"deploy", "pack a project with its dependencies and send it to a server", run_deploy},
      {"logs", "show what functions print, or follow it", run_logs},
      {"calls", "list calls, or show one", run_calls},
      {"functions", "list, put, check and route functions", run_functions},
      {"sessions", "list and end sessions", run_sessions},
      {"health", "show the state of a running server's parts", run_health},
      {"wasm", "show, run and compare WebAssembly modules on the engines", run_wasm},
      {"config", "show every setting and where it came from", run_config},
      {"doctor", "check whether a server can run here, and how well it can isolate", run_doctor},
      {"completions", "make a shell complete all of this", run_completions},
      {"version", "show the version", run_version}};
  return all;
}

CommandResult run(const std::vector<std::string>& arguments, const CommandLineOptions& options) {
  if (arguments.empty()) return {.exit_code = kUsage, .error = help()};
  const std::string& first = arguments.front();
  if (first == "--help" || first == "-h" || first == "help") return {.out = help()};
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (first == "--version") return run_version(rest, options);
  const auto command = std::ranges::find(all_commands(), first, &Command::name);
  if (command != all_commands().end()) return command->run(rest, options);

  std::vector<std::string> names;
  for (const Command& each : all_commands()) names.push_back(each.name);
  const std::string meant = config::nearest(first, names);
  return {.exit_code = kUsage,
          .error = fmt::format("seam {}: no such command. {}\n", first,
                               meant.empty() ? "See `seam --help`."
                                             : fmt::format("Did you mean `seam {}`?", meant))};
}

}  // namespace seam::cli
