#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/function_commands.h"

namespace seam::cli {

CommandResult sessions_list(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("sessions list", "Lists sessions.", "seam sessions list");
  std::string url;
  bool json = false;
  flags.flag("--json", json, "As JSON");
  flags.add_server(url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  const Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());
  const Style& style = options.style;
  std::vector<std::vector<std::string>> rows;
  std::string sessions;
  for (std::size_t page = 1;; ++page) {
    const Answer answer = ask({.url = *server,
                               .path = fmt::format("/api/v1/sessions?per_page=100&page={}", page),
                               .json = json},
                              options.error_style);
    if (!answer) return answer.error();
    const auto tree = tree_of(*answer);
    if (!tree) return tree.error();
    const std::size_t before = rows.size();
    if (const auto list = tree->member(0, "sessions")) {
      for (std::uint32_t i = *list + 1; i < (*tree)[*list].end; i = (*tree)[i].end) {
        if (!sessions.empty()) sessions += ",";
        sessions += tree->text(i);
        rows.push_back({text_of(*tree, i, "request_id"), text_of(*tree, i, "language_title"),
                        text_of(*tree, i, "execution_count"), text_of(*tree, i, "last_executed_at"),
                        text_of(*tree, i, "expires_at")});
      }
    }
    if (rows.size() == before || fmt::format("{}", rows.size()) == text_of(*tree, 0, "total"))
      break;
  }
  if (json)
    return {.out = fmt::format("{{\"total\":{},\"sessions\":[{}]}}\n", rows.size(), sessions)};
  if (rows.empty()) return {.error = "There are no sessions.\n"};
  rows.insert(rows.begin(), {style.bold("SESSION"), style.bold("FUNCTION"), style.bold("CALLS"),
                             style.bold("LAST CALL"), style.bold("EXPIRES")});
  return {.out = align(rows)};
}

}  // namespace seam::cli
