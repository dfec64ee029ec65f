#pragma once
// The flags of one command, read by CLI11, and commands that have commands of their own.
//
//   Flags flags("functions list", "Lists functions by name.", "seam functions list");
//   flags.flag("--json", json, "As JSON");
//   if (auto stop = flags.parse(arguments)) return *std::move(stop);

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's
class App;
}

namespace seam::cli {

// Which settings a command's help shows; it takes all of them.
enum class SettingFlags : std::uint8_t { kCommon, kAll, kNone, kRun };

// What was parsed is written into the variables that were given, which must outlive this.
class Flags {
 public:
  // command   without `seam`
  // example   whole lines, `seam` included
  Flags(const std::string& command, const std::string& description, const std::string& example);
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;
  ~Flags();

  // For what has no shorter way here; include CLI/CLI.hpp.
  [[nodiscard]] CLI::App& app();

  void flag(const std::string& name, bool& out, const std::string& help);
  // `name` without dashes is an argument by its place.
  void option(const std::string& name, std::string& out, const std::string& help,
              const std::string& type = "TEXT");
  // May be given more than once.
  void option(const std::string& name, std::vector<std::string>& out, const std::string& help,
              const std::string& type = "TEXT");
  // Those of the settings, and --config. Those not shown in the help are taken all the same.
  void add_settings(SettingFlags which);
  // --url, and --config, whose host and port say where the server is without it.
  void add_server(std::string& url);

  // Nothing: go on. Else what to print.
  [[nodiscard]] std::optional<CommandResult> parse(std::vector<std::string> arguments);

  [[nodiscard]] Result<LoadedSettings> load(const config::Environment& environment) const;
  // "http://127.0.0.1:8080": the one of add_server(), or by host and port of the settings.
  // errors    kInvalidArgument   a wrong setting, or a URL that no request can be sent to
  [[nodiscard]] Result<std::string> server(const config::Environment& environment) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

[[nodiscard]] CommandResult refuse(const Error& error);

// A command under a name. `run` is given what follows the name.
struct Command {
  std::string name;
  std::string summary;
  std::function<CommandResult(const std::vector<std::string>&, const CommandLineOptions&)> run;
};

// Runs the one of `commands` that the first argument names; `group` is the command they belong to.
[[nodiscard]] CommandResult run_group(const std::string& group, const std::string& description,
                                      std::span<const Command> commands,
                                      const std::vector<std::string>& arguments,
                                      const CommandLineOptions& options);

// The commands of `seam`, as its help lists them.
[[nodiscard]] std::span<const Command> all_commands();

// What a command takes: for the completions. A group has commands, the others have flags.
struct CommandShape {
  struct Flag {
    std::string name;  // "--json", or "NAME" of an argument by its place
    std::string help;  // one line
    std::string type;  // "FILE"; empty: takes no value
  };
  std::string name;  // "functions list"
  std::string summary;
  std::vector<Flag> flags;
  std::vector<CommandShape> commands;
};
// Asks each command itself, so that nothing is listed twice in the source.
[[nodiscard]] CommandShape shape_of(const Command& command, const CommandLineOptions& options);

}  // namespace seam::cli
