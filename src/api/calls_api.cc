#include "api/calls_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_set>

#include "api/call_json.h"
#include "api/door.h"
#include "api/errors.h"
#include "api/moment.h"
#include "api/paging.h"
#include "api/schemas.h"
#include "base/identifier.h"

namespace seam::api {
namespace {

using store::CallDetail;
using store::CallOutcome;
using store::CallPage;
using store::CallQuery;

constexpr std::string_view kLinesType = "application/x-ndjson";
constexpr std::size_t kFollowedCallsMax = 100;  // of the past, when a follower begins
constexpr std::size_t kPartBytes = 64U << 10U;  // of what is sent of them at once

std::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

// What a request may ask for, as it stands there.
struct Asked {
  const std::optional<std::string>& function;
  const std::optional<std::string>& session;
  const std::optional<std::string>& since;
  const std::optional<std::string>& until;
};

Result<void> read_status(std::string_view text, CallQuery& query) {
  constexpr std::array<std::string_view, 10> kCodes = {
      "INVALID_REQUEST", "INVALID_PARAMS", "UNAUTHORIZED", "FORBIDDEN",      "NOT_FOUND",
      "RATE_LIMITED",    "RUNTIME_ERROR",  "TIMEOUT",      "INTERNAL_ERROR", "UNAVAILABLE"};
  if (text == "ok") {
    query.outcome = CallOutcome::kOk;
    return {};
  }
  if (text == "error") {
    query.outcome = CallOutcome::kError;
    return {};
  }
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), query.status_code);
  if (error == std::errc() && stop == text.data() + text.size() && query.status_code >= 100 &&
      query.status_code <= 599)
    return {};
  query.status_code = 0;
  if (std::ranges::find(kCodes, text) == kCodes.end()) {
    return bad(
        fmt::format("status '{}': give ok, error, an HTTP status such as 504, or an error "
                    "code such as RUNTIME_ERROR",
                    text.substr(0, 60)));
  }
  query.error_code = text;
  return {};
}

Result<CallQuery> read_query(const Asked& asked, const Clock& clock) {
  CallQuery query;
  if (asked.function) {
    if (asked.function->empty()) return bad("function is empty: give a name, or leave it out");
    query.language_title = *asked.function;
  }
  if (asked.session) {
    if (!is_uuid(*asked.session)) {
      return bad(
          fmt::format("session '{}' is no session's id: give the request_id that initialize "
                      "answered",
                      asked.session->substr(0, 60)));
    }
    query.session_id = *asked.session;
  }
  const auto moment = [&](const std::optional<std::string>& text, std::string_view name,
                          std::optional<WallTime>& out) -> Result<void> {
    if (!text) return {};
    const Result<WallTime> time = parse_moment(*text, clock.wall_now());
    if (!time) return bad(fmt::format("{}: {}", name, time.error().message));
    out = *time;
    return {};
  };
  SEAM_RETURN_IF_ERROR(moment(asked.since, "since", query.since));
  SEAM_RETURN_IF_ERROR(moment(asked.until, "until", query.until));
  return query;
}

Result<Paging> read_paging(std::optional<int> page, std::optional<int> per_page, CallQuery& query) {
  SEAM_ASSIGN_OR_RETURN(const Paging paging, Paging::of(page, per_page));
  if (paging.skip() + paging.per_page > CallQuery::kCountMax) {
    return bad(
        fmt::format("page {} goes beyond the newest {} of what is asked for: narrow it by "
                    "until, since, function, session or status",
                    paging.page, CallQuery::kCountMax));
  }
  query.skip = paging.skip();
  query.limit = paging.per_page;
  return paging;
}

Result<void> check_call_id(std::string_view id) {
  if (is_uuid(id)) return {};
  return bad(fmt::format("'{}' is no call's id: give the call_id of an answer", id.substr(0, 60)));
}

const http::ParameterNote kFunctionNote{"function", "Only of this function."};
const http::ParameterNote kOfSessionNote{"session", "Only of this session.",
                                         R"({"format":"uuid"})"};
const http::ParameterNote kStatusNote{
    "status", "ok, error, an HTTP status such as 504, or a code such as RUNTIME_ERROR."};
const http::ParameterNote kSinceNote{
    "since", "Only what began then or later: a time of RFC 3339, or how long ago, such as 15m."};
const http::ParameterNote kUntilNote{"until", "Only what began before; as since."};

