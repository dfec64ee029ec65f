#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/base64.h"
#include "base/json_text.h"
#include "cli/api_client.h"
#include "cli/function_commands.h"
#include "config/setting.h"

namespace seam::cli {
namespace {

struct Put {
  std::string name;
  std::string file;
  std::string runtime;
  std::string entry;
  std::string description;
  std::string schema;
  std::string examples;
  std::string concurrency;
  std::string engine;
  std::string fallback;
  bool own_process = false;
  std::vector<std::string> tags;
  std::vector<std::string> environment;
  std::vector<std::string> limits;
  bool cacheable = false;
  bool idempotent = false;
};

// A JSON object under construction.
class ObjectText {
 public:
  void raw(std::string_view name, std::string_view json) {
    text_ += text_.size() > 1 ? "," : "";
    append_json_string(text_, name);
    text_.append(":").append(json);
  }
  void string(std::string_view name, std::string_view value) {
    std::string quoted;
    append_json_string(quoted, value);
    raw(name, quoted);
  }
  [[nodiscard]] bool empty() const { return text_.size() == 1; }
  [[nodiscard]] std::string finish() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

// A whole number, or the flag's name with what would be right.
Result<std::string> whole(std::string_view flag, const std::string& value) {
  if (!value.empty() && value.size() < 16 &&
      value.find_first_not_of("0123456789") == std::string::npos)
    return value;
  return fail(ErrorCode::kInvalidArgument, fmt::format("{} {}: not a whole number.", flag, value));
}

// JSON in a file, or as it stands where it begins like JSON.
Result<std::string> described(std::string_view flag, const std::string& given) {
  const bool json = given.starts_with('{') || given.starts_with('[');
  Result<std::string> text = json ? Result<std::string>(given) : read_file(given);
  if (!text) return fail(text.error().code, fmt::format("{} {}", flag, text.error().message));
  const Result<std::string_view> value = check_json(*text);
  if (!value)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} {}: {}", flag, given.substr(0, 60), value.error().message));
  return std::string(*value);
}

void add_content(ObjectText& body, const std::string& content) {
  std::string quoted;
  append_json_string(quoted, content);
  // What is not UTF-8 cannot be a JSON string.
  if (decode_json_string(quoted) == content) {
    body.raw("content", quoted);
  } else {
    body.string("content", encode_base64(content));
    body.string("encoding", "base64");
  }
}

Result<std::string> body_of(const Put& put) {
  ObjectText body;
  SEAM_ASSIGN_OR_RETURN(const std::string content, read_file(put.file));
  if (content.empty())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is empty: there is nothing to put.", put.file));
  add_content(body, content);
  if (!put.runtime.empty()) body.string("runtime", put.runtime);
  if (!put.entry.empty()) body.string("entry", put.entry);
  if (!put.description.empty()) body.string("description", put.description);
  if (!put.schema.empty()) {
    SEAM_ASSIGN_OR_RETURN(const std::string schema, described("--schema", put.schema));
    body.raw("schema", schema);
  }
  if (!put.examples.empty()) {
    SEAM_ASSIGN_OR_RETURN(const std::string examples, described("--examples", put.examples));
    body.raw("examples", examples);
  }
  if (!put.tags.empty()) {
    std::string tags;
    for (const std::string& tag : put.tags) {
      tags += tags.empty() ? "[" : ",";
      append_json_string(tags, tag);
    }
    body.raw("tags", tags + "]");
  }
  ObjectText environment;
  for (const std::string& variable : put.environment) {
    const std::size_t equals = variable.find('=');
    if (equals == 0 || equals == std::string::npos)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("--env {}: write NAME=VALUE.", variable));
    environment.string(variable.substr(0, equals), variable.substr(equals + 1));
  }
  if (!environment.empty()) body.raw("environment", environment.finish());
  ObjectText limits;
  for (const std::string& limit : put.limits) {
    const std::size_t equals = std::min(limit.find('='), limit.size());
    const Result<std::int64_t> number =
        config::parse_bytes(limit.substr(std::min(equals + 1, limit.size())));
    if (equals == 0 || !number) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("--limit {}: write NAME=NUMBER, such as memory_bytes_max=128MiB or "
                              "timeout_ms=5000.",
                              limit));
    }
    limits.raw(limit.substr(0, equals), fmt::format("{}", *number));
  }
  if (!limits.empty()) body.raw("limits", limits.finish());
  if (!put.concurrency.empty()) {
    SEAM_ASSIGN_OR_RETURN(const std::string concurrency, whole("--concurrency", put.concurrency));
    body.raw("concurrency", concurrency);
  }
  if (!put.engine.empty()) body.string("engine", put.engine);
  if (!put.fallback.empty()) body.string("fallback", put.fallback);
  if (put.own_process) body.string("isolation", "process");
  if (put.cacheable) body.raw("cacheable", "true");
  if (put.idempotent) body.raw("idempotent", "true");
  return body.finish();
}

