#include <fmt/format.h>

#include "base/json_text.h"
#include "cli/api_client.h"
#include "cli/commands.h"

namespace seam::cli {

namespace {

// What keeps the invocation from being a request, or nothing.
std::string problem_of(const Invocation& invocation) {
  if (invocation.function.empty() == invocation.session.empty()) {
    return "Give the name of a function, or --session with the id of one.";
  }
  if (!invocation.session.empty()) {
    if (!invocation.context.empty()) {
      return "--context belongs to a session's start and cannot be given with --session.";
    }
    const std::string problem = problem_of_session(invocation.session);
    return problem.empty() ? problem : "--session " + problem;
  }
  return problem_of_name(invocation.function);
}

std::string member(const JsonObjectText& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value) return {};
  return is_json_string(*value) ? decode_json_string(*value) : std::string(*value);
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
  const Answer answer = ask({.method = http::Method::kPost,
                             .url = invocation.url,
                             .path = path,
                             .body = body,
                             .json = invocation.json,
                             .function = invocation.function},
                            style);
  if (!answer) return answer.error();
  if (invocation.json) return as_it_came(*answer);
  return show_result(invocation, *answer, style);
}

}  // namespace seam::cli
