#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/function_commands.h"
#include "cli/named_command.h"

namespace seam::cli {

CommandResult functions_versions(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("functions versions", "Lists a function's versions, newest first.",
              "seam functions versions nodejs-calculator");
  NamedCommand command(flags, kFunctionName, "Print the server's answer as it came");
  if (auto stop = command.parse(arguments)) return *std::move(stop);
  const std::string& name = command.name();
  const Answer answer =
      command.ask({.path = fmt::format("/api/v1/functions/{}/versions", name)}, options);
  if (!answer) return answer.error();
  if (command.json()) return as_it_came(*answer);
  const auto tree = tree_of(*answer);
  if (!tree) return tree.error();
  const Style& style = options.style;
  std::vector<std::vector<std::string>> rows{{style.bold("VERSION"), style.bold("RUNTIME"),
                                              style.bold("BYTES"), style.bold("CREATED"),
                                              style.bold("SHA256"), ""}};
  if (const auto versions = tree->member(0, "versions")) {
    for (std::uint32_t i = *versions + 1; i < (*tree)[*versions].end; i = (*tree)[i].end) {
      rows.push_back({text_of(*tree, i, "version"), text_of(*tree, i, "runtime"),
                      text_of(*tree, i, "content_bytes"), text_of(*tree, i, "created_at"),
                      text_of(*tree, i, "hash").substr(0, 12),
                      text_of(*tree, i, "routed") == "true" ? style.good("answers calls") : ""});
    }
  }
  return {.out = align(rows)};
}

}  // namespace seam::cli
