#include <fmt/format.h>

#include <charconv>

#include "cli/api_client.h"
#include "cli/function_commands.h"

namespace seam::cli {

CommandResult functions_route(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("functions route", "Sends a function's calls to one of its versions, at once.",
              "seam functions route nodejs-calculator 1");
  std::string name;
  std::string version;
  std::string url;
  bool json = false;
  flags.option("NAME", name, "The function");
  flags.option("VERSION", version, "The version, as `seam functions versions` lists it");
  flags.flag("--json", json, "Print the server's answer as it came");
  flags.add_server(url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (const std::string problem = problem_of_name(name); !problem.empty())
    return refuse({ErrorCode::kInvalidArgument, problem, {}});
  std::int64_t number = 0;
  const auto [end, error] =
      std::from_chars(version.data(), version.data() + version.size(), number);
  if (error != std::errc() || end != version.data() + version.size() || number < 1) {
    return refuse({ErrorCode::kInvalidArgument,
                   fmt::format("{}: not a version. Give a number of `seam functions versions {}`.",
                               version.empty() ? "VERSION" : version, name),
                   {}});
  }
  const Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());
  const Answer answer = ask({.method = http::Method::kPut,
                             .url = *server,
                             .path = fmt::format("/api/v1/functions/{}/route", name),
                             .body = fmt::format(R"({{"version":{}}})", number),
                             .json = json},
                            options.error_style);
  if (!answer) return answer.error();
  if (json) return as_it_came(*answer);
  return {.out = fmt::format("Calls of {} go to version {} now.\n", name, number)};
}

}  // namespace seam::cli
