#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/api_client.h"
#include "cli/function_commands.h"
#include "cli/named_command.h"
#include "functions/function_examples.h"

namespace seam::cli {
namespace {

using functions::FunctionExample;
using Kind = JsonTree::Kind;

constexpr std::size_t kDifferencesMax = 5;

struct Checked {
  std::string name;
  std::string call_id;
  std::string milliseconds;
  std::string got;                    // JSON: the result, or the error
  std::vector<std::string> problems;  // none: it answers as it says
};

// What keeps `got` from being `expected`, by JSON Pointer.
class Differences {
 public:
  Differences(const JsonTree& expected, const JsonTree& got) : expected_(expected), got_(got) {}

  std::vector<std::string> find() {
    compare(0, 0, "");
    return std::move(found_);
  }

 private:
  void add(const std::string& at, std::string_view what) {
    if (found_.size() < kDifferencesMax)
      found_.push_back(fmt::format("{}: {}", at.empty() ? "the result" : at, what));
  }
  static std::string shown(std::string_view json) {
    return json.size() <= 60 ? std::string(json) : fmt::format("{}…", json.substr(0, 57));
  }

  void compare(std::uint32_t a, std::uint32_t b, const std::string& at) {
    const Kind kind = expected_[a].kind;
    if (kind == got_[b].kind && kind == Kind::kObject) return objects(a, b, at);
    if (kind == got_[b].kind && kind == Kind::kArray) return arrays(a, b, at);
    if (!same_json(expected_.text(a), got_.text(b)))
      add(at, fmt::format("expected {}, got {}", shown(expected_.text(a)), shown(got_.text(b))));
  }

  void objects(std::uint32_t a, std::uint32_t b, const std::string& at) {
    for (std::uint32_t i = a + 1; i < expected_[a].end; i = expected_[i + 1].end) {
      const std::string name = expected_.string(i);
      const auto there = got_.member(b, name);
      if (there) {
        compare(i + 1, *there, fmt::format("{}/{}", at, name));
      } else {
        add(fmt::format("{}/{}", at, name),
            fmt::format("expected {}, got nothing", shown(expected_.text(i + 1))));
      }
    }
    for (std::uint32_t i = b + 1; i < got_[b].end; i = got_[i + 1].end) {
      const std::string name = got_.string(i);
      if (!expected_.member(a, name))
        add(fmt::format("{}/{}", at, name),
            fmt::format("expected nothing, got {}", shown(got_.text(i + 1))));
    }
  }

  void arrays(std::uint32_t a, std::uint32_t b, const std::string& at) {
    if (expected_[a].count != got_[b].count)
      add(at, fmt::format("expected {} elements, got {}", expected_[a].count, got_[b].count));
    std::uint32_t j = b + 1;
    std::size_t position = 0;
    for (std::uint32_t i = a + 1; i < expected_[a].end && j < got_[b].end; i = expected_[i].end) {
      compare(i, j, fmt::format("{}/{}", at, position++));
      j = got_[j].end;
    }
  }

