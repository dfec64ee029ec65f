#include "api/functions_api.h"

#include <fmt/format.h>

#include "api/body.h"
#include "api/call_response.h"
#include "api/door.h"
#include "api/errors.h"
#include "api/function_json.h"
#include "api/paging.h"
#include "api/recorded_headers.h"
#include "api/schemas.h"
#include "base/base64.h"
#include "base/json_text.h"
#include "functions/options.h"
#include "packages/archive.h"

namespace seam::api {

using functions::FunctionPtr;

FunctionsApi::FunctionsApi(functions::Registry& registry, functions::Executor& executor,
                           const functions::RuntimeMap& names,
                           functions::ImplementationOptions defaults, BodyLimits limits)
    : registry_(registry),
      executor_(executor),
      names_(names),
      defaults_(std::move(defaults)),
      limits_(limits) {}

void FunctionsApi::mount(http::RouteTable& routes) {
  using enum http::Method;
  routes.add({.method = kGet,
              .path = "/api/v1/functions",
              .operation = "listFunctions",
              .summary = "Lists functions by name.",
              .responses = {{200, "A page of functions.", "FunctionPage"}},
              .notes = {{"language", "Only functions whose names begin with this language."},
                        {"user_id", "Only functions that this user has put."},
                        {"type", "Only functions that this runtime runs."},
                        kPageNote,
                        kPerPageNote}},
             http::bind(this, &FunctionsApi::list));
  routes.add(
      {.method = kGet,
       .path = "/api/v1/functions/{language_title}",
       .operation = "getFunction",
       .summary = "Tells of one function: its schema, examples, implementations and route.",
       .responses = {{200, "The function.", "Function"}, {404, "No such function.", "Error"}},
       .notes = {kNameNote}},
      http::bind(this, &FunctionsApi::get));
  routes.add(
      {.method = kPut,
       .path = "/api/v1/functions/{language_title}",
       .operation = "putFunction",
       .summary = "Registers a function, or a new version of it, and routes its calls there.",
       .responses = {{200, "A new version.", "Function"},
                     {201, "A new function.", "Function"},
                     {400, "The content is not acceptable.", "Error"}},
       .body_bytes_max = limits_.put_body_bytes_max(),
       .request_schema = "PutFunction",
       .form_schema = "PutFunctionForm",
       .notes = {kNameNote}},
      http::bind(this, &FunctionsApi::put));
  routes.add({.method = kDelete,
              .path = "/api/v1/functions/{language_title}",
              .operation = "deleteFunction",
              .summary = "Removes a function.",
              .responses = {{204, "Removed."}, {404, "No such function.", "Error"}},
              .notes = {kNameNote}},
             http::bind(this, &FunctionsApi::remove));
  routes.add(
      {.method = kGet,
       .path = "/api/v1/functions/{language_title}/versions",
       .operation = "listVersions",
       .summary = "Lists a function's versions, newest first.",
       .responses = {{200, "The versions.", "VersionList"}, {404, "No such function.", "Error"}},
       .notes = {kNameNote}},
      http::bind(this, &FunctionsApi::versions));
  routes.add({.method = kPut,
              .path = "/api/v1/functions/{language_title}/route",
              .operation = "routeFunction",
              .summary = "Sends a function's calls to one of its versions, at once.",
              .responses = {{200, "The function.", "Function"},
                            {404, "No such function or version.", "Error"},
                            {409, "It was deleted meanwhile.", "Error"}},
              .body_bytes_max = BodyLimits::kEnvelopeBytesMax,
              .request_schema = "RouteFunction",
              .notes = {kNameNote}},
             http::bind(this, &FunctionsApi::route));
  routes.add({.method = kPost,
              .path = "/api/v1/functions/{language_title}/invoke",
              .operation = "invokeFunction",
              .summary = "Calls a function once, without a session.",
              .responses = {{200, "The result.", "CallAnswer"},
                            {404, "No such function.", "Error"},
                            {500, "The function failed.", "Error"},
                            {504, "Out of time.", "Error"}},
              .body_bytes_max = limits_.call_body_bytes_max(),
              .request_schema = "InvokeFunction",
              .notes = {kNameNote,
                        {"version", "This version instead of the routed one.",
                         R"({"minimum":1,"maximum":9223372036854775807})"},
                        kCacheNote}},
             http::bind(this, &FunctionsApi::invoke));
}

Result<FunctionPtr> FunctionsApi::find(std::string_view language_title) const {
  if (const FunctionPtr* found = registry_.catalogue()->find(language_title)) return *found;
  SEAM_RETURN_IF_ERROR(names_.resolve(language_title));
  return fail(ErrorCode::kNotFound, fmt::format("no function '{}'", language_title));
}

Task<http::Response> FunctionsApi::list(http::Request& request,
                                        http::Query<"language", std::string> language,
                                        http::Query<"user_id", std::string> user_id,
                                        http::Query<"type", std::string> type,
                                        http::Query<"page", int> page,
                                        http::Query<"per_page", int> per_page) {
  const Result<Paging> paging = Paging::of(page.value, per_page.value);
  if (!paging) co_return error_response(answer_id(request), paging.error());
  std::vector<FunctionPtr> matching;
  for (FunctionPtr& function : registry_.catalogue()->all()) {
    if (language.value && function->row.language != *language.value) continue;
    if (user_id.value && function->row.created_by != *user_id.value) continue;
    if (type.value) {
      const functions::ImplementationPtr* routed = function->choose(0);
      if (routed == nullptr || (*routed)->row.runtime != *type.value) continue;
    }
    matching.push_back(std::move(function));
  }
  std::string out = fmt::format(R"({{"total":{},"page":{},"per_page":{},"functions":[)",
                                matching.size(), paging->page, paging->per_page);
  const std::size_t end = std::min(matching.size(), paging->skip() + paging->per_page);
  for (std::size_t i = paging->skip(); i < end; ++i) {
    if (i > paging->skip()) out.push_back(',');
    out.append(render_summary(*matching[i]));
  }
  out.append("]}");
  co_return http::Response::json(200, std::move(out));
}

Task<http::Response> FunctionsApi::get(http::Request& request, Name name) {
  const Result<FunctionPtr> function = find(name.value);
  if (!function) co_return error_response(answer_id(request), function.error());
  co_return http::Response::json(200, render_function(**function));
}

Task<http::Response> FunctionsApi::versions(http::Request& request, Name name) {
  const Result<FunctionPtr> function = find(name.value);
  if (!function) co_return error_response(answer_id(request), function.error());
  co_return http::Response::json(200, render_versions(**function));
}

namespace {

// A put's members, and its content where that is not one of them.
struct PutParts {
  std::string_view manifest;
  std::optional<std::string_view> content;
};

Result<PutParts> read_parts(const http::FormOrJsonBody& body) {
  if (body.form.empty()) return PutParts{.manifest = body.text, .content = {}};
  SEAM_ASSIGN_OR_RETURN(const std::vector<http::FormPart> parts,
                        http::parse_form(body.form, body.text));
  std::optional<std::string_view> manifest;
  std::optional<std::string_view> content;
  for (const http::FormPart& part : parts) {
    if (part.name != "manifest" && part.name != "content") {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("the part \"{}\" is not expected: send manifest (JSON) and content "
                              "(bytes)",
                              part.name.substr(0, 60)));
    }
    (part.name == "manifest" ? manifest : content) = part.content;
  }
  if (!content || content->empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "the part \"content\" is missing: the function's source text, module or archive");
  }
  return PutParts{.manifest = manifest.value_or("{}"), .content = content};
}

