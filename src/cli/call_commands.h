#pragma once
// `seam calls` and `seam logs`: what has happened on a running server.
//
//   show_calls({.function = "nodejs-sum", .status = "error", .url = url}, style);

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/commands.h"
#include "http/client.h"

namespace seam::cli {

// Which calls or lines; what is empty is not asked.
struct CallsWanted {
  std::string function = {};  // or, for show_calls(), the id of one call
  std::string session = {};
  std::string call = {};
  std::string status = {};
  std::string since = {};  // a time, or how long ago: "15m"
  std::string url = {};    // "http://127.0.0.1:8080"
  bool json = false;       // as the server said it
};

// A table, newest first; or a picture of one call.
[[nodiscard]] CommandResult show_calls(const CallsWanted& wanted, const Style& style);

// The lines of the newest calls that printed something.
[[nodiscard]] CommandResult show_logs(const CallsWanted& wanted, const Style& style);

// Writes lines to stdout as they are printed, until SIGINT, SIGTERM or the end of stdout; connects
// again when the server goes away and comes back, and then shows what it has missed.
[[nodiscard]] CommandResult follow_logs(const CallsWanted& wanted, const Style& style);

// One of the server's lines of a log as people read it, with its line feed. What a terminal would
// obey is shown as \xNN.
[[nodiscard]] std::string render_log_line(std::string_view json, const Style& style);

// Text of a function's for a terminal: what that would obey is shown as \xNN; the second keeps line
// feeds.
[[nodiscard]] std::string harmless(std::string_view text);
[[nodiscard]] std::string harmless_lines(std::string_view text);

// For both: the path with its query, and what to print where the answer is no 200.
[[nodiscard]] std::string path_with_query(std::string_view path, const CallsWanted& wanted);
[[nodiscard]] CommandResult show_refusal(const CallsWanted& wanted,
                                         const Result<http::ClientResponse>& answer);

}  // namespace seam::cli
