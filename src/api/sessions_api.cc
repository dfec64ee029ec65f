#include "api/sessions_api.h"

#include <fmt/format.h>

#include "api/body.h"
#include "api/call_response.h"
#include "api/door.h"
#include "api/errors.h"
#include "api/paging.h"
#include "api/recorded_headers.h"
#include "api/schemas.h"
#include "base/base64.h"
#include "base/identifier.h"

namespace seam::api {
namespace {

using functions::CallContext;
using functions::SessionPtr;

std::string render(const functions::Session& session) {
  std::string out = fmt::format(
      R"({{"request_id":"{}","language_title":"{}","status":"initialized","created_at":"{}",)"
      R"("expires_at":"{}","execution_count":{},"last_executed_at":)",
      session.request_id, session.language_title, format_rfc3339(session.created_at),
      format_rfc3339(session.expires_at()), session.execution_count());
  const std::optional<WallTime> last = session.last_executed_at();
  out.append(last ? fmt::format(R"("{}")", format_rfc3339(*last)) : "null").push_back('}');
  return out;
}

http::Response no_session(std::string_view id) {
  return error_response(id,
                        Error{ErrorCode::kNotFound,
                              fmt::format("no session '{}', or it has expired", id.substr(0, 100)),
                              {}});
}

}  // namespace

SessionsApi::SessionsApi(functions::Sessions& sessions, functions::Registry& registry,
                         functions::Executor& executor, const functions::RuntimeMap& names,
                         const Clock& clock, functions::ImplementationOptions defaults,
                         BodyLimits limits)
    : sessions_(sessions),
      registry_(registry),
      executor_(executor),
      names_(names),
      clock_(clock),
      defaults_(std::move(defaults)),
      limits_(limits) {}

void SessionsApi::mount(http::RouteTable& routes) {
  using enum http::Method;
  routes.add(
      {.method = kPost,
       .path = "/api/v1/initialize",
       .operation = "initialize",
       .summary = "Opens a session for a registered function, or for the script in the body.",
       .responses = {{200, "The session.", "SessionOpened"},
                     {400, "The name, context or script is not acceptable.", "Error"},
                     {404, "No such function.", "Error"}},
       .body_bytes_max = limits_.script_body_bytes_max(),
       .request_schema = "Initialize",
       .notes = {{"Language-Title", "The function's name. Without it: 400."}}},
      http::bind(this, &SessionsApi::initialize));
  routes.add({.method = kPost,
              .path = "/api/v1/execute/{request_id}",
              .operation = "execute",
              .summary = "Calls the session's function.",
              .responses = {{200, "The result.", "CallAnswer"},
                            {404, "No such session.", "Error"},
                            {500, "The function failed.", "Error"},
                            {504, "Out of time.", "Error"}},
              .body_bytes_max = limits_.call_body_bytes_max(),
              .request_schema = "Execute",
              .notes = {kSessionNote, kCacheNote}},
             http::bind(this, &SessionsApi::execute));
  routes.add({.method = kGet,
              .path = "/api/v1/sessions",
              .operation = "listSessions",
              .summary = "Lists open sessions, newest first.",
              .responses = {{200, "A page of sessions.", "SessionPage"}},
              .notes = {kPageNote, kPerPageNote}},
             http::bind(this, &SessionsApi::list));
  routes.add({.method = kGet,
              .path = "/api/v1/sessions/{request_id}",
              .operation = "getSession",
              .summary = "Tells of one session.",
              .responses = {{200, "The session.", "Session"}, {404, "No such session.", "Error"}},
              .notes = {kSessionNote}},
             http::bind(this, &SessionsApi::get));
  routes.add({.method = kPatch,
              .path = "/api/v1/sessions/{request_id}",
              .operation = "changeSession",
              .summary = "Changes a session's context, script or expiry.",
              .responses = {{200, "The session.", "Session"},
                            {404, "No such session.", "Error"},
                            {409, "It changed meanwhile.", "Error"}},
              .body_bytes_max = limits_.script_body_bytes_max(),
              .request_schema = "ChangeSession",
              .notes = {kSessionNote}},
             http::bind(this, &SessionsApi::patch));
  routes.add({.method = kDelete,
              .path = "/api/v1/sessions/{request_id}",
              .operation = "endSession",
              .summary = "Ends a session and releases its worker.",
              .responses = {{204, "Ended."},
                            {404, "No such session.", "Error"},
                            {409, "It changed meanwhile.", "Error"}},
              .notes = {kSessionNote}},
             http::bind(this, &SessionsApi::end));
}

Result<void> SessionsApi::check_wish(std::string_view runtime_name,
                                     const CallContext& context) const {
  SEAM_ASSIGN_OR_RETURN(const runtimes::Runtime* runtime, registry_.need_runtime(runtime_name));
  Result<void> known = runtime->check_wish(context.wish);
  if (!known) known.error().message.insert(0, CallContext::kCompileOptionsKey);
  return known;
}

Result<SessionsApi::Script> SessionsApi::make_script(const functions::ResolvedName& name,
                                                     std::string language_title,
                                                     std::string content,
                                                     const CallContext& context) const {
  SEAM_RETURN_IF_ERROR(check_wish(name.runtime, context));
  if (content.size() > limits_.source_bytes_max) {
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("script_content is {} bytes: at most {} are taken", content.size(),
                            limits_.source_bytes_max));
  }
  if (name.runtime == "wasm") {
    Result<std::string> module = decode_base64(content);
    if (!module) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("script_content of a wasm function is the module in base64: {}",
                              module.error().message));
    }
    content = *std::move(module);
  }
  functions::ImplementationOptions options = defaults_;
  options.environment = context.environment;
  options.wish = context.wish;
  return Script{functions::make_program(std::move(language_title), std::move(content), options),
                name.runtime};
}

