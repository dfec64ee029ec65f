#include "base/log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <mutex>
#include <system_error>

#include "base/clock.h"
#include "base/json_text.h"
#include "base/log_format.h"

namespace seam {
namespace {

constexpr std::size_t kQueuedLinesMax = 8192;

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::off;
}

std::atomic<LogLevel> wanted_level{LogLevel::kInfo};
std::atomic<LogFormat> wanted_format{LogFormat::kText};
std::atomic<std::string (*)(std::string_view)> wanted_mask{nullptr};

std::string_view name_of(LogLevel level) {
  const auto name = spdlog::level::to_string_view(spdlog_level(level));
  return {name.data(), name.size()};
}

// What stands in place of the line itself.
std::string render(LogLevel level, const LogSubject& subject, std::string_view text) {
  const bool json = wanted_format == LogFormat::kJson;
  std::string out;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    if (!json) {
      out.append(" ").append(name).append("=").append(value);
      return;
    }
    out.append(",\"").append(name).append("\":");
    append_json_string(out, value);
  };
  if (json) {
    out = fmt::format(R"({{"time":"{}","level":"{}","message":)",
                      format_rfc3339(Clock::real().wall_now()), name_of(level));
    append_json_string(out, text);
  } else {
    out = text;
  }
  add("request_id", subject.request_id);
  add("call_id", subject.call_id);
  if (json) out += '}';
  return out;
}

// Made at the first line, not before main: its thread must not exist when the spawner is forked
// off.
spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    std::shared_ptr<spdlog::logger> made;
    try {
      spdlog::init_thread_pool(kQueuedLinesMax, 1);
      made = spdlog::create_async_nb<spdlog::sinks::stderr_color_sink_mt>("seam");
    } catch (const std::system_error&) {
      // No thread to be had: whoever logs then writes the line.
      made = spdlog::stderr_color_mt("seam");
    }
    made->set_pattern(wanted_format == LogFormat::kJson ? "%v" : "%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v",
                      spdlog::pattern_time_type::utc);
    made->set_level(spdlog::level::debug);
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *instance;
}

}  // namespace

Result<LogLevel> parse_log_level(std::string_view text) {
  if (text == "debug") return LogLevel::kDebug;
  if (text == "info") return LogLevel::kInfo;
  if (text == "warn" || text == "warning") return LogLevel::kWarning;
  if (text == "error") return LogLevel::kError;
  if (text == "off") return LogLevel::kOff;
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is not a log level: use debug, info, warn, error or off", text));
}

void set_log_level(LogLevel level) { wanted_level = level; }
bool log_enabled(LogLevel level) { return level >= wanted_level.load(std::memory_order_relaxed); }
void set_log_format(LogFormat format) { wanted_format = format; }
void set_log_mask(std::string (*mask)(std::string_view)) { wanted_mask = mask; }
void log_line(LogLevel level, std::string_view line) { log_line(level, {}, line); }
void log_line(LogLevel level, const LogSubject& subject, std::string_view line) {
  spdlog::logger& log = logger();
  const auto mask = wanted_mask.load(std::memory_order_relaxed);
  const std::string text = render(level, subject, mask != nullptr ? mask(line) : std::string(line));
  log.log(spdlog_level(level), spdlog::string_view_t(text.data(), text.size()));
}
void flush_log() { spdlog::shutdown(); }

}  // namespace seam
