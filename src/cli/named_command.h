#pragma once
// What commands about one function or session of a running server have in common: its name, --json
// and where the server is.
//
//   NamedCommand command(flags, kFunctionName, "Print the server's answer as it came");
//   if (auto stop = command.parse(arguments)) return *std::move(stop);
//   const Answer answer = command.ask({.path = "/api/v1/functions/" + command.name()}, options);

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/api_client.h"
#include "cli/flags.h"

namespace seam::cli {

// A kind of name: its place in the help, and what keeps a name out of a path.
struct NameKind {
  const char* place;
  const char* help;
  std::string (*problem)(std::string_view);
};
inline constexpr NameKind kFunctionName{"NAME", "The function", problem_of_name};
inline constexpr NameKind kSessionName{"ID", "The session", problem_of_session};

// Adds its flags to `flags`, which it borrows; a command may add others.
class NamedCommand {
 public:
  NamedCommand(Flags& flags, const NameKind& kind, const std::string& json_help);
  NamedCommand(const NamedCommand&) = delete;
  NamedCommand& operator=(const NamedCommand&) = delete;

  // Nothing: go on. Else what to print.
  [[nodiscard]] std::optional<CommandResult> parse(const std::vector<std::string>& arguments);
  // As ask(), of the server that the flags name; fills in `url`, `json` and `function` of the
  // request.
  [[nodiscard]] Answer ask(ApiRequest request, const CommandLineOptions& options) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool json() const { return json_; }

 private:
  Flags& flags_;
  std::string (*problem_)(std::string_view);
  std::string name_;
  std::string url_;
  bool json_ = false;
};

}  // namespace seam::cli