Task<Result<SessionPtr>> SessionsApi::try_initialize(std::string_view language_title,
                                                     std::string_view text) {
  SEAM_CO_ASSIGN_OR_RETURN(const functions::ResolvedName name, names_.resolve(language_title));
  SEAM_CO_ASSIGN_OR_RETURN(const Body body, Body::read(text, {"context", "script_content"}));
  SEAM_CO_ASSIGN_OR_RETURN(const std::optional<std::string_view> context, body.object("context"));
  SEAM_CO_ASSIGN_OR_RETURN(std::optional<std::string> script, body.string("script_content"));
  functions::Session session;
  SEAM_CO_ASSIGN_OR_RETURN(session.context,
                           CallContext::parse(context.value_or(std::string_view())));
  session.language_title = language_title;
  session.user_id = session.context.user_id;
  if (script) {
    SEAM_CO_ASSIGN_OR_RETURN(Script made, make_script(name, std::string(language_title),
                                                      *std::move(script), session.context));
    session.script = std::move(made.program);
    session.runtime = std::move(made.runtime);
  } else if (const functions::FunctionPtr* found = registry_.catalogue()->find(language_title)) {
    const functions::ImplementationPtr* routed = (*found)->choose(0);
    if (routed != nullptr) {
      SEAM_CO_RETURN_IF_ERROR(check_wish((*routed)->row.runtime, session.context));
    }
  } else {
    co_return fail(
        ErrorCode::kNotFound,
        fmt::format(
            "no function '{}': register it with PUT /api/v1/functions/{}, or send script_content",
            language_title, language_title));
  }
  co_return co_await sessions_.create(std::move(session));
}

Task<http::Response> SessionsApi::initialize(http::Request& request,
                                             http::Header<"Language-Title"> language_title,
                                             http::JsonBody body) {
  if (!language_title.value) {
    co_return error_response(answer_id(request),
                             Error{ErrorCode::kInvalidArgument,
                                   "the header Language-Title is missing: it names the function",
                                   {}});
  }
  const Result<SessionPtr> session = co_await try_initialize(*language_title.value, body.text);
  if (!session) co_return error_response(answer_id(request), session.error());
  co_return http::Response::json(
      200, fmt::format(R"({{"request_id":"{}","status":"initialized","expires_at":"{}"}})",
                       (*session)->request_id, format_rfc3339((*session)->expires_at())));
}

Task<http::Response> SessionsApi::execute(http::Request& request, Id id,
                                          http::Header<"X-Cache-Control"> cache,
                                          http::JsonBody body_text) {
  const SessionPtr session = sessions_.find(id.value);
  if (!session) co_return no_session(id.value);
  const Result<Body> body = Body::read(body_text.text, {"params"});
  if (!body) co_return error_response(session->request_id, body.error());
  const Result<functions::CacheControl> cache_control =
      functions::CacheControl::parse(cache.value.value_or(std::string_view()));
  if (!cache_control) co_return error_response(session->request_id, cache_control.error());
  const std::string_view params = body->value("params").value_or("{}");
  if (params.size() > limits_.params_bytes_max) {
    co_return error_response(session->request_id, public_code_of_status(413),
                             fmt::format("params are {} bytes: at most {} are taken", params.size(),
                                         limits_.params_bytes_max),
                             {});
  }
  const functions::CallRequest call{.session = session,
                                    .language_title = {},
                                    .version = std::nullopt,
                                    .context = nullptr,
                                    .params = params,
                                    .client_ip = request.remote_address,
                                    .request_headers = recorded_headers(request),
                                    .cache = *cache_control,
                                    .received_at = request.received_at,
                                    .gone = request.gone};
  CallResponse response(session->request_id);
  functions::CallAnswer answer = co_await executor_.run(call, response);
  co_return response.finish(answer, executor_);
}

