#pragma once
// How the server's own log (base/log.h) is written: as text for people, or one JSON object a line
// for programs, with secrets taken out either way.
//
//   set_log_format(LogFormat::kJson);         // before the first line
//   log_line(LogLevel::kError, {.request_id = id}, "the database is gone");
//   // {"time":"2026-…Z","level":"error","message":"the database is gone","request_id":"…"}

#include <string>
#include <string_view>

#include "base/log.h"

namespace seam {

enum class LogFormat { kText, kJson };

// Before the first line; later calls change nothing.
void set_log_format(LogFormat format);
// Every line passes through it before it is written. Before other threads exist; static.
void set_log_mask(std::string (*mask)(std::string_view));

// What a line is about, where there is one: fields of the JSON, name=value at the end of the text.
struct LogSubject {
  std::string_view request_id = {};
  std::string_view call_id = {};
};
void log_line(LogLevel level, const LogSubject& subject, std::string_view line);

}  // namespace seam
