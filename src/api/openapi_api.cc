#include "api/openapi_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cctype>

#include "api/schemas.h"
#include "base/check.h"

namespace seam::api {
namespace {
namespace json = boost::json;

json::object parsed(std::string_view text) {
  boost::system::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error);
  CHECK(!error && value.is_object());
  return value.get_object();
}

// A member that is an object, made where it is not there.
json::object& object_in(json::object& outer, std::string_view name) {
  json::value& value = outer[json::string_view(name.data(), name.size())];
  return value.is_object() ? value.get_object() : value.emplace_object();
}

json::object reference(const std::string& schema, const json::object& schemas) {
  CHECK(schemas.contains(schema));
  return {{"$ref", "#/components/schemas/" + schema}};
}

bool is_body(http::ParameterPlace place) {
  return place == http::ParameterPlace::kBody || place == http::ParameterPlace::kFormOrBody;
}

json::object parameter(const http::ParameterInfo& info, const http::RouteInfo& route) {
  std::string_view place = "query";
  if (info.place == http::ParameterPlace::kPath) place = "path";
  if (info.place == http::ParameterPlace::kHeader) place = "header";
  json::object schema = {{"type", info.type}};
  // %00 is refused in any path or query (http/routes.cc).
  if (info.type == "string") schema["pattern"] = "^[^\\u0000]*$";
  json::object out = {{"name", info.name}, {"in", json::string_view(place)}};
  const auto note = std::ranges::find(route.notes, info.name, &http::ParameterNote::name);
  if (note != route.notes.end()) {
    out["description"] = note->description;
    if (!note->schema.empty())
      for (const auto& [key, value] : parsed(note->schema)) schema[key] = value;
  }
  out["required"] = info.required;
  out["schema"] = std::move(schema);
  return out;
}

void add_response(json::object& responses, const http::ResponseInfo& info,
                  const json::object& schemas) {
  json::object& response = object_in(responses, std::to_string(info.status));
  response["description"] = info.description;
  const bool json_body = !info.schema.empty();
  if (!json_body && info.content_type == "application/json") return;  // no body
  object_in(response, "content")[info.content_type] = json::object{
      {"schema", json_body ? reference(info.schema, schemas) : json::object{{"type", "string"}}}};
}

// What any route of its kind answers, whether it declares it or not.
void add_common(json::object& responses, const http::RouteInfo& route,
                const json::object& schemas) {
  std::vector<http::ResponseInfo> common = {
      {403, "Host or Origin is not this machine's, or a proxy forwarded the request.", "Error"}};
  if (!route.parameters.empty()) common.push_back({400, "The request is malformed.", "Error"});
  if (route.body_bytes_max > 0) {
    common.push_back(
        {413, fmt::format("The body is over {} bytes.", route.body_bytes_max), "Error"});
    common.push_back({415, "The body is of another type.", "Error"});
    common.push_back({503, "Busy, draining, or a part is away: try again later.", "Error"});
  }
  for (const http::ResponseInfo& info : common)
    if (!responses.contains(std::to_string(info.status))) add_response(responses, info, schemas);
  responses["default"] =
      json::object{{"description", "Any other error."},
                   {"content", {{"application/json", {{"schema", reference("Error", schemas)}}}}}};
}

json::object operation(const http::RouteInfo& route, const json::object& schemas) {
  json::object out = {{"operationId", route.operation}, {"summary", route.summary}};
  json::array parameters;
  for (const http::ParameterInfo& info : route.parameters) {
    // OpenAPI 3.1, section 4.8.12.1: a header named Accept is told by the responses' content.
    if (!is_body(info.place) && info.name != "Accept") parameters.push_back(parameter(info, route));
  }
  if (!parameters.empty()) out["parameters"] = std::move(parameters);
  if (!route.request_schema.empty()) {
    json::object content = {
        {"application/json", {{"schema", reference(route.request_schema, schemas)}}}};
    if (!route.form_schema.empty())
      content["multipart/form-data"] = {{"schema", reference(route.form_schema, schemas)}};
    // A body may be left out where it need not have any member.
    const bool required = schemas.at(route.request_schema).as_object().contains("required");
    out["requestBody"] =
        json::object{{"required", required},
                     {"description", fmt::format("At most {} bytes.", route.body_bytes_max)},
                     {"content", std::move(content)}};
  }
  json::object responses;
  for (const http::ResponseInfo& info : route.responses) add_response(responses, info, schemas);
  add_common(responses, route, schemas);
  out["responses"] = std::move(responses);
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

}  // namespace

std::string openapi_document(const std::vector<http::RouteInfo>& routes, std::string_view version) {
  json::object schemas = parsed(schemas_json());
  json::object paths;
  for (const http::RouteInfo& route : routes) {
    object_in(paths, route.path)[lower(to_string(route.method))] = operation(route, schemas);
  }
  return json::serialize(json::object{
      {"openapi", "3.1.0"},
      {"jsonSchemaDialect", "https://json-schema.org/draft/2020-12/schema"},
      {"info",
       {{"title", "Seam"},
        {"version", json::string_view(version.data(), version.size())},
        {"description", "A host for functions in JavaScript, Python, Rust and WebAssembly."}}},
      {"paths", std::move(paths)},
      {"components", {{"schemas", std::move(schemas)}}}});
}

void OpenapiApi::mount(http::RouteTable& routes) {
  using enum http::Method;
  routes.add({.method = kGet,
              .path = "/openapi.json",
              .operation = "openapi",
              .summary = "Tells what all routes take and give, as an OpenAPI 3.1 document.",
              .responses = {{200, "The document.", "OpenApi"}}},
             http::bind(this, &OpenapiApi::openapi));
}

Task<http::Response> OpenapiApi::openapi(http::Request&) {
  co_return http::Response::json(200, document_);
}

}  // namespace seam::api
