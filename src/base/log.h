#pragma once
// The server's own log: one line an event on stderr, as text for people. What users' functions
// print is not here but with the records of their calls.
//
//   log_info("listening on http://{}:{}", host, port);
//
// Any thread. Never blocks a server thread: lines go through a bounded queue and the oldest are
// dropped, and counted, when stderr is too slow.

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace seam {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

// "debug", "info", "warn", "error" or "off".
// errors    kInvalidArgument   another word; the message lists these
[[nodiscard]] Result<LogLevel> parse_log_level(std::string_view text);

void set_log_level(LogLevel level);
[[nodiscard]] bool log_enabled(LogLevel level);
void log_line(LogLevel level, std::string_view line);
// Writes what is queued; before exit.
void flush_log();

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kDebug))
    log_line(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kInfo))
    log_line(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kWarning))
    log_line(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::kError))
    log_line(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace seam
