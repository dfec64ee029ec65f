#include "api/health_api.h"

#include <fmt/format.h>

#include "api/door.h"
#include "api/errors.h"
#include "base/json_text.h"

namespace seam::api {
namespace {

// Runtimes that the contract names; those that a server does not have are shown as disabled.
constexpr std::array<std::string_view, 5> kKnownRuntimes = {"nodejs", "python", "rust", "wasm",
                                                            "model"};

}  // namespace

HealthApi::HealthApi(store::Store& store, const functions::RuntimeTable& runtimes,
                     std::string version, std::string isolation)
    : store_(store),
      runtimes_(runtimes),
      version_(std::move(version)),
      isolation_(std::move(isolation)) {}

void HealthApi::mount(http::RouteTable& routes) {
  using enum http::Method;
  routes.add({.method = kGet,
              .path = "/livez",
              .operation = "livez",
              .summary = "Whether the process serves at all.",
              .responses = {{200, "It does.", "Status"}}},
             http::bind(this, &HealthApi::live));
  routes.add({.method = kGet,
              .path = "/readyz",
              .operation = "readyz",
              .summary = "Whether calls should be sent here.",
              .responses = {{200, "Yes.", "Status"}, {503, "Starting or draining.", "Error"}}},
             http::bind(this, &HealthApi::ready));
  routes.add({.method = kGet,
              .path = "/health",
              .operation = "health",
              .summary = "The state of each part.",
              .responses = {{200, "What works, what does not.", "Health"}}},
             http::bind(this, &HealthApi::health));
}

Task<http::Response> HealthApi::live(http::Request&) {
  co_return http::Response::json(200, R"({"status":"ok"})");
}

Task<http::Response> HealthApi::ready(http::Request& request) {
  if (ready_) co_return http::Response::json(200, R"({"status":"ready"})");
  co_return error_response(
      answer_id(request), Error{ErrorCode::kUnavailable, "the server is starting or draining", {}});
}

Task<http::Response> HealthApi::health(http::Request&) {
  const Result<void> store = co_await store_.ping();
  bool all_up = store.has_value();
  std::string parts;
  std::string details;
  const auto add = [&](std::string_view name, std::string_view state, std::string_view detail) {
    if (!parts.empty()) parts.push_back(',');
    parts.append(fmt::format(R"("{}":"{}")", name, state));
    if (detail.empty()) return;
    if (!details.empty()) details.push_back(',');
    append_json_string(details, name);
    details.push_back(':');
    append_json_string(details, detail);
  };
  for (const std::string_view name : kKnownRuntimes) {
    if (!runtimes_.contains(name)) add(name, "disabled", {});
  }
  for (const auto& [name, runtime] : runtimes_) {
    const runtimes::RuntimeHealth state = runtime->health();
    all_up = all_up && (state.up || !state.configured) && !state.impaired;
    add(name, state.up ? "up" : state.configured ? "down" : "disabled", state.detail);
  }
  std::string store_detail;
  append_json_string(store_detail, store ? std::string_view("SQLite answers")
                                         : std::string_view(store.error().message));
  co_return http::Response::json(
      200,
      fmt::format(
          R"({{"status":"{}","version":"{}","components":{{"controller":"up","store":"{}","redis":"disabled",)"
          R"("postgres":"disabled","runtimes":{{{}}}}},"details":{{"store":{},"runtimes":{{{}}},"isolation":{}}}}})",
          all_up ? "ok" : "degraded", version_, store ? "up" : "down", parts, store_detail, details,
          isolation_));
}

}  // namespace seam::api
