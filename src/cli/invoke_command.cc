#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "base/identifier.h"
#include "base/json_text.h"
#include "cli/commands.h"
#include "http/client.h"

namespace seam::cli {

namespace {

// The longest call there is, and a little for the way.
constexpr seconds kPatience{930};

// What keeps the invocation from being a request, or nothing.
std::string problem_of(const Invocation& invocation) {
  if (invocation.function.empty() == invocation.session.empty()) {
    return "Give the name of a function, or --session with the id of one.";
  }
  if (!invocation.session.empty()) {
    if (!invocation.context.empty()) {
      return "--context belongs to a session's start and cannot be given with --session.";
    }
    if (is_uuid(invocation.session)) return {};
    return fmt::format(
        "--session {}: not a session's id. Give the request_id that initialize answered.",
        invocation.session);
  }
  // What else a name must be is the server's to say; these are what a path can hold as they are.
  constexpr std::string_view kCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  if (invocation.function.find_first_not_of(kCharacters) == std::string::npos) return {};
  return fmt::format(
      "{}: not a function's name. Write <language>-<title>, such as nodejs-calculator.",
      invocation.function);
}

// What a flag holds, names with @, or has on stdin with -; checked to be JSON.
Result<std::string> read_json(std::string_view flag, const std::string& given) {
  std::string text = given.empty() ? "{}" : given;
  if (given == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else if (given.starts_with('@')) {
    std::ifstream file(given.substr(1), std::ios::binary);
    if (!file) return fail_errno(fmt::format("{} {}", flag, given), errno);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  const Result<std::string_view> value = check_json(text);
  if (!value) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is not JSON: {}. Example: {} '{{\"a\": 1}}'", flag,
                            value.error().message, flag));
  }
  return std::string(*value);
}

std::string member(const JsonObjectText& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value) return {};
  return is_json_string(*value) ? decode_json_string(*value) : std::string(*value);
}

int exit_code_of(std::string_view code) {
  if (code == "INVALID_REQUEST" || code == "INVALID_PARAMS" || code == "NOT_FOUND") return kUsage;
  return code == "UNAVAILABLE" ? kUnreachable : kFailed;
}

// The answer's error, for a person.
CommandResult show_error(const http::ClientResponse& answer, const Style& style) {
  CommandResult result{.exit_code = kFailed};
  const auto body = JsonObjectText::parse(answer.body);
  const auto error_text = body ? body->find("error") : std::nullopt;
  const auto error = JsonObjectText::parse(error_text.value_or(""));
  if (!error) {
    result.error = fmt::format("The server answered {} with something that is not Seam's:\n{}\n",
                               answer.status, answer.body.substr(0, 2000));
    return result;
  }
  const std::string code = member(*error, "code");
  result.exit_code = exit_code_of(code);
  result.error = fmt::format("{}: {}\n", style.bad(code), member(*error, "message"));
  const auto details_text = error->find("details");
  const auto details = JsonObjectText::parse(details_text.value_or(""));
  if (!details || details->members().empty()) return result;
  if (const std::string line = member(*details, "line"); !line.empty()) {
    const std::string column = member(*details, "column");
    result.error +=
        fmt::format("  at line {}{}\n", line, column.empty() ? "" : ", column " + column);
  }
  for (const auto& [name, value] : details->members()) {
    if (name == "line" || name == "column") continue;
    const std::string text = is_json_string(value) ? decode_json_string(value) : std::string(value);
    if (text.empty() || text == "null") continue;
    result.error +=
        name == "stack_trace" ? style.faint(text) + "\n" : fmt::format("  {}: {}\n", name, text);
  }
  return result;
}

CommandResult show_result(const Invocation& invocation, const http::ClientResponse& answer,
                          const Style& style) {
  const auto body = JsonObjectText::parse(answer.body);
  const auto value = body ? body->find("result") : std::nullopt;
  if (!value) {
    return {.exit_code = kFailed,
            .error = fmt::format("The server answered {} without a result:\n{}\n", answer.status,
                                 answer.body.substr(0, 2000))};
  }
  const std::string call_id = member(*body, "call_id");
  const bool cached = body->find("cached").value_or("false") == "true";
  const std::string name =
      invocation.function.empty() ? member(*body, "language_title") : invocation.function;
  return {.out = indent_json(*value) + "\n",
          .error = style.faint(fmt::format("{} took {} ms{} (call {})", name,
                                           member(*body, "execution_time"),
                                           cached ? ", cached" : "", call_id)) +
                   "\n"};
}

}  // namespace

CommandResult invoke(const Invocation& invocation, const Style& style) {
  if (const std::string problem = problem_of(invocation); !problem.empty()) {
    return {.exit_code = kUsage, .error = problem + "\n"};
  }
  std::string body;
  std::string path;
  for (const auto& [flag, name, given] : {std::tuple("--params", "params", invocation.params),
                                          std::tuple("--context", "context", invocation.context)}) {
    if (given.empty() && flag == std::string_view("--context")) continue;
    const Result<std::string> json = read_json(flag, given);
    if (!json) return {.exit_code = kUsage, .error = json.error().message + "\n"};
    body += fmt::format("{}\"{}\": {}", body.empty() ? "{" : ", ", name, *json);
  }
  body += "}";
  if (invocation.session.empty()) {
    path = fmt::format("/api/v1/functions/{}/invoke", invocation.function);
  } else {
    path = fmt::format("/api/v1/execute/{}", invocation.session);
  }
  const Result<http::ClientResponse> answer =
      http::fetch({.method = http::Method::kPost,
                   .url = invocation.url + path,
                   .headers = {{"Content-Type", "application/json"}},
                   .body = body,
                   .timeout = kPatience});
  if (!answer) {
    if (answer.error().code == ErrorCode::kInvalidArgument) {
      return {.exit_code = kUsage, .error = answer.error().message + "\n"};
    }
    return {.exit_code = kUnreachable,
            .error = fmt::format("No answer from {}: {}. Start it: seam serve\n", invocation.url,
                                 answer.error().message)};
  }
  const bool success = answer->status == 200;
  CommandResult result =
      success ? show_result(invocation, *answer, style) : show_error(*answer, style);
  if (invocation.json) {
    result.out = answer->body + (answer->body.ends_with('\n') ? "" : "\n");
    result.error.clear();
  }
  return result;
}

}  // namespace seam::cli