  const JsonTree& expected_;
  const JsonTree& got_;
  std::vector<std::string> found_;
};

void judge_error(const FunctionExample& example, const JsonTree& tree, std::uint32_t error,
                 Checked& checked) {
  const std::string code = text_of(tree, error, "code");
  const std::string message = text_of(tree, error, "message");
  if (example.error_code.empty()) {
    checked.problems.push_back(fmt::format(
        "expected {}, got {}: {}", example.result ? "a result" : "it to succeed", code, message));
  } else if (code != example.error_code) {
    checked.problems.push_back(
        fmt::format("expected {}, got {}: {}", example.error_code, code, message));
  } else if (message.find(example.error_message) == std::string::npos) {
    checked.problems.push_back(
        fmt::format("expected a message with \"{}\", got \"{}\"", example.error_message, message));
  }
}

void judge_result(const FunctionExample& example, const functions::FunctionSchema& schema,
                  Checked& checked) {
  if (!example.error_code.empty()) {
    checked.problems.push_back(fmt::format("expected {}, got a result: {}", example.error_code,
                                           checked.got.substr(0, 60)));
    return;
  }
  if (const Result<void> fits = schema.check_result(checked.got); !fits)
    checked.problems.push_back("the schema: " + fits.error().message);
  if (!example.result || same_json(*example.result, checked.got)) return;
  const JsonTree expected = JsonTree::of_checked(*example.result);
  const JsonTree got = JsonTree::of_checked(checked.got);
  for (std::string& difference : Differences(expected, got).find())
    checked.problems.push_back(std::move(difference));
}

// Calls it; what to print if no server takes the call.
std::expected<Checked, CommandResult> run(const FunctionExample& example,
                                          const functions::FunctionSchema& schema,
                                          const std::string& server, const std::string& path,
                                          const Style& style) {
  Checked checked;
  checked.name = example.name;
  const Result<http::ClientResponse> answer =
      http::fetch({.method = http::Method::kPost,
                   .url = server + path,
                   .headers = {{"Content-Type", "application/json"}},
                   .body = fmt::format("{{\"params\":{}}}", example.params),
                   .timeout = kCallPatience});
  if (!answer) {
    return std::unexpected(CommandResult{
        .exit_code = kUnreachable,
        .error = fmt::format("No answer from {}: {}.\n", server, answer.error().message)});
  }
  const auto tree = tree_of(*answer);
  if (!tree) return std::unexpected(tree.error());
  if (const auto result = tree->member(0, "result"); answer->status == 200 && result) {
    checked.got = tree->text(*result);
    checked.call_id = text_of(*tree, 0, "call_id");
    checked.milliseconds = text_of(*tree, 0, "execution_time");
    judge_result(example, schema, checked);
    return checked;
  }
  const auto error = tree->member(0, "error");
  if (!error) return std::unexpected(show_error(*answer, style));
  const std::string code = text_of(*tree, *error, "code");
  if (code == "UNAVAILABLE" && example.error_code != code)
    return std::unexpected(show_error(*answer, style));
  checked.got = tree->text(*error);
  if (const auto details = tree->member(*error, "details"))
    checked.call_id = text_of(*tree, *details, "call_id");
  judge_error(example, *tree, *error, checked);
  return checked;
}

std::string as_json(const std::string& name, const std::vector<Checked>& all, std::size_t failed) {
  std::string out = "{\"function\":";
  append_json_string(out, name);
  out += fmt::format(",\"passed\":{},\"failed\":{},\"examples\":[", all.size() - failed, failed);
  for (const Checked& one : all) {
    if (out.back() == '}') out += ",";
    out += "{\"name\":";
    append_json_string(out, one.name);
    out += fmt::format(",\"passed\":{},\"call_id\":", one.problems.empty());
    append_json_string(out, one.call_id);
    out += fmt::format(",\"got\":{},\"problems\":[", one.got);
    for (std::size_t i = 0; i < one.problems.size(); ++i) {
      if (i > 0) out += ",";
      append_json_string(out, one.problems[i]);
    }
    out += "]}";
  }
  return out + "]}\n";
}

std::string as_table(const std::string& name, const std::vector<Checked>& all, std::size_t failed,
                     const Style& style) {
  std::vector<std::vector<std::string>> rows{
      {style.bold("EXAMPLE"), style.bold("OUTCOME"), style.bold("MS"), style.bold("CALL")}};
  for (const Checked& one : all) {
    rows.push_back({one.name, one.problems.empty() ? style.good("passed") : style.bad("failed"),
                    one.milliseconds.empty() ? "-" : one.milliseconds,
                    one.call_id.empty() ? "-" : one.call_id});
  }
  std::string out = align(rows);
  for (const Checked& one : all) {
    if (one.problems.empty()) continue;
    out += fmt::format("\n{}\n", style.bold(one.name));
    for (const std::string& problem : one.problems) out += fmt::format("  {}\n", problem);
  }
  out += failed == 0 && all.size() == 1
             ? fmt::format("\nThe example of {} answers as it says.\n", name)
         : failed == 0
             ? fmt::format("\nAll {} examples of {} answer as they say.\n", all.size(), name)
             : fmt::format("\n{} of {} examples of {} do not answer as they say.\n", failed,
                           all.size(), name);
  return out;
}

}  // namespace

CommandResult functions_check(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("functions check",
              "Calls a function with each of its examples and compares what it answers.\n"
              "The exit code is 0, or 1: an example fails, 2: the command is wrong, 3: no server "
              "takes the calls.",
              "seam functions check nodejs-calculator");
  NamedCommand command(flags, kFunctionName, "As JSON");
  if (auto stop = command.parse(arguments)) return *std::move(stop);
  const std::string& name = command.name();
  const std::string path = "/api/v1/functions/" + name;
  const Answer answer = command.ask({.path = path}, options);
  if (!answer) return answer.error();
  const auto tree = tree_of(*answer);
  if (!tree) return tree.error();
  const auto stored = tree->member(0, "examples");
  const auto read = functions::parse_examples(stored ? tree->text(*stored) : "[]", {});
  if (!read) return {.exit_code = kFailed, .error = "its examples: " + read.error().message + "\n"};
  if (read->empty()) {
    return {
        .exit_code = kUsage,
        .error = fmt::format("{} has no examples. Give some: seam functions put {} FILE --examples "
                             "EXAMPLES.json\n",
                             name, name)};
  }
  const auto described = tree->member(0, "schema");
  const bool has_schema = described && (*tree)[*described].kind == Kind::kObject;
  const auto schema =
      functions::FunctionSchema::compile(has_schema ? tree->text(*described) : std::string_view());
  const Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());
  std::vector<Checked> all;
  for (const FunctionExample& example : *read) {
    auto checked = run(example, schema ? *schema : functions::FunctionSchema(), *server,
                       path + "/invoke", options.error_style);
    if (!checked) return checked.error();
    all.push_back(*std::move(checked));
  }
  const auto failed = static_cast<std::size_t>(
      std::ranges::count_if(all, [](const Checked& one) { return !one.problems.empty(); }));
  return {.exit_code = failed == 0 ? kOk : kFailed,
          .out = command.json() ? as_json(name, all, failed)
                                : as_table(name, all, failed, options.style)};
}

}  // namespace seam::cli
