#include "api/function_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>

#include "base/json_text.h"
#include "functions/options.h"

namespace seam::api {
namespace {
namespace json = boost::json;

json::object summary(const functions::Function& function) {
  const store::FunctionRow& row = function.row;
  return {{"language", row.language},
          {"title", row.title},
          {"language_title", row.language_title},
          {"description", row.description},
          {"version", row.version},
          {"tags", json::array(row.tags.begin(), row.tags.end())},
          {"created_at", format_rfc3339(row.created_at)},
          {"updated_at", format_rfc3339(row.updated_at)}};
}

json::value parse_stored(std::string_view text) {
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = 1024;
  json::value parsed = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  return error ? json::value(nullptr) : parsed;
}

json::object implementation(const functions::Function& function,
                            const functions::Implementation& one) {
  json::value options = parse_stored(functions::format_options(one.options));
  // A value may be a secret: only the names are shown.
  for (auto& [name, value] : options.as_object()["environment"].as_object()) value = "***";
  const bool routed = std::ranges::any_of(
      function.routes, [&](const auto& route) { return route.implementation_id == one.row.id; });
  return {{"id", one.row.id},
          {"version", one.row.version},
          {"runtime", one.row.runtime},
          {"engine", one.row.engine},
          {"hash", one.row.hash},
          {"content_bytes", one.row.content_bytes},
          {"created_at", format_rfc3339(one.row.created_at)},
          {"options", std::move(options)},
          {"routed", routed}};
}

// Takes the closing brace off, so that members can follow which are kept as the text that came.
std::string open_ended(std::string object) {
  object.pop_back();
  return object;
}

}  // namespace

std::string render_summary(const functions::Function& function) {
  return json::serialize(summary(function));
}

std::string render_function(const functions::Function& function) {
  json::array implementations;
  json::array route;
  for (const store::RouteRow& row : function.routes) {
    const functions::ImplementationPtr* routed = function.by_id(row.implementation_id);
    if (routed == nullptr) continue;
    route.push_back(json::object{{"implementation_id", row.implementation_id},
                                 {"version", (*routed)->row.version},
                                 {"weight", row.weight},
                                 {"shadow", row.shadow}});
    implementations.push_back(implementation(function, **routed));
  }
  json::object body = summary(function);
  body["implementations"] = std::move(implementations);
  body["route"] = std::move(route);
  std::string out = open_ended(json::serialize(body));
  // Of the version that answers: what a caller has to keep to.
  const functions::ImplementationPtr* answering = function.choose(0);
  const bool none = answering == nullptr;
  const std::string& schema = none ? std::string() : (*answering)->row.schema;
  const std::string& examples = none ? std::string() : (*answering)->row.examples;
  out.append(R"(,"schema":)").append(schema.empty() ? "null" : schema);
  out.append(R"(,"examples":)").append(examples.empty() ? "[]" : examples).push_back('}');
  return out;
}

std::string render_versions(const functions::Function& function) {
  json::array versions;
  for (const functions::ImplementationPtr& one : function.implementations)
    versions.push_back(implementation(function, *one));
  return json::serialize(json::object{{"language_title", function.row.language_title},
                                      {"versions", std::move(versions)}});
}

}  // namespace seam::api