// What has happened, and what may be done next.
std::string show(const Put& put, const JsonTree& tree, bool created, const Style& style) {
  const std::string version = text_of(tree, 0, "version");
  std::string out = created ? fmt::format("{} is there, and answers calls.\n", style.bold(put.name))
                            : fmt::format("{} has version {} now, and its calls go there.\n",
                                          style.bold(put.name), version);
  std::string params = "{}";
  std::size_t examples_count = 0;
  if (const auto examples = tree.member(0, "examples"); examples && tree[*examples].count > 0) {
    examples_count = tree[*examples].count;
    if (const auto first = tree.member(*examples + 1, "params")) params = tree.text(*first);
  }
  std::vector<std::vector<std::string>> rows;
  rows.push_back(
      {"  call it", fmt::format("seam invoke {} --params {}", put.name, quoted_for_shell(params))});
  if (examples_count > 0)
    rows.push_back({"  check it", fmt::format("seam functions check {}", put.name)});
  std::int64_t number = 0;
  std::from_chars(version.data(), version.data() + version.size(), number);
  if (!created) {
    rows.push_back({"  go back", fmt::format("seam functions route {} {}", put.name, number - 1)});
  }
  return out + align(rows);
}

}  // namespace

CommandResult functions_put(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("functions put",
              "Registers a function, or a new version of it, and sends its calls there.\n"
              "A new version has what is given here and nothing of the version before.",
              R"(seam functions put nodejs-sum sum.js --schema schema.json --env REGION=eu
  seam functions put wasm-stats stats.wasm --description "Counts words"
  echo 'return event.params.a' | seam functions put nodejs-echo -)");
  Put put;
  std::string url;
  bool json = false;
  flags.option("NAME", put.name, "The function: <language>-<title>");
  flags.option("FILE", put.file, "Its source or WebAssembly module; - for stdin");
  flags.option("--runtime", put.runtime, "The runtime, where the name does not say it", "RUNTIME");
  flags.option("--entry", put.entry, "The function or export to call", "NAME");
  flags.option("--description", put.description, "What it does, in a sentence");
  flags.option("--schema", put.schema, R"({"params", "result"}: a file, or the JSON itself)",
               "FILE");
  flags.option("--examples", put.examples, "Calls with their answers: a file, or the JSON itself",
               "FILE");
  flags.option("--tag", put.tags, "A tag; may be given again");
  flags.option("--env", put.environment, "A variable for its worker; may be given again",
               "NAME=VALUE");
  flags.option("--limit", put.limits,
               "A limit of its calls, such as memory_bytes_max=128MiB or timeout_ms=5000; may be "
               "given again",
               "NAME=N");
  flags.option("--concurrency", put.concurrency, "Calls at once", "N");
  flags.option("--engine", put.engine,
               "The WebAssembly engine that runs it: wasmtime, wazero or wasmi", "ENGINE");
  flags.option("--fallback", put.fallback, "The engine where that one cannot be loaded", "ENGINE");
  flags.flag("--own-process", put.own_process,
             "Its WebAssembly runs in processes of its own (isolation: process)");
  flags.flag("--cacheable", put.cacheable, "Results of equal calls may be answered again");
  flags.flag("--idempotent", put.idempotent, "A call may be run twice");
  flags.flag("--json", json, "Print the server's answer as it came");
  flags.add_server(url);
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (const std::string problem = problem_of_name(put.name); !problem.empty())
    return refuse({ErrorCode::kInvalidArgument, problem, {}});
  if (put.file.empty()) {
    return refuse(
        {ErrorCode::kInvalidArgument,
         fmt::format("Give the file too: seam functions put {} FILE, or - for stdin.", put.name),
         {}});
  }
  const Result<std::string> body = body_of(put);
  if (!body) return refuse(body.error());
  const Result<std::string> server = flags.server(options.environment);
  if (!server) return refuse(server.error());
  const Answer answer = ask({.method = http::Method::kPut,
                             .url = *server,
                             .path = "/api/v1/functions/" + put.name,
                             .body = *body,
                             .json = json},
                            options.error_style);
  if (!answer) return answer.error();
  if (json) return as_it_came(*answer);
  const auto tree = tree_of(*answer);
  if (!tree) return tree.error();
  return {.out = show(put, *tree, answer->status == 201, options.style)};
}

}  // namespace seam::cli