// What a JSON body holds as text.
Result<std::string> read_content(const Body& body) {
  SEAM_ASSIGN_OR_RETURN(std::optional<std::string> content, body.string("content"));
  if (!content || content->empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "\"content\" is missing: the function's source text, or its module or archive in "
                "base64");
  }
  SEAM_ASSIGN_OR_RETURN(const std::optional<std::string> encoding, body.string("encoding"));
  if (encoding == "base64") return decode_base64(*content);
  if (encoding && *encoding != "utf-8") {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("\"encoding\" is \"{}\": it must be utf-8 or base64", encoding->substr(0, 60)));
  }
  return *std::move(content);
}

}  // namespace

Result<functions::PutRequest> FunctionsApi::read_members(std::string_view language_title,
                                                         const Body& body) const {
  SEAM_ASSIGN_OR_RETURN(const functions::ResolvedName name, names_.resolve(language_title));
  functions::PutRequest request;
  request.language_title = language_title;
  SEAM_ASSIGN_OR_RETURN(const std::optional<std::string> runtime, body.string("runtime"));
  request.runtime = runtime.value_or(name.runtime);
  SEAM_ASSIGN_OR_RETURN(std::optional<std::string> description, body.string("description"));
  request.description = std::move(description).value_or("");
  SEAM_ASSIGN_OR_RETURN(const std::optional<std::string_view> schema, body.object("schema"));
  request.schema = schema.value_or(std::string_view());
  if (const auto examples = body.raw("examples")) {
    if (!examples->starts_with('['))
      return fail(ErrorCode::kInvalidArgument, "\"examples\" must be an array");
    request.examples = *examples;
  }
  SEAM_ASSIGN_OR_RETURN(request.tags, body.strings("tags"));
  std::string options = "{";
  for (const std::string_view key : {"entry", "limits", "cacheable", "idempotent", "environment",
                                     "concurrency", "engine", "fallback", "isolation"}) {
    const auto value = body.raw(key);
    if (!value) continue;
    if (options.size() > 1) options.push_back(',');
    options.append("\"").append(key).append("\":").append(*value);
  }
  options.push_back('}');
  SEAM_ASSIGN_OR_RETURN(request.options, functions::parse_options(options, defaults_));
  return request;
}

