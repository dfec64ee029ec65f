#include "functions/call_context.h"

#include <fmt/format.h>

#include "base/json_text.h"
#include "functions/options.h"
#include "functions/whole_number.h"

namespace seam::functions {
namespace {

std::unexpected<Error> bad(std::string_view key, std::string_view value, std::string_view right) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("context.{} is {}: it must be {}", key, value.substr(0, 80), right));
}

}  // namespace

Result<CallContext> CallContext::parse(std::string_view text) {
  CallContext context;
  if (text.empty()) return context;
  if (!is_json_object(text)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("context is {}: it must be an object", text.substr(0, 80)));
  }
  SEAM_ASSIGN_OR_RETURN(const JsonObjectText members, JsonObjectText::parse(text));
  context.text = text;
  if (const auto value = members.find("timeout_ms")) {
    const std::optional<std::int64_t> timeout_ms = whole_number(*value);
    if (!timeout_ms || *timeout_ms < 1 || *timeout_ms > kTimeoutMsMax) {
      return bad("timeout_ms", *value, fmt::format("a whole number from 1 to {}", kTimeoutMsMax));
    }
    context.timeout_ms = timeout_ms;
  }
  if (const auto value = members.find("retain_session")) {
    if (*value != "true" && *value != "false")
      return bad("retain_session", *value, "true or false");
    context.retain_session = *value == "true";
  }
  if (const auto value = members.find("cacheable")) {
    if (*value != "true" && *value != "false") return bad("cacheable", *value, "true or false");
    context.cacheable = *value == "true";
  }
  if (const auto value = members.find("user_id")) {
    if (!is_json_string(*value)) return bad("user_id", *value, "a string");
    context.user_id = decode_json_string(*value);
  }
  if (const auto value = members.find("environment")) {
    if (is_json_object(*value)) {
      SEAM_ASSIGN_OR_RETURN(context.environment, parse_environment(*value));
    } else if (!is_json_string(*value)) {
      return bad("environment", *value, "an object of names and strings, or a string");
    }
  }
  if (const auto value = members.find("compile_options")) {
    if (!is_json_object(*value)) return bad("compile_options", *value, "an object");
    context.compile_options = *value;
    Result<runtimes::EngineWish> wish = parse_wish(*value);
    if (!wish) {
      wish.error().message.insert(0, kCompileOptionsKey);
      return std::unexpected(std::move(wish).error());
    }
    context.wish = *std::move(wish);
  }
  return context;
}

}  // namespace seam::functions
