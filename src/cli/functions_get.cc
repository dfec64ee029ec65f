#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/function_commands.h"
#include "cli/named_command.h"

namespace seam::cli {
namespace {

std::string indented(std::string_view json) {
  std::string out = "  ";
  for (const char c : indent_json(json)) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out + "\n";
}

std::string show(const JsonTree& tree, const Style& style) {
  std::string out = style.bold(text_of(tree, 0, "language_title"));
  if (const std::string description = text_of(tree, 0, "description"); !description.empty())
    out += "\n" + description;
  out += "\n\n";
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"  newest version", text_of(tree, 0, "version")});
  if (const auto route = tree.member(0, "route")) {
    for (std::uint32_t i = *route + 1; i < tree[*route].end; i = tree[i].end) {
      const std::string weight = text_of(tree, i, "weight");
      rows.push_back({"  calls go to version",
                      text_of(tree, i, "version") +
                          (tree[*route].count > 1 ? fmt::format(" (weight {})", weight) : "")});
    }
  }
  if (const auto routed = tree.member(0, "implementations")) {
    for (std::uint32_t i = *routed + 1; i < tree[*routed].end; i = tree[i].end) {
      rows.push_back({"  runtime", text_of(tree, i, "runtime")});
      const std::string engine = text_of(tree, i, "engine");
      const auto given = tree.member(i, "options");
      const std::string fallback = given ? text_of(tree, *given, "fallback") : "";
      if (!engine.empty()) rows.push_back({"  engine", engine});
      if (!fallback.empty())
        rows.push_back({"  fallback", fallback + ", where that cannot be loaded"});
      if (given && text_of(tree, *given, "cacheable") == "true")
        rows.push_back({"  cacheable", "yes: its results may be kept"});
      rows.push_back(
          {"  content", fmt::format("{} bytes, sha256 {}", text_of(tree, i, "content_bytes"),
                                    text_of(tree, i, "hash"))});
    }
  }
  rows.push_back({"  created", text_of(tree, 0, "created_at")});
  rows.push_back({"  updated", text_of(tree, 0, "updated_at")});
  if (const auto tags = tree.member(0, "tags"); tags && tree[*tags].count > 0)
    rows.push_back({"  tags", std::string(tree.text(*tags))});
  out += align(rows);
  const auto schema = tree.member(0, "schema");
  for (const char* part : {"params", "result"}) {
    const auto described = schema ? tree.member(*schema, part) : std::nullopt;
    if (described)
      out += fmt::format("\n{}\n{}", style.bold(part), indented(tree.text(*described)));
  }
  if (const auto examples = tree.member(0, "examples"); examples && tree[*examples].count > 0)
    out += fmt::format("\n{}\n{}", style.bold("examples"), indented(tree.text(*examples)));
  return out;
}

}  // namespace

CommandResult functions_get(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("functions get", "Shows a function: its versions, schema and examples.",
              "seam functions get nodejs-calculator");
  NamedCommand command(flags, kFunctionName, "Print the server's answer as it came");
  if (auto stop = command.parse(arguments)) return *std::move(stop);
  const std::string& name = command.name();
  const Answer answer = command.ask({.path = "/api/v1/functions/" + name}, options);
  if (!answer) return answer.error();
  if (command.json()) return as_it_came(*answer);
  const auto tree = tree_of(*answer);
  if (!tree) return tree.error();
  return {.out = show(*tree, options.style)};
}

}  // namespace seam::cli
