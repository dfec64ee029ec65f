#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "cli/call_commands.h"
#include "config/nearest.h"
#include "process/isolation.h"

namespace seam::cli {

namespace {

constexpr std::string_view kHelp =
    R"(Seam runs your functions in JavaScript, Python and WebAssembly, each in a sandbox.

Usage: seam COMMAND [FLAGS]

  serve     run the server
  invoke    call a function on a running server
  logs      show what functions print, or follow it
  calls     list calls, or show one
  deploy    pack a project with its dependencies and send it to a running server
  config    show every setting and where it came from
  doctor    check whether a server can run here, and how well it can isolate
  version   show the version

Start with:
  seam doctor
  seam serve
  seam invoke nodejs-calculator --params '{"operation": "add", "a": 1, "b": 2}'

`seam COMMAND --help` tells more.
)";

enum class SettingFlags : std::uint8_t { kCommon, kAll, kAddress };

// One command's flags. CLI11 parses into the members, so it stays where it is made.
class Flags {
 public:
  Flags(const std::string& command, const std::string& description, const std::string& example)
      : app_(description, "seam " + command) {
    app_.allow_extras();
    app_.footer("Example:\n  " + example);
    app_.set_help_flag("-h,--help", "Show this");
    app_.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  CLI::App& app() { return app_; }

  // Adds the flags of the settings, and --config. Those not shown in the help are taken all the
  // same.
  void add_settings(SettingFlags which) {
    takes_settings_ = true;
    app_.add_option("--config", file_, "A seam.yaml, instead of the one in this directory")
        ->type_name("FILE")
        ->group("Settings");
    values_.resize(descriptors().size());
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const config::Setting& setting = descriptors()[i];
      const bool address = setting.key == "host" || setting.key == "port";
      const bool shown = which == SettingFlags::kAll ||
                         (which == SettingFlags::kCommon && setting.common) ||
                         (which == SettingFlags::kAddress && address);
      const std::string standard =
          setting.default_description.empty() ? setting.default_text : setting.default_description;
      app_.add_option(setting.flag(), values_[i],
                      fmt::format("{} ({})", setting.description, standard))
          ->type_name(setting.type == config::Type::kInteger ? "N"
                      : setting.type == config::Type::kBytes ? "SIZE"
                                                             : "X")
          ->group(shown ? "Settings" : "");
    }
    if (which == SettingFlags::kCommon) {
      app_.footer(app_.get_footer() + "\n\nThere are more settings: see `seam config --help`.");
    }
  }

  // Nothing: go on. Else what to print.
  std::optional<CommandResult> parse(std::vector<std::string> arguments) {
    std::ranges::reverse(arguments);  // CLI11 takes them from the back
    try {
      app_.parse(std::move(arguments));
    } catch (const CLI::CallForHelp&) {
      return CommandResult{.out = app_.help()};
    } catch (const CLI::ArgumentMismatch& error) {
      const std::string_view what = error.what();  // "--port: 1 required N missing"
      return wrong(fmt::format("flag {}: needs a value.", what.substr(0, what.find(':'))));
    } catch (const CLI::ParseError& error) {
      return wrong(error.what());
    }
    const std::vector<std::string> extras = app_.remaining();
    if (extras.empty()) return std::nullopt;
    if (!extras.front().starts_with('-')) {
      return wrong(fmt::format("\"{}\" is not expected here.", extras.front()));
    }
    std::vector<std::string> others;
    for (const CLI::Option* option : app_.get_options()) {
      for (const std::string& name : option->get_lnames()) others.push_back("--" + name);
    }
    if (takes_settings_)
      return wrong(config::explain_unknown_flag(extras.front(), descriptors(), unbuilt(), others));
    return wrong(config::explain_unknown_flag(extras.front(), {}, {}, others));
  }

  [[nodiscard]] Result<LoadedSettings> load(const config::Environment& environment) const {
    config::Sources sources{.environment = environment, .file = file_};
    for (std::size_t i = 0; i < values_.size(); ++i) {
      const config::Setting& setting = descriptors()[i];
      if (app_.count(setting.flag()) > 0) sources.flags.emplace_back(setting.flag(), values_[i]);
    }
    return load_settings(sources);
  }

 private:
  [[nodiscard]] CommandResult wrong(const std::string& what) const {
    return {.exit_code = kUsage, .error = fmt::format("{}\n", what)};
  }

