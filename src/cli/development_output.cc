#include "cli/development_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "base/json_text.h"
#include "base/utf8_cut.h"
#include "cli/api_client.h"
#include "cli/call_commands.h"
#include "store/call_log.h"

namespace seam::cli {
namespace {

constexpr int kWaitingMax = 4096;          // lines that wait to be written
constexpr std::size_t kCallsMax = 4096;    // whose shown lines are remembered
constexpr std::size_t kResultShown = 160;  // bytes
constexpr std::string_view kIndent = "          ";

double milliseconds_of(nanoseconds span) {
  return std::chrono::duration<double, std::milli>(span).count();
}

std::string shortened(std::string_view text) {
  if (text.size() <= kResultShown) return harmless(text);
  return harmless(utf8_cut(text, kResultShown)) + "…";
}

// Each line harmless and indented.
std::string indented(std::string_view text, const Style& style) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out += fmt::format("{}{}\n", kIndent, style.faint(harmless(text.substr(0, end))));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::string as_json(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string curl_line(const std::string& url, const std::string& function,
                      const std::string& params) {
  return fmt::format("curl -s {}/api/v1/functions/{}/invoke --json {}", url, function,
                     quoted_for_shell(fmt::format("{{\"params\": {}}}", params)));
}

}  // namespace

DevelopmentOutput::DevelopmentOutput(DevelopmentOutputOptions options)
    : options_(std::move(options)), thread_([this] { loop_.run(); }) {}

DevelopmentOutput::~DevelopmentOutput() {
  loop_.post([this] { loop_.stop(); });
}

void DevelopmentOutput::post(Work work) {
  if (waiting_.fetch_add(1) >= kWaitingMax) {
    --waiting_;
    ++dropped_;
    return;
  }
  loop_.post([this, work = std::move(work)]() mutable {
    --waiting_;
    work();
    if (const std::uint64_t dropped = waiting_ == 0 ? dropped_.exchange(0) : 0; dropped > 0) {
      write(options_.json
                ? fmt::format("{{\"event\":\"dropped\",\"lines\":{}}}\n", dropped)
                : options_.style.bad(fmt::format("… {} lines came too fast to be shown", dropped)) +
                      "\n");
    }
  });
}

void DevelopmentOutput::write(const std::string& text) {
  if (closed_) return;
  const bool whole = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (std::fflush(stdout) == 0 && whole) return;
  closed_ = true;
  if (options_.on_closed) options_.on_closed();
}

std::string DevelopmentOutput::time_column() const {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  return options_.style.faint(
      fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec));
}

void DevelopmentOutput::listening(const Listening& what) {
  post([this, what] {
    if (options_.json) {
      write(fmt::format("{{\"event\":\"listening\",\"url\":{},\"function\":{},\"path\":{}}}\n",
                        as_json(what.url), as_json(what.function), as_json(what.path)));
      return;
    }
    write(
        fmt::format("{} from {}\n  url    {}\n  try    {}\n{}  stop   Ctrl-C\n",
                    options_.style.bold(what.function), what.path, what.url,
                    curl_line(what.url, what.function, what.params),
                    what.isolated ? "" : "  isolation is OFF: the function can do what you can\n"));
  });
}

void DevelopmentOutput::renamed(const std::string& function, const std::string& url,
                                const std::string& params) {
  post([this, function, url, params] {
    write(options_.json
              ? fmt::format("{{\"event\":\"renamed\",\"function\":{}}}\n", as_json(function))
              : fmt::format("{}  now called {}\n  try    {}\n", time_column(),
                            options_.style.bold(function), curl_line(url, function, params)));
  });
}

void DevelopmentOutput::reloaded(std::int64_t version, nanoseconds took) {
  post([this, version, took] {
    write(options_.json
              ? fmt::format("{{\"event\":\"reloaded\",\"version\":{},\"duration_ms\":{:.3f}}}\n",
                            version, milliseconds_of(took))
              : fmt::format("{}  {}\n", time_column(),
                            options_.style.good(fmt::format("version {} answers ({:.0f} ms)",
                                                            version, milliseconds_of(took)))));
  });
}

void DevelopmentOutput::failed(const Failure& failure) {
  post([this, failure] {
    if (options_.json) {
      write(fmt::format(
          "{{\"event\":\"reload_failed\",\"message\":{},\"place\":{},\"excerpt\":{},"
          "\"serving_version\":{}}}\n",
          as_json(failure.message), failure.place.empty() ? "null" : as_json(failure.place),
          failure.excerpt.empty() ? "null" : as_json(failure.excerpt),
          failure.serving == 0 ? "null" : std::to_string(failure.serving)));
      return;
    }
    const std::string place = failure.place.empty() ? "" : harmless(failure.place) + "  ";
    const std::size_t end = std::min(failure.message.find('\n'), failure.message.size());
    std::string text =
        fmt::format("{}  {}{}\n", time_column(), options_.style.bold(place),
                    options_.style.bad(harmless(std::string_view(failure.message).substr(0, end))));
    text += indented(
        std::string_view(failure.message).substr(std::min(end + 1, failure.message.size())),
        options_.style);
    text += indented(failure.excerpt, options_.style);
    text += fmt::format(
        "{}{}\n", kIndent,
        failure.serving == 0
            ? "nothing answers yet: change it, and it is tried again"
            : fmt::format("version {} keeps answering until this is mended", failure.serving));
    write(text);
  });
}

void DevelopmentOutput::note(const std::string& text) {
  post([this, text] {
    write(options_.json ? fmt::format("{{\"event\":\"note\",\"text\":{}}}\n", as_json(text))
                        : fmt::format("{}  {}\n", time_column(), options_.style.faint(text)));
  });
}

void DevelopmentOutput::result(std::int64_t version, const std::string& json) {
  post([this, version, json] {
    write(options_.json ? fmt::format("{{\"event\":\"result\",\"version\":{},\"result\":{}}}\n",
                                      version, json)
                        : harmless_lines(indent_json(json)) + "\n");
  });
}

void DevelopmentOutput::call(store::CallRecord record) {
  post([this, record = std::move(record)] { show(record); });
}

void DevelopmentOutput::logs(const std::vector<functions::LogEntry>& entries) {
  for (const functions::LogEntry& entry : entries) {
    const Result<JsonObjectText> line = JsonObjectText::parse(entry.text);
    if (!line || entry.call_id.empty()) {
      std::string_view text = entry.text;
      if (text.ends_with('\n')) text.remove_suffix(1);
      write(options_.json ? fmt::format("{{\"event\":\"log\",\"log\":{}}}\n", text)
                          : render_log_line(text, options_.style));
      continue;
    }
    std::uint32_t number = 0;
    const std::string_view digits = line->find("line").value_or("0");
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    log_line(entry.call_id, number, entry.text);
  }
}

// `json` is a line as functions::append_line_json() writes it.
void DevelopmentOutput::log_line(const std::string& call_id, std::uint32_t number,
                                 std::string_view json) {
  const auto [last, fresh] = shown_.try_emplace(call_id, 0);
  if (fresh) {
    order_.push_back(call_id);
    if (order_.size() > kCallsMax) {
      shown_.erase(order_.front());
      order_.pop_front();
    }
  }
  if (number <= last->second) return;
  last->second = number;
  if (json.ends_with('\n')) json.remove_suffix(1);
  if (options_.json) {
    write(fmt::format("{{\"event\":\"log\",\"log\":{}}}\n", json));
    return;
  }
  const Result<JsonObjectText> line = JsonObjectText::parse(json);
  const std::string text =
      harmless(decode_json_string(line ? line->find("text").value_or("\"\"") : "\"\""));
  const bool error = line && line->find("stream") == "\"stderr\"";
  write(fmt::format("{}{} {}\n", kIndent, options_.style.faint("|"),
                    error ? options_.style.bad(text) : text));
}

void DevelopmentOutput::show(const store::CallRecord& record) {
  store::for_each_line(record, [&](const store::LogLine& line) {
    std::string json;
    functions::append_line_json(json, record, line);
    log_line(record.call_id, line.number, json);
  });
  const double took = static_cast<double>(record.duration_us) / 1e3;
  const bool good = record.status_code == 200;
  const bool whole = good && check_json(record.response_payload).has_value();
  if (options_.json) {
    std::string text = fmt::format(
        "{{\"event\":\"call\",\"call_id\":\"{}\",\"function\":{},\"status\":{},\"duration_ms\":{:."
        "3f},"
        "\"cached\":{}",
        record.call_id, as_json(record.language_title), record.status_code, took, record.cached);
    if (whole) {
      text += ",\"result\":" + record.response_payload;
    } else if (good) {
      text += ",\"result_begins\":" + as_json(record.response_payload);
    } else {
      text += fmt::format(",\"error\":{{\"code\":{},\"message\":{},\"stack_trace\":{}}}",
                          as_json(record.error_code), as_json(record.error_message),
                          record.stack_trace.empty() ? "null" : as_json(record.stack_trace));
    }
    write(text + "}\n");
    return;
  }
  const std::string head = fmt::format(
      "{}  {} {}  {:.1f} ms", time_column(), record.has_session ? "execute" : "invoke",
      good ? options_.style.good("200") : options_.style.bad(std::to_string(record.status_code)),
      took);
  if (good) {
    write(fmt::format("{}{}{}\n", head, record.cached ? ", cached" : "",
                      options_.show_results ? "  " + shortened(record.response_payload) : ""));
    return;
  }
  std::string text =
      fmt::format("{}  {}: {}\n", head, record.error_code, shortened(record.error_message));
  std::string_view stack = record.stack_trace;
  if (const std::size_t end = stack.find('\n'); stack.substr(0, end) == record.error_message)
    stack.remove_prefix(end == std::string_view::npos ? stack.size() : end + 1);
  while (stack.ends_with('\n')) stack.remove_suffix(1);
  text += indented(stack, options_.style);
  write(text);
}

}  // namespace seam::cli