std::string page_head(const CallPage& found, const Paging& paging) {
  return fmt::format(R"({{"total":{},"total_is_exact":{},"page":{},"per_page":{})", found.total,
                     found.total < CallQuery::kCountMax, paging.page, paging.per_page);
}

bool wants_lines(const http::Request& request) {
  const auto accept = request.header("Accept");
  return accept && accept->contains(kLinesType);
}

// What is kept of the past, then what is printed.
class FollowedLogs final : public http::BodyStream {
 public:
  FollowedLogs(std::unique_ptr<functions::LogFollower> follower, std::string past,
               std::unordered_set<std::string> told, std::stop_token gone)
      : follower_(std::move(follower)),
        past_(std::move(past)),
        told_(std::move(told)),
        gone_(std::move(gone)) {}

  Task<std::string> next() override {
    if (past_sent_ < past_.size() && !gone_.stop_requested()) {
      std::string part = past_.substr(past_sent_, kPartBytes);
      past_sent_ += part.size();
      if (past_sent_ == past_.size()) past_ = {}, past_sent_ = 0;
      co_return part;
    }
    std::string part;
    while (part.empty()) {
      const std::vector<functions::LogEntry> entries = co_await follower_->next(gone_);
      if (entries.empty()) co_return std::string();
      for (const functions::LogEntry& entry : entries)
        if (entry.call_id.empty() || !told_.contains(entry.call_id)) part += entry.text;
    }
    co_return part;
  }

 private:
  std::unique_ptr<functions::LogFollower> follower_;
  std::string past_;
  std::size_t past_sent_ = 0;
  std::unordered_set<std::string> told_;  // calls that ended while the past was read
  std::stop_token gone_;
};

}  // namespace

void CallsApi::mount(http::RouteTable& routes) {
  using enum http::Method;
  routes.add({.method = kGet,
              .path = "/api/v1/calls",
              .operation = "listCalls",
              .summary = "Lists calls, newest first.",
              .responses = {{200, "A page of calls.", "CallPage"},
                            {400, "A filter is malformed.", "Error"}},
              .notes = {kFunctionNote, kOfSessionNote, kStatusNote, kSinceNote, kUntilNote,
                        kPageNote, kPerPageNote}},
             http::bind(this, &CallsApi::list));
  routes.add({.method = kGet,
              .path = "/api/v1/calls/{call_id}",
              .operation = "getCall",
              .summary = "Tells of one call: its stages, error, payloads and logs.",
              .responses = {{200, "The call.", "Call"},
                            {404, "No such call, or its record is gone.", "Error"}},
              .notes = {{"call_id", "The call's id, of its answer.", R"({"format":"uuid"})"}}},
             http::bind(this, &CallsApi::get));
  routes.add(
      {.method = kGet,
       .path = "/api/v1/logs",
       .operation = "getLogs",
       .summary = "Gives the lines that functions printed, or follows them.",
       .responses = {{200, "A page of lines, or a stream of them.", "LogPage"},
                     {.status = 200,
                      .description = "A page of lines, or a stream of them.",
                      .content_type = std::string(kLinesType)},
                     {400, "A filter is malformed.", "Error"},
                     {503, "Too many follow already.", "Error"}},
       .notes = {kFunctionNote,
                 kOfSessionNote,
                 {"call", "Only lines of this call.", R"({"format":"uuid"})"},
                 kSinceNote,
                 kUntilNote,
                 {"follow", "Goes on with what is printed from now on, as a line of JSON each."},
                 kPageNote,
                 {"per_page", "Calls on a page, each with its lines.",
                  R"({"minimum":1,"maximum":100,"default":20})"}}},
      http::bind(this, &CallsApi::logs));
}

Task<Result<CallPage>> CallsApi::find(CallQuery query) {
  // So that whoever saw a call answered finds it.
  co_await drain_.settled();
  co_return co_await store_.find_calls(std::move(query));
}

Task<http::Response> CallsApi::list(http::Request& request, http::Query<"function", Text> function,
                                    http::Query<"session", Text> session,
                                    http::Query<"status", Text> status,
                                    http::Query<"since", Text> since,
                                    http::Query<"until", Text> until, http::Query<"page", int> page,
                                    http::Query<"per_page", int> per_page) {
  Result<CallQuery> query =
      read_query({function.value, session.value, since.value, until.value}, clock_);
  if (!query) co_return error_response(answer_id(request), query.error());
  if (status.value) {
    if (const Result<void> read = read_status(*status.value, *query); !read)
      co_return error_response(answer_id(request), read.error());
  }
  const Result<Paging> paging = read_paging(page.value, per_page.value, *query);
  if (!paging) co_return error_response(answer_id(request), paging.error());
  const Result<CallPage> found = co_await find(*std::move(query));
  if (!found) co_return error_response(answer_id(request), found.error());
  std::string out = page_head(*found, *paging) + R"(,"calls":[)";
  for (const store::FoundCall& call : found->calls) {
    if (!out.ends_with('[')) out += ',';
    out += render_call_summary(call);
  }
  co_return http::Response::json(200, out + "]}");
}