  CLI::App app_;
  std::string file_;
  std::vector<std::string> values_;  // of descriptors(), in its order
  bool takes_settings_ = false;
};

CommandResult refuse(const Error& error) {
  return {.exit_code = kUsage, .error = error.message + "\n"};
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
  flags.app()
      .add_option("--url", invocation.url, "Where the server is, instead of host and port")
      ->type_name("URL");
  flags.app().add_flag("--json", invocation.json, "Print the server's answer as it came");
  flags.add_settings(SettingFlags::kAddress);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (invocation.url.empty()) {
    const Result<LoadedSettings> loaded = flags.load(options.environment);
    if (!loaded) return refuse(loaded.error());
    const Settings& settings = loaded->settings;
    invocation.url = settings.host.contains(':')
                         ? fmt::format("http://[{}]:{}", settings.host, settings.port)
                         : fmt::format("http://{}:{}", settings.host, settings.port);
  }
  while (invocation.url.ends_with('/')) invocation.url.pop_back();
  CommandResult result = invoke(invocation, options.error_style);
  return result;
}

// Where the server is: --url, or the host and port of the settings.
Result<std::string> server_url(std::string url, const Flags& flags,
                               const CommandLineOptions& options) {
  if (url.empty()) {
    SEAM_ASSIGN_OR_RETURN(const LoadedSettings loaded, flags.load(options.environment));
    const Settings& settings = loaded.settings;
    url = settings.host.contains(':') ? fmt::format("http://[{}]:{}", settings.host, settings.port)
                                      : fmt::format("http://{}:{}", settings.host, settings.port);
  }
  while (url.ends_with('/')) url.pop_back();
  return url;
}

// The flags that `calls` and `logs` share.
void add_wanted(Flags& flags, CallsWanted& wanted) {
  flags.app().add_option("--session", wanted.session, "Only of this session")->type_name("ID");
  flags.app()
      .add_option("--since", wanted.since,
                  "Only what began since then: 90s, 15m, 2h, 7d, or a time such as "
                  "2026-01-02T03:04:05Z")
      ->type_name("WHEN");
  flags.app()
      .add_option("--url", wanted.url, "Where the server is, instead of host and port")
      ->type_name("URL");
  flags.app().add_flag("--json", wanted.json, "Print what the server said as it came");
  flags.add_settings(SettingFlags::kAddress);
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
  const Result<std::string> url = server_url(wanted.url, flags, options);
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
  const Result<std::string> url = server_url(wanted.url, flags, options);
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
                         "The project's folder, or a .js, .py or .wasm file");
  flags.app().add_option(
      "NAME", deployment.name,
      "The function, such as nodejs-slugs (the manifest's, or the folder's name)");
  flags.app()
      .add_option("--url", deployment.url, "Where the server is, instead of host and port")
      ->type_name("URL");
  flags.app().add_flag("--dry-run", deployment.dry_run, "Say what would be sent, and send nothing");
  flags.app().add_flag("--json", deployment.json, "Say what was sent as one line of JSON");
  flags.add_settings(SettingFlags::kAddress);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (deployment.path.empty())
    return {.exit_code = kUsage, .error = "Give the folder of a project: seam deploy .\n"};
  const Result<std::string> url = server_url(deployment.url, flags, options);
  if (!url) return refuse(url.error());
  deployment.url = *url;
  const Progress say = [&](const std::string& line) {
    if (!deployment.json) fmt::print(stderr, "{}\n", options.error_style.faint(line));
  };
  return deploy(deployment, say, options.style, options.error_style);
}

struct Command {
  std::string name;
  CommandResult (*run)(const std::vector<std::string>&, const CommandLineOptions&);
};

const std::vector<Command>& commands() {
  static const std::vector<Command> all{
      {"serve", run_serve},   {"invoke", run_invoke}, {"deploy", run_deploy}, {"logs", run_logs},      {"calls", run_calls},
      {"config", run_config}, {"doctor", run_doctor}, {"version", run_version}};
  return all;
}

}  // namespace

CommandResult run(const std::vector<std::string>& arguments, const CommandLineOptions& options) {
  if (arguments.empty()) return {.exit_code = kUsage, .error = std::string(kHelp)};
  const std::string& first = arguments.front();
  if (first == "--help" || first == "-h" || first == "help") return {.out = std::string(kHelp)};
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (first == "--version") return run_version(rest, options);
  const auto command = std::ranges::find(commands(), first, &Command::name);
  if (command != commands().end()) return command->run(rest, options);

  std::vector<std::string> names;
  for (const Command& each : commands()) names.push_back(each.name);
  const std::string meant = config::nearest(first, names);
  return {.exit_code = kUsage,
          .error = fmt::format("seam {}: no such command. {}\n", first,
                               meant.empty() ? "See `seam --help`."
                                             : fmt::format("Did you mean `seam {}`?", meant))};
}

}  // namespace seam::cli
