#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/function_commands.h"
#include "cli/named_command.h"

namespace seam::cli {

CommandResult sessions_delete(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("sessions delete", "Ends a session and releases its worker.",
              "seam sessions delete 0b8f5c9e-1c2d-4e3f-8a4b-5c6d7e8f9a0b");
  NamedCommand command(flags, kSessionName,
                       "Print the server's answer as it came: nothing, or an error");
  if (auto stop = command.parse(arguments)) return *std::move(stop);
  const std::string& id = command.name();
  const Answer answer =
      command.ask({.method = http::Method::kDelete, .path = "/api/v1/sessions/" + id}, options);
  if (!answer) return answer.error();
  if (command.json()) return as_it_came(*answer);
  return {.out = fmt::format("Session {} has ended.\n", id)};
}

}  // namespace seam::cli
