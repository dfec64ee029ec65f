#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/function_commands.h"

namespace seam::cli {

CommandResult functions_versions(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("functions versions", "Lists a function's versions, newest first.",
              "seam functions versions nodejs-calculator");
  std::string name;
  std::string url;
  bool json = false;
  flags.option("NAME", name, "The function");
  flags.flag("--json", json, "Print the server's answer as it came");
  flags.add_server(url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (const std::string problem = problem_of_name(name); !problem.empty())
    return refuse({ErrorCode::kInvalidArgument, problem, {}});
  const Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());
  const Answer answer = ask(
      {.url = *server, .path = fmt::format("/api/v1/functions/{}/versions", name), .json = json},
      options.error_style);
  if (!answer) return answer.error();
  if (json) return as_it_came(*answer);
  const auto tree = tree_of(*answer);
  if (!tree) return tree.error();
  const Style& style = options.style;
  std::vector<std::vector<std::string>> rows{{style.bold("VERSION"), style.bold("RUNTIME"),
                                              style.bold("BYTES"), style.bold("CREATED"),
                                              style.bold("SHA256"), ""}};
  const auto versions = tree->member(0, "versions");
  for (std::uint32_t i = *versions + 1; versions && i < (*tree)[*versions].end;
       i = (*tree)[i].end) {
    rows.push_back({text_of(*tree, i, "version"), text_of(*tree, i, "runtime"),
                    text_of(*tree, i, "content_bytes"), text_of(*tree, i, "created_at"),
                    text_of(*tree, i, "hash").substr(0, 12),
                    text_of(*tree, i, "routed") == "true" ? style.good("answers calls") : ""});
  }
  return {.out = align(rows)};
}

}  // namespace seam::cli