Task<http::Response> CallsApi::get(http::Request& request, http::Path<"call_id"> call_id) {
  if (const Result<void> good = check_call_id(call_id.value); !good)
    co_return error_response(answer_id(request), good.error());
  const Result<CallPage> found =
      co_await find({.call_id = call_id.value, .detail = CallDetail::kWhole, .limit = 1});
  if (!found) co_return error_response(answer_id(request), found.error());
  if (found->calls.empty()) {
    co_return error_response(
        answer_id(request),
        Error{ErrorCode::kNotFound,
              fmt::format("no record of a call '{}': it has not ended, or its record is gone",
                          call_id.value),
              {}});
  }
  co_return http::Response::json(200, render_call(found->calls.front()));
}

Task<http::Response> CallsApi::logs(http::Request& request, http::Query<"function", Text> function,
                                    http::Query<"session", Text> session,
                                    http::Query<"call", Text> call,
                                    http::Query<"since", Text> since,
                                    http::Query<"until", Text> until,
                                    http::Query<"follow", bool> followed,
                                    http::Query<"page", int> page,
                                    http::Query<"per_page", int> per_page) {
  Result<CallQuery> query =
      read_query({function.value, session.value, since.value, until.value}, clock_);
  if (!query) co_return error_response(answer_id(request), query.error());
  if (call.value) {
    if (const Result<void> good = check_call_id(*call.value); !good)
      co_return error_response(answer_id(request), good.error());
    query->call_id = *call.value;
  }
  query->logged = true;
  query->detail = CallDetail::kLogs;
  if (followed.value.value_or(false)) {
    if (until.value || page.value || per_page.value) {
      co_return error_response(
          answer_id(request),
          Error{ErrorCode::kInvalidArgument, "follow takes no until, page or per_page", {}});
    }
    co_return co_await follow(request, *std::move(query));
  }
  const Result<Paging> paging = read_paging(page.value, per_page.value, *query);
  if (!paging) co_return error_response(answer_id(request), paging.error());
  const Result<CallPage> found = co_await find(*std::move(query));
  if (!found) co_return error_response(answer_id(request), found.error());
  std::string out;
  const std::vector<std::string> lines = render_lines(found->calls);
  if (wants_lines(request)) {
    for (const std::string& line : lines) out.append(line).push_back('\n');
    http::Response response = http::Response::json(200, std::move(out));
    response.content_type = kLinesType;
    co_return response;
  }
  out = page_head(*found, *paging) + R"(,"logs":[)";
  for (const std::string& line : lines) {
    if (!out.ends_with('[')) out += ',';
    out += line;
  }
  co_return http::Response::json(200, out + "]}");
}

// First the follower, then the past: a call that ends in between comes from both, and is told once.
Task<http::Response> CallsApi::follow(http::Request& request, CallQuery query) {
  Result<std::unique_ptr<functions::LogFollower>> follower =
      co_await logs_.follow({.language_title = query.language_title,
                             .session_id = query.session_id,
                             .call_id = query.call_id,
                             .since = query.since.value_or(clock_.wall_now())});
  if (!follower) co_return error_response(answer_id(request), follower.error());
  std::string past;
  std::unordered_set<std::string> told;
  if (query.since) {
    query.limit = kFollowedCallsMax;
    const Result<CallPage> found = co_await find(std::move(query));
    if (!found) co_return error_response(answer_id(request), found.error());
    if (found->total > found->calls.size())
      past = fmt::format("{{\"omitted_calls\":{}}}\n", found->total - found->calls.size());
    for (const store::FoundCall& call : found->calls) told.insert(call.record.call_id);
    for (const std::string& line : render_lines(found->calls)) past.append(line).push_back('\n');
  }
  http::Response response = http::Response::empty(200);
  response.content_type = kLinesType;
  response.stream = std::make_unique<FollowedLogs>(*std::move(follower), std::move(past),
                                                   std::move(told), request.gone);
  co_return response;
}

}  // namespace seam::api
