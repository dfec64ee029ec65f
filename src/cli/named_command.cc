#include "cli/named_command.h"

#include <utility>

namespace seam::cli {

NamedCommand::NamedCommand(Flags& flags, const NameKind& kind, const std::string& json_help)
    : flags_(flags), problem_(kind.problem) {
  flags.option(kind.place, name_, kind.help);
  flags.flag("--json", json_, json_help);
  flags.add_server(url_);
}

std::optional<CommandResult> NamedCommand::parse(const std::vector<std::string>& arguments) {
  if (auto stop = flags_.parse(arguments)) return stop;
  const std::string problem = problem_(name_);
  if (problem.empty()) return std::nullopt;
  return refuse({ErrorCode::kInvalidArgument, problem, {}});
}

Answer NamedCommand::ask(ApiRequest request, const CommandLineOptions& options) const {
  Result<std::string> server = flags_.server(options.environment);
  if (!server) return std::unexpected(refuse(server.error()));
  request.url = *std::move(server);
  request.json = json_;
  if (problem_ == problem_of_name) request.function = name_;
  return cli::ask(request, options.error_style);
}

}  // namespace seam::cli
