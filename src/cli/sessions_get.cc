#include "cli/api_client.h"
#include "cli/function_commands.h"
#include "cli/named_command.h"

namespace seam::cli {

CommandResult sessions_get(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("sessions get", "Shows a session.",
              "seam sessions get 0b8f5c9e-1c2d-4e3f-8a4b-5c6d7e8f9a0b");
  NamedCommand command(flags, kSessionName, "Print the server's answer as it came");
  if (auto stop = command.parse(arguments)) return *std::move(stop);
  const std::string& id = command.name();
  const Answer answer = command.ask({.path = "/api/v1/sessions/" + id}, options);
  if (!answer) return answer.error();
  if (command.json()) return as_it_came(*answer);
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
