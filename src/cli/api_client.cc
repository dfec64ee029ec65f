#include "cli/api_client.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

#include "base/identifier.h"
#include "base/json_text.h"
#include "config/nearest.h"

namespace seam::cli {
namespace {

std::string member(const JsonObjectText& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value) return {};
  return is_json_string(*value) ? decode_json_string(*value) : std::string(*value);
}

int exit_code_of(std::string_view code) {
  if (code == "INVALID_REQUEST" || code == "INVALID_PARAMS" || code == "NOT_FOUND") return kUsage;
  return code == "UNAVAILABLE" ? kUnreachable : kFailed;
}

// details.errors of INVALID_PARAMS: a line each.
std::string show_violations(std::string_view errors) {
  const auto tree = JsonTree::parse(errors);
  if (!tree || (*tree)[0].kind != JsonTree::Kind::kArray) return {};
  std::string out;
  for (std::uint32_t i = 1; i < (*tree)[0].end; i = (*tree)[i].end) {
    const std::string pointer = text_of(*tree, i, "pointer");
    out += fmt::format("  {} {}\n", pointer.empty() ? "params" : pointer,
                       text_of(*tree, i, "message"));
  }
  return out;
}

// The names of a server's functions, of as many as a suggestion is worth; none where it does not
// tell.
std::vector<std::string> function_names(const std::string& url) {
  constexpr std::size_t kPageSize = 100;
  constexpr std::size_t kPagesMax = 20;
  constexpr seconds kPatience{5};
  std::vector<std::string> names;
  for (std::size_t page = 1; page <= kPagesMax && names.size() == (page - 1) * kPageSize; ++page) {
    const Result<http::ClientResponse> answer = http::fetch(
        {.url = fmt::format("{}/api/v1/functions?per_page={}&page={}", url, kPageSize, page),
         .timeout = kPatience});
    if (!answer || answer->status != 200) break;
    const auto tree = tree_of(*answer);
    const auto listed = tree ? tree->member(0, "functions") : std::nullopt;
    if (!listed) break;
    for (std::uint32_t i = *listed + 1; i < (*tree)[*listed].end; i = (*tree)[i].end)
      names.push_back(text_of(*tree, i, "language_title"));
  }
  return names;
}

// A line on what was meant by the name of a function, or nothing where the server has that one.
std::string meant_function(const std::string& url, const std::string& name) {
  const std::vector<std::string> names = function_names(url);
  if (names.empty() || std::ranges::find(names, name) != names.end()) return {};
  std::vector<std::string> meant;
  // A name without a dash has no language: one that is short is no slip in it.
  std::string whole = name.contains('-') ? config::nearest(name, names) : std::string();
  if (!whole.empty()) {
    meant.push_back(std::move(whole));
  } else {
    // The language may have been left out, or be another.
    const auto title_of = [](const std::string& each) { return each.substr(each.find('-') + 1); };
    std::vector<std::string> titles;
    for (const std::string& each : names) titles.push_back(title_of(each));
    std::string title = config::nearest(name, titles);
    if (title.empty()) title = config::nearest(title_of(name), titles);
    for (const std::string& each : names) {
      if (!title.empty() && title_of(each) == title) meant.push_back(each);
    }
  }
  return meant.empty() ? "See all: seam functions list\n"
                       : fmt::format("Did you mean {}?\n", fmt::join(meant, " or "));
}

CommandResult not_ours(const http::ClientResponse& answer) {
  return {.exit_code = kFailed,
          .error = fmt::format("The server answered {} with something that is not Seam's:\n{}\n",
                               answer.status, answer.body.substr(0, 2000))};
}

}  // namespace

