#include "api/call_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/json_text.h"
#include "functions/log_hub.h"
#include "store/call_log.h"

namespace seam::api {
namespace {

void append_member(std::string& out, std::string_view name, std::string_view text) {
  fmt::format_to(std::back_inserter(out), R"(,"{}":)", name);
  append_json_string(out, text);
}

void append_summary(std::string& out, const store::FoundCall& found) {
  const store::CallRecord& call = found.record;
  const bool failed = call.status_code >= 400;
  fmt::format_to(std::back_inserter(out), R"({{"call_id":"{}","session":{})", call.call_id,
                 call.has_session ? fmt::format("\"{}\"", call.request_id) : "null");
  append_member(out, "language_title", call.language_title);
  fmt::format_to(
      std::back_inserter(out),
      R"(,"version":{},"started_at":"{}","duration_ms":{:.3f},"status":"{}","status_code":{},)"
      R"("cached":{})",
      found.version ? fmt::format("{}", *found.version) : "null", format_rfc3339(call.started_at),
      static_cast<double>(call.duration_us) / 1000.0, failed ? "error" : "ok", call.status_code,
      call.cached);
  append_member(out, "user_id", call.user_id);
}

// {"code", "message"} and the stack where it is there, or null.
void append_error(std::string& out, const store::CallRecord& call) {
  if (call.error_code.empty()) {
    out += R"(,"error":null)";
    return;
  }
  fmt::format_to(std::back_inserter(out), R"(,"error":{{"code":"{}")", call.error_code);
  append_member(out, "message", call.error_message);
  if (!call.stack_trace.empty()) append_member(out, "stack_trace", call.stack_trace);
  out += '}';
}

// The parts of the call's time, in their order, and what else was measured.
void append_metrics(std::string& out, const std::string& metrics_text) {
  out += R"(,"stages":[)";
  const Result<JsonObjectText> metrics = JsonObjectText::parse(metrics_text);
  if (metrics) {
    for (const std::string_view stage : {"queue", "start", "run"}) {
      const auto value = metrics->find(fmt::format("{}_ms", stage));
      if (!value) continue;
      fmt::format_to(std::back_inserter(out), R"({}{{"name":"{}","ms":{}}})",
                     out.ends_with('[') ? "" : ",", stage, *value);
    }
  }
  out += R"(],"runtime_metrics":)";
  out += metrics ? metrics_text : "null";
}

}  // namespace

std::string render_call_summary(const store::FoundCall& call) {
  std::string out;
  append_summary(out, call);
  append_error(out, call.record);
  return out + "}";
}

std::string render_call(const store::FoundCall& found) {
  const store::CallRecord& call = found.record;
  std::string out;
  append_summary(out, found);
  append_error(out, call);
  append_metrics(out, call.runtime_metrics);
  append_member(out, "client_ip", call.client_ip);
  out += R"(,"request_headers":)";
  out += JsonObjectText::parse(call.request_headers) ? call.request_headers : "{}";
  append_member(out, "request_payload", call.request_payload);
  append_member(out, "response_payload", call.response_payload);
  out += R"(,"logs":[)";
  store::for_each_line(call, [&](const store::LogLine& line) {
    if (!out.ends_with('[')) out += ',';
    functions::append_line_json(out, call, line);
  });
  return out + "]}";
}

std::vector<std::string> render_lines(const std::vector<store::FoundCall>& calls) {
  struct Timed {
    WallTime time;
    std::size_t place;  // lines of one moment stay as they came
    std::string text;
  };
  std::vector<Timed> lines;
  for (const store::FoundCall& found : calls) {
    const store::CallRecord& call = found.record;
    if (call.logs.empty() && found.log_bytes > 0) {
      std::string text = fmt::format(R"({{"call_id":"{}")", call.call_id);
      append_member(text, "function", call.language_title);
      fmt::format_to(std::back_inserter(text), R"(,"omitted_bytes":{}}})", found.log_bytes);
      lines.push_back({call.started_at, lines.size(), std::move(text)});
      continue;
    }
    store::for_each_line(call, [&](const store::LogLine& line) {
      lines.push_back({line.time, lines.size(), {}});
      functions::append_line_json(lines.back().text, call, line);
    });
  }
  std::ranges::sort(lines, [](const Timed& a, const Timed& b) {
    return std::tie(a.time, a.place) < std::tie(b.time, b.place);
  });
  std::vector<std::string> out;
  out.reserve(lines.size());
  for (Timed& line : lines) out.push_back(std::move(line.text));
  return out;
}

}  // namespace seam::api
