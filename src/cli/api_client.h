#pragma once
// How commands talk to a running server: one request, one answer, and errors as people read them.
//
//   const Answer answer = ask({.url = url, .path = "/api/v1/functions"}, style);
//   if (!answer) return answer.error();

#include <expected>
#include <string>
#include <string_view>

#include "base/json_tree.h"
#include "cli/commands.h"
#include "http/client.h"

namespace seam::cli {

// The longest call there is, and a little for the way.
inline constexpr seconds kCallPatience{930};

struct ApiRequest {
  http::Method method = http::Method::kGet;
  std::string url = {};   // "http://127.0.0.1:8080"
  std::string path = {};  // "/api/v1/functions"
  std::string body = {};  // JSON, or empty
  bool json = false;      // an error is printed as the server sent it
  // That the path names: where the server has none of this name, the error says what may be meant.
  std::string function = {};
  nanoseconds patience = kCallPatience;
};

// The answer's body, or what to print.
using Answer = std::expected<http::ClientResponse, CommandResult>;

// Sends it and waits. Blocks. Any status below 300 is an answer.
[[nodiscard]] Answer ask(const ApiRequest& request, const Style& error_style);

// What to print of an answer that is an error.
[[nodiscard]] CommandResult show_error(const http::ClientResponse& answer, const Style& style);

// What a flag holds, names with @, or has on stdin with -; checked to be JSON. Nothing given: `{}`.
[[nodiscard]] Result<std::string> read_json(std::string_view flag, const std::string& given);
// A file's bytes, or those of stdin for -.
[[nodiscard]] Result<std::string> read_file(const std::string& path);

// What keeps `name` out of a path, or nothing.
[[nodiscard]] std::string problem_of_name(std::string_view name);
[[nodiscard]] std::string problem_of_session(std::string_view id);

// A member's text: a string without its quotes, anything else as it was sent, and nothing where it
// is null or missing.
[[nodiscard]] std::string text_of(const JsonTree& tree, std::uint32_t object,
                                  std::string_view name);

// The body as a tree, or what to print: it is not Seam's.
[[nodiscard]] std::expected<JsonTree, CommandResult> tree_of(const http::ClientResponse& answer);

// `body` for stdout.
[[nodiscard]] CommandResult as_it_came(const http::ClientResponse& answer);

// For a shell: 'it'\''s'.
[[nodiscard]] std::string quoted_for_shell(std::string_view text);

}  // namespace seam::cli
