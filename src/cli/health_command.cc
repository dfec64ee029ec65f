#include <fmt/format.h>

#include "cli/api_client.h"
#include "cli/function_commands.h"

namespace seam::cli {
namespace {

// What a probe may wait: kubelet's and Docker's own limits are far below that of a call.
constexpr seconds kProbePatience{10};

std::string shown_state(std::string_view state, const Style& style) {
  if (state == "up" || state == "ok") return style.good(state);
  return state == "disabled" ? style.faint(state) : style.bad(state);
}

void add_parts(const JsonTree& tree, std::uint32_t parts, std::optional<std::uint32_t> details,
               const Style& style, std::vector<std::vector<std::string>>& rows) {
  for (std::uint32_t i = parts + 1; i < tree[parts].end; i = tree[i + 1].end) {
    if (tree[i + 1].kind != JsonTree::Kind::kString) continue;  // a group of parts
    const std::string name = tree.string(i);
    rows.push_back({"  " + name, shown_state(tree.string(i + 1), style),
                    details ? text_of(tree, *details, name) : ""});
  }
}

// Every layer that is not in force, and what that means.
std::string show_isolation(const JsonTree& tree, std::uint32_t isolation, const Style& style) {
  std::vector<std::vector<std::string>> missing;
  const auto layers = tree.member(isolation, "layers");
  for (std::uint32_t i = layers ? *layers + 1 : 0; layers && i < tree[*layers].end;
       i = tree[i].end) {
    if (text_of(tree, i, "in_force") == "true") continue;
    missing.push_back({"  " + text_of(tree, i, "name"), style.bad("missing"),
                       text_of(tree, i, "meaning") + ": " + text_of(tree, i, "detail")});
  }
  if (missing.empty())
    return fmt::format("Workers are isolated by all {} layers.\n",
                       layers ? tree[*layers].count : 0);
  return "Workers are isolated, but for:\n" + align(missing);
}

std::string show_health(const JsonTree& tree, const std::string& url, const Style& style) {
  std::vector<std::vector<std::string>> rows;
  const auto parts = tree.member(0, "components");
  const auto details = tree.member(0, "details");
  if (parts) add_parts(tree, *parts, details, style, rows);
  if (const auto runtimes = parts ? tree.member(*parts, "runtimes") : std::nullopt)
    add_parts(tree, *runtimes, details ? tree.member(*details, "runtimes") : std::nullopt, style,
              rows);
  std::string out = fmt::format("Seam {} at {} is {}\n", text_of(tree, 0, "version"), url,
                                shown_state(text_of(tree, 0, "status"), style));
  out += align(rows);
  if (const auto isolation = details ? tree.member(*details, "isolation") : std::nullopt)
    out += show_isolation(tree, *isolation, style);
  return out;
}

}  // namespace

CommandResult run_health(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("health",
              "Shows the state of each part of a running server. The exit code is 0 where all is "
              "well, 1 where a part is down, 3 where no server answers or none takes calls.",
              "seam health\n  seam health --ready");
  std::string url;
  bool live = false;
  bool ready = false;
  bool json = false;
  flags.flag("--live", live, "Only ask whether it serves at all: for probes");
  flags.flag("--ready", ready, "Only ask whether calls should be sent there: for probes");
  flags.flag("--json", json, "Print the server's answer as it came");
  flags.add_server(url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  const Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());
  const bool probe = live || ready;
  const Answer answer = ask({.url = *server,
                             .path = ready ? "/readyz" : (live ? "/livez" : "/health"),
                             .json = json,
                             .patience = kProbePatience},
                            options.error_style);
  if (!answer) return answer.error();
  const auto tree = tree_of(*answer);
  if (!tree) return tree.error();
  const std::string status = text_of(*tree, 0, "status");
  CommandResult result{.exit_code = status == "ok" || probe ? kOk : kFailed};
  if (json) {
    result.out = as_it_came(*answer).out;
  } else if (probe) {
    result.out = status + "\n";
  } else {
    result.out = show_health(*tree, *server, options.style);
  }
  return result;
}

}  // namespace seam::cli
