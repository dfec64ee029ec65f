#include "cli/api_client.h"
#include "cli/function_commands.h"

namespace seam::cli {

CommandResult sessions_get(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("sessions get", "Shows a session.",
              "seam sessions get 0b8f5c9e-1c2d-4e3f-8a4b-5c6d7e8f9a0b");
  std::string id;
  std::string url;
  bool json = false;
  flags.option("ID", id, "The session");
  flags.flag("--json", json, "Print the server's answer as it came");
  flags.add_server(url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (const std::string problem = problem_of_session(id); !problem.empty())
    return refuse({ErrorCode::kInvalidArgument, problem, {}});
  const Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());
  const Answer answer =
      ask({.url = *server, .path = "/api/v1/sessions/" + id, .json = json}, options.error_style);
  if (!answer) return answer.error();
  if (json) return as_it_came(*answer);
  const auto tree = tree_of(*answer);
  if (!tree) return tree.error();
  std::vector<std::vector<std::string>> rows;
  for (const auto& [shown, name] :
       {std::pair("function", "language_title"), std::pair("status", "status"),
        std::pair("calls", "execution_count"), std::pair("created", "created_at"),
        std::pair("last call", "last_executed_at"), std::pair("expires", "expires_at")}) {
    const std::string value = text_of(*tree, 0, name);
    rows.push_back({std::string("  ") + shown, value.empty() ? "-" : value});
  }
  return {.out = options.style.bold(id) + "\n" + align(rows)};
}

}  // namespace seam::cli