CommandResult show_error(const http::ClientResponse& answer, const Style& style) {
  const auto body = JsonObjectText::parse(answer.body);
  const auto error_text = body ? body->find("error") : std::nullopt;
  const auto error = JsonObjectText::parse(error_text.value_or(""));
  if (!error) return not_ours(answer);
  const std::string code = member(*error, "code");
  CommandResult result{.exit_code = exit_code_of(code)};
  const auto details_text = error->find("details");
  const auto details = JsonObjectText::parse(details_text.value_or(""));
  // What a KeyError says is its key alone.
  const std::string type = details ? member(*details, "type") : "";
  result.error = fmt::format("{}: {}{}{}\n", style.bad(code), type, type.empty() ? "" : ": ",
                             member(*error, "message"));
  if (!details || details->members().empty()) return result;
  if (const std::string line = member(*details, "line"); !line.empty()) {
    const std::string column = member(*details, "column");
    result.error +=
        fmt::format("  at line {}{}\n", line, column.empty() ? "" : ", column " + column);
  }
  for (const auto& [name, value] : details->members()) {
    if (name == "line" || name == "column" || name == "type" ||
        (code == "INVALID_PARAMS" && name == "more"))
      continue;
    const std::string text = is_json_string(value) ? decode_json_string(value) : std::string(value);
    if (text.empty() || text == "null") continue;
    if (code == "INVALID_PARAMS" && name == "errors") {
      result.error += show_violations(value);
    } else {
      result.error +=
          name == "stack_trace" ? style.faint(text) + "\n" : fmt::format("  {}: {}\n", name, text);
    }
  }
  return result;
}

Answer ask(const ApiRequest& request, const Style& error_style) {
  http::ClientRequest sent{.method = request.method,
                           .url = request.url + request.path,
                           .body = request.body,
                           .timeout = request.patience};
  if (!request.body.empty()) sent.headers.emplace_back("Content-Type", "application/json");
  Result<http::ClientResponse> answer = http::fetch(sent);
  if (!answer) {
    if (answer.error().code == ErrorCode::kInvalidArgument)
      return std::unexpected(
          CommandResult{.exit_code = kUsage, .error = answer.error().message + "\n"});
    return std::unexpected(
        CommandResult{.exit_code = kUnreachable,
                      .error = fmt::format("No answer from {}: {}. Start it: seam serve\n",
                                           request.url, answer.error().message)});
  }
  if (answer->status < 300) return *std::move(answer);
  CommandResult refused = show_error(*answer, error_style);
  if (!request.function.empty() && !request.json &&
      (answer->status == 400 || answer->status == 404))
    refused.error += meant_function(request.url, request.function);
  if (request.json) {
    refused.out = as_it_came(*answer).out;
    refused.error.clear();
  }
  return std::unexpected(std::move(refused));
}

Result<std::string> read_file(const std::string& path) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno(path, errno);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.bad() || (text.empty() && file.fail())) return fail_errno(path, errno);
  return text;
}

Result<std::string> read_json(std::string_view flag, const std::string& given) {
  std::string text = given.empty() ? "{}" : given;
  if (given == "-" || given.starts_with('@')) {
    Result<std::string> read = read_file(given == "-" ? given : given.substr(1));
    if (!read)
      return fail(read.error().code,
                  fmt::format("{} {}{}", flag, given == "-" ? "" : "@", read.error().message));
    text = *std::move(read);
  }
  const Result<std::string_view> value = check_json(text);
  if (!value) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is not JSON: {}. Example: {} '{{\"a\": 1}}'", flag,
                            value.error().message, flag));
  }
  return std::string(*value);
}

std::string problem_of_name(std::string_view name) {
  // What else a name must be is the server's to say; these are what a path can hold as they are.
  constexpr std::string_view kCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  if (name.empty()) return "Give the name of a function, such as nodejs-calculator.";
  if (name.find_first_not_of(kCharacters) == std::string_view::npos) return {};
  return fmt::format(
      "{}: not a function's name. Write <language>-<title>, such as nodejs-calculator.", name);
}

std::string problem_of_session(std::string_view id) {
  if (id.empty()) return "Give the id of a session: see `seam sessions list`.";
  if (is_uuid(id)) return {};
  return fmt::format("{}: not a session's id. Give the request_id that initialize answered.", id);
}

std::string text_of(const JsonTree& tree, std::uint32_t object, std::string_view name) {
  const auto value = tree.member(object, name);
  if (!value || tree[*value].kind == JsonTree::Kind::kNull) return {};
  if (tree[*value].kind == JsonTree::Kind::kString) return tree.string(*value);
  return std::string(tree.text(*value));
}

std::expected<JsonTree, CommandResult> tree_of(const http::ClientResponse& answer) {
  Result<JsonTree> tree = JsonTree::parse(answer.body);
  if (!tree || (*tree)[0].kind != JsonTree::Kind::kObject) return std::unexpected(not_ours(answer));
  return *std::move(tree);
}

CommandResult as_it_came(const http::ClientResponse& answer) {
  return {.out = answer.body + (answer.body.ends_with('\n') || answer.body.empty() ? "" : "\n")};
}

std::string quoted_for_shell(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace seam::cli
