#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/identifier.h"
#include "base/json_text.h"
#include "cli/call_commands.h"

namespace seam::cli {
namespace {

namespace json = boost::json;

constexpr std::string_view kPageSize = "per_page=50";

std::string text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  if (value == nullptr || value->is_null()) return {};
  return value->is_string() ? std::string(value->get_string()) : json::serialize(*value);
}

double number_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

const json::object& object_of(const json::object& object, std::string_view name) {
  static const json::object none;
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_object() ? value->get_object() : none;
}

const json::array& array_of(const json::object& object, std::string_view name) {
  static const json::array none;
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_array() ? value->get_array() : none;
}

// "ok", or the error's code.
std::string outcome_of(const json::object& call, const Style& style) {
  if (text_of(call, "status") == "ok") return style.good("ok");
  const std::string code = text_of(object_of(call, "error"), "code");
  return style.bad(code.empty() ? text_of(call, "status_code") : code);
}

std::string first_line(std::string text) {
  constexpr std::size_t kShown = 80;
  text.resize(std::min(text.find('\n'), text.size()));
  if (text.size() > kShown) text = text.substr(0, kShown) + "…";
  return text;
}

std::string render_table(const json::object& page, const Style& style) {
  const json::array& calls = array_of(page, "calls");
  if (calls.empty()) return "No calls.\n";
  std::vector<std::vector<std::string>> rows{{style.bold("STARTED"), style.bold("FUNCTION"),
                                              style.bold("OUTCOME"), style.bold("MS"),
                                              style.bold("CALL"), style.bold("ERROR")}};
  for (const json::value& each : calls) {
    if (!each.is_object()) continue;
    const json::object& call = each.get_object();
    rows.push_back({text_of(call, "started_at"), text_of(call, "language_title"),
                    outcome_of(call, style), fmt::format("{:.1f}", number_of(call, "duration_ms")),
                    text_of(call, "call_id"),
                    first_line(text_of(object_of(call, "error"), "message"))});
  }
  std::string out = align(rows);
  const auto total = static_cast<std::size_t>(number_of(page, "total"));
  if (total > calls.size()) {
    const bool exact = text_of(page, "total_is_exact") == "true";
    out += style.faint(fmt::format("{} of {}{}; narrow them by --since, --status or a name\n",
                                   calls.size(), exact ? "" : "more than ", total));
  }
  return out;
}

// The stages one after the other, each as long as its share of the time.
std::string render_stages(const json::object& call, const Style& style) {
  constexpr double kColumns = 40;
  const double whole = std::max(number_of(call, "duration_ms"), 0.001);
  std::string out;
  double before = 0;
  for (const json::value& each : array_of(call, "stages")) {
    if (!each.is_object()) continue;
    const double ms = number_of(each.get_object(), "ms");
    const auto column = [whole](double at) {
      return static_cast<int>(std::clamp(at / whole, 0.0, 1.0) * kColumns);
    };
    const int begin = column(before);
    const int length = column(before + ms) - begin;
    before += ms;
    std::string bar(static_cast<std::size_t>(begin), ' ');
    for (int i = 0; i < length; ++i) bar += "█";
    if (length == 0) bar += ms > 0 ? "▏" : " ";
    bar.append(static_cast<std::size_t>(
                   std::max(0, static_cast<int>(kColumns) - begin - std::max(length, 1))),
               ' ');
    fmt::format_to(std::back_inserter(out), "  {:<9} {} {:>10.3f} ms\n",
                   text_of(each.get_object(), "name"), style.good(bar), ms);
  }
  return out;
}

std::string render_picture(const json::object& call, const Style& style) {
  std::string out =
      fmt::format("{}{}  {}  {:.3f} ms{}\n", style.bold(text_of(call, "language_title")),
                  text_of(call, "version").empty() ? "" : " v" + text_of(call, "version"),
                  outcome_of(call, style), number_of(call, "duration_ms"),
                  text_of(call, "cached") == "true" ? "  cached" : "");
  const auto row = [&](std::string_view name, const std::string& text) {
    if (!text.empty()) fmt::format_to(std::back_inserter(out), "  {:<9} {}\n", name, text);
  };
  row("call", text_of(call, "call_id"));
  row("session", text_of(call, "session"));
  row("user", text_of(call, "user_id"));
  row("started", text_of(call, "started_at"));
  const json::object& metrics = object_of(call, "runtime_metrics");
  row("engine", text_of(metrics, "engine"));
  row("start was", text_of(metrics, "cold_start") == "true" ? "cold" : "");
  if (const double memory = number_of(metrics, "memory_bytes"); memory > 0)
    row("memory", fmt::format("{:.1f} MiB", memory / (1 << 20)));
  out += render_stages(call, style);
  const json::object& error = object_of(call, "error");
  if (!error.empty()) {
    row("error",
        fmt::format("{}: {}", style.bad(text_of(error, "code")), text_of(error, "message")));
    if (const std::string stack = text_of(error, "stack_trace"); !stack.empty())
      out += style.faint(stack) + "\n";
  }
  row("params", text_of(call, "request_payload"));
  row("result", text_of(call, "response_payload"));
  for (const json::value& line : array_of(call, "logs")) {
    if (out.back() == '\n' && &line == array_of(call, "logs").data()) out += "  log\n";
    out += "    " + render_log_line(json::serialize(line), style);
  }
  if (const double dropped = number_of(metrics, "log_bytes_dropped"); dropped > 0)
    out += style.faint(fmt::format("    {} more bytes of its log were over the limit\n", dropped));
  return out;
}

void append_query(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-:";
  fmt::format_to(std::back_inserter(out), "{}{}=", out.contains('?') ? "&" : "?", name);
  for (const char c : value) {
    if (kPlain.contains(c)) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
}

}  // namespace

std::string path_with_query(std::string_view path, const CallsWanted& wanted) {
  std::string out(path);
  append_query(out, "function", wanted.function);
  append_query(out, "session", wanted.session);
  append_query(out, "call", wanted.call);
  append_query(out, "status", wanted.status);
  append_query(out, "since", wanted.since);
  return out;
}

CommandResult show_refusal(const CallsWanted& wanted, const Result<http::ClientResponse>& answer) {
  if (!answer) {
    const bool usage = answer.error().code == ErrorCode::kInvalidArgument;
    return {.exit_code = usage ? kUsage : kUnreachable,
            .error = usage ? answer.error().message + "\n"
                           : fmt::format("No answer from {}: {}. Start it: seam serve\n",
                                         wanted.url, answer.error().message)};
  }
  CommandResult result{.exit_code = answer->status == 400 || answer->status == 404 ? kUsage
                                    : answer->status == 503                        ? kUnreachable
                                                                                   : kFailed};
  const auto body = JsonObjectText::parse(answer->body);
  const auto error = JsonObjectText::parse(body ? body->find("error").value_or(std::string_view())
                                                : std::string_view());
  const auto message = error ? error->find("message") : std::nullopt;
  result.error = message && is_json_string(*message)
                     ? decode_json_string(*message) + "\n"
                     : fmt::format("The server answered {} with something that is not Seam's\n",
                                   answer->status);
  return result;
}

CommandResult show_calls(const CallsWanted& wanted, const Style& style) {
  const bool one = is_uuid(wanted.function);
  std::string path;
  if (one) {
    path = "/api/v1/calls/" + wanted.function;
  } else {
    path = path_with_query("/api/v1/calls", wanted);
    path += path.contains('?') ? "&" : "?";
    path += kPageSize;
  }
  const Result<http::ClientResponse> answer = http::fetch({.url = wanted.url + path});
  if (!answer || answer->status != 200) return show_refusal(wanted, answer);
  if (wanted.json) return {.out = answer->body + "\n"};
  boost::system::error_code error;
  const json::value value = json::parse(answer->body, error);
  if (error || !value.is_object())
    return {.exit_code = kFailed, .error = "The server's answer is not what Seam answers\n"};
  return {.out = one ? render_picture(value.get_object(), style)
                     : render_table(value.get_object(), style)};
}

}  // namespace seam::cli