Result<functions::PutRequest> FunctionsApi::read_manifest(std::string_view language_title,
                                                          std::string_view manifest) const {
  SEAM_ASSIGN_OR_RETURN(
      const Body body,
      Body::read(manifest, {"runtime", "entry", "description", "schema", "examples", "tags",
                            "limits", "cacheable", "idempotent", "environment", "concurrency",
                            "engine", "fallback", "isolation"}));
  return read_members(language_title, body);
}

Result<void> FunctionsApi::check_content(const functions::PutRequest& request) const {
  const bool is_source = request.runtime != "wasm" && !packages::is_archive(request.content);
  const std::size_t bytes_max = is_source ? limits_.source_bytes_max : limits_.content_bytes_max;
  if (request.content.size() > bytes_max) {
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("\"content\" is {} bytes: at most {} are taken for {}",
                            request.content.size(), bytes_max, request.runtime));
  }
  if (is_source) {
    std::string quoted;
    append_json_string(quoted, request.content);
    if (decode_json_string(quoted) != request.content) {  // which takes U+FFFD for what is not
      return fail(ErrorCode::kInvalidArgument,
                  "\"content\" is neither a source text in UTF-8 nor a .tar.gz");
    }
  }
  return {};
}

Result<functions::PutRequest> FunctionsApi::read_put(std::string_view language_title,
                                                     const http::FormOrJsonBody& sent) const {
  SEAM_RETURN_IF_ERROR(names_.resolve(language_title));
  SEAM_ASSIGN_OR_RETURN(const PutParts parts, read_parts(sent));
  SEAM_ASSIGN_OR_RETURN(
      const Body body,
      Body::read(parts.manifest,
                 {"content", "encoding", "runtime", "entry", "description", "schema", "examples",
                  "tags", "limits", "cacheable", "idempotent", "environment", "concurrency",
                  "engine", "fallback", "isolation"}));
  std::string content;
  if (parts.content) {
    for (const std::string_view key : {"content", "encoding"}) {
      if (body.raw(key)) {
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("\"{}\" is no member of a manifest: the content is a part of its own",
                        key));
      }
    }
    content = *parts.content;
  } else {
    SEAM_ASSIGN_OR_RETURN(content, read_content(body));
  }
  SEAM_ASSIGN_OR_RETURN(functions::PutRequest request, read_members(language_title, body));
  request.content = std::move(content);
  SEAM_RETURN_IF_ERROR(check_content(request));
  return request;
}

