#include <fmt/format.h>

#include <charconv>

#include "cli/api_client.h"
#include "cli/function_commands.h"
#include "cli/named_command.h"

namespace seam::cli {

CommandResult functions_route(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("functions route", "Sends a function's calls to one of its versions, at once.",
              "seam functions route nodejs-calculator 1");
  NamedCommand command(flags, kFunctionName, "Print the server's answer as it came");
  std::string version;
  flags.option("VERSION", version, "The version, as `seam functions versions` lists it");
  if (auto stop = command.parse(arguments)) return *std::move(stop);
  const std::string& name = command.name();
  std::int64_t number = 0;
  const auto [end, error] =
      std::from_chars(version.data(), version.data() + version.size(), number);
  if (error != std::errc() || end != version.data() + version.size() || number < 1) {
    return refuse({ErrorCode::kInvalidArgument,
                   fmt::format("{}: not a version. Give a number of `seam functions versions {}`.",
                               version.empty() ? "VERSION" : version, name),
                   {}});
  }
  const Answer answer = command.ask({.method = http::Method::kPut,
                                     .path = fmt::format("/api/v1/functions/{}/route", name),
                                     .body = fmt::format(R"({{"version":{}}})", number)},
                                    options);
  if (!answer) return answer.error();
  if (command.json()) return as_it_came(*answer);
  return {.out = fmt::format("Calls of {} go to version {} now.\n", name, number)};
}

}  // namespace seam::cli
