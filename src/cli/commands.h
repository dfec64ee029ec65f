#pragma once
// The commands of `seam` but `serve`: each takes what it needs and returns what to print, so that
// tests read the same bytes as users do.
//
//   CommandResult result = show_config(loaded, {.json = true});

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/settings.h"
#include "process/isolation.h"

namespace seam::cli {

// What scripts may rely on.
enum ExitCode : int {
  kOk = 0,
  kFailed = 1,       // the function failed; `doctor` found something; the server could not start
  kUsage = 2,        // a wrong flag, setting, name or params: change the command
  kUnreachable = 3,  // no server answers, or it cannot take the call now
};

struct CommandResult {
  int exit_code = kOk;
  std::string out = {};    // for stdout
  std::string error = {};  // for stderr
};

// What a terminal shows in colour; anything else gets plain text.
struct Style {
  bool color = false;
  [[nodiscard]] std::string good(std::string_view text) const;
  [[nodiscard]] std::string bad(std::string_view text) const;
  [[nodiscard]] std::string faint(std::string_view text) const;
  [[nodiscard]] std::string bold(std::string_view text) const;
};

// Lines of columns, each as wide as its widest cell up to 40 characters.
[[nodiscard]] std::string align(const std::vector<std::vector<std::string>>& rows);

// `seam config`: every effective setting and where it came from.
[[nodiscard]] CommandResult show_config_table(const LoadedSettings& loaded, const Style& style);
[[nodiscard]] CommandResult show_config_json(const LoadedSettings& loaded);
// The tables of docs/configuration.md.
[[nodiscard]] CommandResult show_config_markdown();

// `seam version`.
[[nodiscard]] CommandResult show_version(bool json);
[[nodiscard]] std::string_view version();  // "0.1.0"

// `seam doctor`: whether a server with these settings can run here.
struct Check {
  std::string name;
  bool ok = false;
  bool essential = false;   // `seam serve` does not start, or a runtime is down, without it
  std::string detail;       // what was found
  std::string remedy = {};  // what to do, where it is not ok
};
// Starts the interpreters to ask their version and binds the port for a moment.
[[nodiscard]] std::vector<Check> run_checks(const Settings& settings,
                                            const process::IsolationReport& report);
[[nodiscard]] CommandResult show_checks(const std::vector<Check>& checks, const Style& style);
[[nodiscard]] CommandResult show_checks_json(const std::vector<Check>& checks);

// `seam invoke`.
struct Invocation {
  std::string function;  // its name, or empty with a session
  std::string session = {};
  std::string params = {};  // JSON, "@file", "-" for stdin; empty: {}
  std::string context = {};
  std::string url;    // "http://127.0.0.1:8080"
  bool json = false;  // print the server's answer as it came
};
[[nodiscard]] CommandResult invoke(const Invocation& invocation, const Style& style);

// `seam deploy`.
struct Deployment {
  std::string path;       // a folder or a file
  std::string name = {};  // the function's; empty: the manifest's, or the folder's
  std::string url = {};   // "http://127.0.0.1:8080"
  bool dry_run = false;   // say what would be sent, and send nothing
  bool json = false;
};
// Takes a line on what is being done.
using Progress = std::function<void(const std::string&)>;
// `error_style` is for what goes to stderr, `style` for stdout.
[[nodiscard]] CommandResult deploy(const Deployment& deployment, const Progress& say,
                                   const Style& style, const Style& error_style);

// Two spaces a level; numbers and strings stay the text they are. `json` has passed check_json().
[[nodiscard]] std::string indent_json(std::string_view json);

}  // namespace seam::cli
