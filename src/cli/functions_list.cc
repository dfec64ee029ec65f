#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/function_commands.h"

namespace seam::cli {
namespace {

constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

struct Page {
  std::string functions;  // JSON, without the brackets
  std::vector<std::vector<std::string>> rows;
};

void add_page(const JsonTree& tree, Page& all) {
  const auto functions = tree.member(0, "functions");
  if (!functions) return;
  for (std::uint32_t i = *functions + 1; i < tree[*functions].end; i = tree[i].end) {
    if (!all.functions.empty()) all.functions += ",";
    all.functions += tree.text(i);
    all.rows.push_back({text_of(tree, i, "language_title"), text_of(tree, i, "version"),
                        text_of(tree, i, "updated_at"), text_of(tree, i, "description")});
  }
}

}  // namespace

CommandResult functions_list(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("functions list", "Lists functions by name.",
              "seam functions list --language nodejs");
  std::string language;
  std::string runtime;
  std::string url;
  bool json = false;
  flags.option("--language", language, "Only those whose names begin with it", "LANGUAGE");
  flags.option("--runtime", runtime, "Only those that run in it", "RUNTIME");
  flags.flag("--json", json, "As JSON");
  flags.add_server(url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  std::string filter;
  for (const auto& [name, key, value] : {std::tuple("--language", "language", &language),
                                         std::tuple("--runtime", "type", &runtime)}) {
    if (value->find_first_not_of(kNameCharacters) != std::string::npos)
      return refuse({ErrorCode::kInvalidArgument,
                     fmt::format("{} {}: not a name of one, such as nodejs.", name, *value),
                     {}});
    if (!value->empty()) filter += fmt::format("&{}={}", key, *value);
  }
  const Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());

  Page all;
  for (std::size_t page = 1;; ++page) {
    const Answer answer =
        ask({.url = *server,
             .path = fmt::format("/api/v1/functions?per_page=100&page={}{}", page, filter),
             .json = json},
            options.error_style);
    if (!answer) return answer.error();
    const auto tree = tree_of(*answer);
    if (!tree) return tree.error();
    const std::size_t before = all.rows.size();
    add_page(*tree, all);
    const std::string total = text_of(*tree, 0, "total");
    if (all.rows.size() == before || fmt::format("{}", all.rows.size()) == total) break;
  }
  if (json)
    return {.out = fmt::format("{{\"total\":{},\"functions\":[{}]}}\n", all.rows.size(),
                               all.functions)};
  if (all.rows.empty()) {
    return {.error = filter.empty()
                         ? "There are no functions. Put one: seam functions put nodejs-sum sum.js\n"
                         : "There are no such functions. See all: seam functions list\n"};
  }
  const Style& style = options.style;
  all.rows.insert(all.rows.begin(), {style.bold("NAME"), style.bold("VERSION"),
                                     style.bold("UPDATED"), style.bold("DESCRIPTION")});
  return {.out = align(all.rows)};
}

}  // namespace seam::cli