Task<http::Response> FunctionsApi::put(http::Request& request, Name name,
                                       http::FormOrJsonBody body) {
  Result<functions::PutRequest> put = read_put(name.value, body);
  if (!put) co_return error_response(answer_id(request), put.error());
  const Result<functions::Written> written = co_await registry_.put(*std::move(put));
  if (!written) co_return error_response(answer_id(request), written.error());
  co_return http::Response::json(written->created ? 201 : 200, render_function(*written->function));
}

Task<http::Response> FunctionsApi::remove(http::Request& request, Name name) {
  const Result<void> removed = co_await registry_.remove(name.value);
  if (!removed) {
    const Result<functions::ResolvedName> resolved = names_.resolve(name.value);
    co_return error_response(answer_id(request), resolved ? removed.error() : resolved.error());
  }
  co_return http::Response::empty(204);
}

Task<http::Response> FunctionsApi::route(http::Request& request, Name name,
                                         http::JsonBody body_text) {
  const Result<Body> body = Body::read(body_text.text, {"version"});
  if (!body) co_return error_response(answer_id(request), body.error());
  const Result<std::optional<std::int64_t>> version = body->integer("version");
  if (!version) co_return error_response(answer_id(request), version.error());
  if (!*version) {
    co_return error_response(answer_id(request),
                             Error{ErrorCode::kInvalidArgument,
                                   "\"version\" is missing: the version that calls go to",
                                   {}});
  }
  if (const Result<FunctionPtr> known = find(name.value); !known)
    co_return error_response(answer_id(request), known.error());
  const Result<FunctionPtr> function = co_await registry_.route_to_version(name.value, **version);
  if (!function) co_return error_response(answer_id(request), function.error());
  co_return http::Response::json(200, render_function(**function));
}

Task<http::Response> FunctionsApi::invoke(http::Request& request, Name name,
                                          http::Query<"version", std::int64_t> version,
                                          http::Header<"X-Cache-Control"> cache,
                                          http::JsonBody body_text) {
  const Result<Body> body = Body::read(body_text.text, {"params", "context"});
  if (!body) co_return error_response(answer_id(request), body.error());
  const Result<functions::CallContext> context =
      functions::CallContext::parse(body->raw("context").value_or(std::string_view()));
  if (!context) co_return error_response(answer_id(request), context.error());
  const Result<functions::CacheControl> cache_control =
      functions::CacheControl::parse(cache.value.value_or(std::string_view()));
  if (!cache_control) co_return error_response(answer_id(request), cache_control.error());
  const std::string_view params = body->value("params").value_or("{}");
  if (params.size() > limits_.params_bytes_max) {
    co_return error_response(answer_id(request), public_code_of_status(413),
                             fmt::format("params are {} bytes: at most {} are taken", params.size(),
                                         limits_.params_bytes_max),
                             {});
  }
  // A name that is wrong is told apart from one that is unknown.
  if (const Result<FunctionPtr> known = find(name.value); !known)
    co_return error_response(answer_id(request), known.error());
  const functions::CallRequest call{.session = nullptr,
                                    .language_title = name.value,
                                    .version = version.value,
                                    .context = &*context,
                                    .params = params,
                                    .client_ip = request.remote_address,
                                    .request_headers = recorded_headers(request),
                                    .cache = *cache_control,
                                    .received_at = request.received_at,
                                    .gone = request.gone};
  CallResponse response{std::string_view()};
  functions::CallAnswer answer = co_await executor_.run(call, response);
  co_return response.finish(answer, executor_);
}

}  // namespace seam::api
