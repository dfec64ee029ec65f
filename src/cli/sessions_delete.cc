#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/function_commands.h"

namespace seam::cli {

CommandResult sessions_delete(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("sessions delete", "Ends a session and releases its worker.",
              "seam sessions delete 0b8f5c9e-1c2d-4e3f-8a4b-5c6d7e8f9a0b");
  std::string id;
  std::string url;
  bool json = false;
  flags.option("ID", id, "The session");
  flags.flag("--json", json, "Print the server's answer as it came: nothing, or an error");
  flags.add_server(url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (const std::string problem = problem_of_session(id); !problem.empty())
    return refuse({ErrorCode::kInvalidArgument, problem, {}});
  const Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());
  const Answer answer = ask({.method = http::Method::kDelete,
                             .url = *server,
                             .path = "/api/v1/sessions/" + id,
                             .json = json},
                            options.error_style);
  if (!answer) return answer.error();
  if (json) return as_it_came(*answer);
  return {.out = fmt::format("Session {} has ended.\n", id)};
}

}  // namespace seam::cli