Task<http::Response> SessionsApi::list(http::Request& request, http::Query<"page", int> page,
                                       http::Query<"per_page", int> per_page) {
  const Result<Paging> paging = Paging::of(page.value, per_page.value);
  if (!paging) co_return error_response(answer_id(request), paging.error());
  std::size_t total = 0;
  const std::vector<SessionPtr> sessions = sessions_.list(paging->skip(), paging->per_page, total);
  std::string out = fmt::format(R"({{"total":{},"page":{},"per_page":{},"sessions":[)", total,
                                paging->page, paging->per_page);
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    if (i > 0) out.push_back(',');
    out.append(render(*sessions[i]));
  }
  out.append("]}");
  co_return http::Response::json(200, std::move(out));
}

Task<http::Response> SessionsApi::get(http::Request&, Id id) {
  const SessionPtr session = sessions_.find(id.value);
  if (!session) co_return no_session(id.value);
  co_return http::Response::json(200, render(*session));
}

Task<Result<SessionPtr>> SessionsApi::try_patch(SessionPtr session, std::string_view text) {
  SEAM_CO_ASSIGN_OR_RETURN(const Body body,
                           Body::read(text, {"context", "script_content", "expires_at"}));
  SEAM_CO_ASSIGN_OR_RETURN(const std::optional<std::string_view> context, body.object("context"));
  SEAM_CO_ASSIGN_OR_RETURN(std::optional<std::string> script, body.string("script_content"));
  SEAM_CO_ASSIGN_OR_RETURN(const std::optional<std::string> expires_at, body.string("expires_at"));
  functions::Session next = *session;
  if (context) {
    SEAM_CO_ASSIGN_OR_RETURN(next.context, CallContext::parse(*context));
    next.user_id = next.context.user_id;
  }
  if (script) {
    SEAM_CO_ASSIGN_OR_RETURN(const functions::ResolvedName name,
                             names_.resolve(session->language_title));
    SEAM_CO_ASSIGN_OR_RETURN(
        Script made, make_script(name, session->language_title, *std::move(script), next.context));
    next.script = std::move(made.program);
    next.runtime = std::move(made.runtime);
  } else if (context && next.script &&
             (next.script->environment != next.context.environment ||
              next.script->wish != next.context.wish)) {
    // A process has one environment and one engine: another one wants another program.
    SEAM_CO_RETURN_IF_ERROR(check_wish(next.runtime, next.context));
    functions::ImplementationOptions options = defaults_;
    options.environment = next.context.environment;
    options.wish = next.context.wish;
    next.script =
        functions::make_program(session->language_title, session->script->content, options);
  }
  std::optional<WallTime> expiry;
  if (expires_at) {
    SEAM_CO_ASSIGN_OR_RETURN(expiry, parse_rfc3339(*expires_at));
    constexpr std::chrono::days kAheadMax(366);
    const WallTime now = clock_.wall_now();
    if (*expiry <= now || *expiry > now + kAheadMax) {
      co_return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("expires_at is {}: it must be in the future, at most 366 days ahead",
                      *expires_at));
    }
  }
  // The store gets the new expiry with the rest; calls that run meanwhile still move it on.
  if (expiry) next.use->expires_at_us = expiry->time_since_epoch().count();
  co_return co_await sessions_.change(std::move(session), std::move(next));
}

Task<http::Response> SessionsApi::patch(http::Request&, Id id, http::JsonBody body) {
  const SessionPtr session = sessions_.find(id.value);
  if (!session) co_return no_session(id.value);
  const Result<SessionPtr> changed = co_await try_patch(session, body.text);
  if (!changed) co_return error_response(id.value, changed.error());
  co_return http::Response::json(200, render(**changed));
}

Task<http::Response> SessionsApi::end(http::Request&, Id id) {
  const SessionPtr session = sessions_.find(id.value);
  if (!session) co_return no_session(id.value);
  const Result<void> ended = co_await sessions_.end(session);
  if (!ended) co_return error_response(id.value, ended.error());
  co_return http::Response::empty(204);
}

}  // namespace seam::api
