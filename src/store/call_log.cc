#include "store/call_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace seam::store {
namespace {

constexpr std::int64_t kShareUs = 1000;

struct Mark {
  LogStream stream = LogStream::kUnknown;
  std::int64_t at_us = 0;
  std::size_t bytes = 0;
};

// Takes the first of the marks off; false where there is none, or it is none.
bool take_mark(std::string_view& marks, Mark& mark) {
  const std::size_t end = marks.find(' ');
  if (end == std::string_view::npos || end < 4) return false;
  const char* const last = marks.data() + end;
  if (marks[0] != 'o' && marks[0] != 'e') return false;
  mark.stream = marks[0] == 'o' ? LogStream::kStdout : LogStream::kStderr;
  const auto [colon, bad_time] = std::from_chars(marks.data() + 1, last, mark.at_us);
  // A year is more than a call may last, and keeps the sum within its type.
  constexpr std::int64_t kAtMax = 366LL * 86'400 * 1'000'000;
  if (bad_time != std::errc() || colon == last || *colon != ':' || mark.at_us < 0 ||
      mark.at_us > kAtMax)
    return false;
  const auto [stop, bad_bytes] = std::from_chars(colon + 1, last, mark.bytes);
  if (bad_bytes != std::errc() || stop != last) return false;
  marks.remove_prefix(end + 1);
  return true;
}

}  // namespace

std::string_view to_string(LogStream stream) {
  switch (stream) {
    case LogStream::kStdout:
      return "stdout";
    case LogStream::kStderr:
      return "stderr";
    case LogStream::kUnknown:
      return "";
  }
  return "";
}

void CallLog::add(LogStream stream, WallTime time, std::string_view bytes) {
  if (bytes.empty()) return;
  const std::int64_t at_us =
      std::max(std::int64_t{0}, std::int64_t{(time - record_.started_at).count()});
  const bool shares = bytes_ > 0 && stream == stream_ && at_us - at_us_ < kShareUs;
  if (!shares && marks_ + 1 < kLogMarksMax) {
    finish();
    stream_ = stream;
    at_us_ = at_us;
  }
  bytes_ += bytes.size();
  record_.logs.append(bytes);
}

void CallLog::finish() {
  if (bytes_ == 0) return;
  fmt::format_to(std::back_inserter(record_.log_marks), "{}{}:{} ",
                 stream_ == LogStream::kStdout ? 'o' : 'e', at_us_, bytes_);
  bytes_ = 0;
  ++marks_;
}

void LogLines::show(LogStream stream, WallTime time, std::string_view text, const TakeLine& take) {
  do {
    const std::string_view piece = text.substr(0, kLogLineBytesMax);
    take({.number = ++shown_, .stream = stream, .time = time, .text = piece});
    text.remove_prefix(piece.size());
  } while (!text.empty());
}

void LogLines::add(LogStream stream, WallTime time, std::string_view bytes, const TakeLine& take) {
  Partial& partial = partial_[static_cast<std::size_t>(stream)];
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) {
      partial.text.append(bytes);
      partial.time = time;
      // What is certain to be cut need not be kept.
      if (partial.text.size() >= kLogLineBytesMax) {
        const std::size_t whole = partial.text.size() / kLogLineBytesMax * kLogLineBytesMax;
        show(stream, time, std::string_view(partial.text).substr(0, whole), take);
        partial.text.erase(0, whole);
      }
      return;
    }
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (partial.text.empty()) {
      show(stream, time, line, take);
    } else {
      partial.text.append(line);
      show(stream, time, partial.text, take);
      partial.text.clear();
    }
  }
}

void LogLines::finish(const TakeLine& take) {
  for (const LogStream stream : {LogStream::kStdout, LogStream::kStderr, LogStream::kUnknown}) {
    Partial& partial = partial_[static_cast<std::size_t>(stream)];
    if (partial.text.empty()) continue;
    show(stream, partial.time, partial.text, take);
    partial.text.clear();
  }
}

void add_lines(const CallRecord& record, LogLines& lines, const TakeLine& take) {
  std::string_view text = record.logs;
  std::string_view marks = record.log_marks;
  Mark mark;
  while (!text.empty() && take_mark(marks, mark)) {
    const std::string_view part = text.substr(0, mark.bytes);
    text.remove_prefix(part.size());
    lines.add(mark.stream, record.started_at + microseconds(mark.at_us), part, take);
  }
  lines.add(LogStream::kUnknown, record.started_at, text, take);
}

void for_each_line(const CallRecord& record, const TakeLine& take) {
  LogLines lines;
  add_lines(record, lines, take);
  lines.finish(take);
}

}  // namespace seam::store
