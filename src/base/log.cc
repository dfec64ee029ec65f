#include "base/log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <mutex>

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

// Made at the first line, not before main: its thread must not exist when the spawner is forked
// off.
spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    spdlog::init_thread_pool(kQueuedLinesMax, 1);
    auto made = spdlog::create_async_nb<spdlog::sinks::stderr_color_sink_mt>("seam");
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
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
void log_line(LogLevel level, std::string_view line) {
  logger().log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}
void flush_log() { spdlog::shutdown(); }

}  // namespace seam
