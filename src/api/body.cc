#include "api/body.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json.hpp>

#include "functions/whole_number.h"

namespace seam::api {
namespace {

// One level for the body itself: what is in it may be nested as deep as any JSON we take.
constexpr JsonTextLimits kBodyLimits{.depth_max = JsonTextLimits{}.depth_max + 1};

std::unexpected<Error> wrong(std::string_view name, std::string_view value,
                             std::string_view right) {
  const std::string_view shown = value.substr(0, 60);
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("\"{}\" is {}{}: it must be {}", name, shown,
                          shown.size() < value.size() ? "…" : "", right));
}

}  // namespace

Result<Body> Body::read(std::string_view text, std::initializer_list<std::string_view> known) {
  Body body;
  if (text.empty()) return body;
  SEAM_ASSIGN_OR_RETURN(body.members_, JsonObjectText::parse(text, kBodyLimits));
  for (const JsonObjectText::Member& member : body.members_.members()) {
    const std::string name = decode_json_string(fmt::format("\"{}\"", member.name));
    if (std::ranges::find(known, name) == known.end()) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("\"{}\" is not a member of this body: it may have {}",
                              name.substr(0, 100), fmt::join(known, ", ")));
    }
  }
  return body;
}

std::optional<std::string_view> Body::raw(std::string_view name) const {
  const auto value = members_.find(name);
  if (value == "null") return std::nullopt;
  return value;
}

Result<std::optional<std::string>> Body::string(std::string_view name) const {
  const auto value = raw(name);
  if (!value) return std::nullopt;
  if (!is_json_string(*value)) return wrong(name, *value, "a string");
  return decode_json_string(*value);
}

Result<std::optional<std::string_view>> Body::object(std::string_view name) const {
  const auto value = raw(name);
  if (value && !is_json_object(*value)) return wrong(name, *value, "an object");
  return value;
}

Result<std::optional<std::int64_t>> Body::integer(std::string_view name) const {
  const auto value = raw(name);
  if (!value) return std::nullopt;
  const std::optional<std::int64_t> number = functions::whole_number(*value);
  if (!number) return wrong(name, *value, "a whole number");
  return number;
}

Result<std::vector<std::string>> Body::strings(std::string_view name) const {
  std::vector<std::string> strings;
  const auto value = raw(name);
  if (!value) return strings;
  boost::system::error_code error;
  const boost::json::value parsed =
      boost::json::parse(boost::json::string_view(value->data(), value->size()), error);
  if (error || !parsed.is_array()) return wrong(name, *value, "an array of strings");
  for (const boost::json::value& element : parsed.get_array()) {
    if (!element.is_string()) return wrong(name, *value, "an array of strings");
    strings.emplace_back(std::string_view(element.get_string()));
  }
  return strings;
}

}  // namespace seam::api
