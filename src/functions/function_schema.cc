#include "functions/function_schema.h"

#include <fmt/format.h>

#include "base/json_text.h"

namespace seam::functions {
namespace {

std::unexpected<Error> mismatch(std::string_view what,
                                const std::vector<SchemaViolation>& violations) {
  std::string details = R"({"errors":[)";
  for (const SchemaViolation& violation : violations) {
    if (details.back() == '}') details.push_back(',');
    details.append(R"({"pointer":)");
    append_json_string(details, violation.instance);
    details.append(R"(,"message":)");
    append_json_string(details, violation.message);
    details.append(R"(,"schema":)");
    append_json_string(details, violation.schema);
    details.push_back('}');
  }
  const bool more = violations.size() >= SchemaLimits::kViolationsMax;
  details.append(more ? R"(],"more":true})" : R"(],"more":false})");
  const SchemaViolation& first = violations.front();
  std::string message = fmt::format(
      "{}{} {}", what, first.instance.empty() ? "" : fmt::format(" at {}", first.instance),
      first.message);
  if (violations.size() > 1) {
    message.append(
        fmt::format(" ({}{} more in details)", more ? "at least " : "", violations.size() - 1));
  }
  return fail(ErrorCode::kInvalidArgument, std::move(message), std::move(details));
}

Result<void> check(const std::optional<JsonSchema>& schema, std::string_view what,
                   std::string_view value) {
  if (!schema) return {};
  Result<std::vector<SchemaViolation>> violations = schema->check(value);
  if (!violations) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}", what, violations.error().message),
                R"({"errors":[],"more":true})");
  }
  if (violations->empty()) return {};
  return mismatch(what, *violations);
}

}  // namespace

Result<FunctionSchema> FunctionSchema::compile(std::string_view text) {
  FunctionSchema schema;
  if (text.empty()) return schema;
  SEAM_ASSIGN_OR_RETURN(const JsonObjectText members, JsonObjectText::parse(text));
  for (const JsonObjectText::Member& member : members.members()) {
    if (member.name == "params") {
      SEAM_ASSIGN_OR_RETURN(schema.params_, JsonSchema::compile(member.value, "/params"));
    } else if (member.name == "result") {
      SEAM_ASSIGN_OR_RETURN(schema.result_, JsonSchema::compile(member.value, "/result"));
    } else {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("\"{}\" is not a member of it: give {{\"params\": <JSON Schema>, "
                              "\"result\": <JSON Schema>}}, or one of them",
                              member.name.substr(0, 60)),
                  R"({"pointer":""})");
    }
  }
  return schema;
}

Result<void> FunctionSchema::check_params(std::string_view params) const {
  return check(params_, "params", params);
}

Result<void> FunctionSchema::check_result(std::string_view result) const {
  return check(result_, "the result", result);
}

}  // namespace seam::functions
