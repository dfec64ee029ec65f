#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/function_commands.h"

namespace seam::cli {

CommandResult functions_delete(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("functions delete",
              "Removes a function with all its versions. Its calls' records stay.",
              "seam functions delete nodejs-sum");
  std::string name;
  std::string url;
  bool json = false;
  flags.option("NAME", name, "The function");
  flags.flag("--json", json, "Print the server's answer as it came: nothing, or an error");
  flags.add_server(url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (const std::string problem = problem_of_name(name); !problem.empty())
    return refuse({ErrorCode::kInvalidArgument, problem, {}});
  const Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());
  const Answer answer = ask({.method = http::Method::kDelete,
                             .url = *server,
                             .path = "/api/v1/functions/" + name,
                             .json = json},
                            options.error_style);
  if (!answer) return answer.error();
  if (json) return as_it_came(*answer);
  return {.out = fmt::format("{} is gone, with all its versions.\n", name)};
}

}  // namespace seam::cli
