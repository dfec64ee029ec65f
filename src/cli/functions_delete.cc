#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/function_commands.h"
#include "cli/named_command.h"

namespace seam::cli {

CommandResult functions_delete(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("functions delete",
              "Removes a function with all its versions. Its calls' records stay.",
              "seam functions delete nodejs-sum");
  NamedCommand command(flags, kFunctionName,
                       "Print the server's answer as it came: nothing, or an error");
  if (auto stop = command.parse(arguments)) return *std::move(stop);
  const std::string& name = command.name();
  const Answer answer =
      command.ask({.method = http::Method::kDelete, .path = "/api/v1/functions/" + name}, options);
  if (!answer) return answer.error();
  if (command.json()) return as_it_came(*answer);
  return {.out = fmt::format("{} is gone, with all its versions.\n", name)};
}

}  // namespace seam::cli
