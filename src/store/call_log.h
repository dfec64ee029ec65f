#pragma once
// What a call prints: how its record keeps it, and the lines that it makes.
//
//   CallLog log(record);
//   log.add(LogStream::kStderr, clock.wall_now(), "warning: ");       // any bytes, as they come
//   log.finish();                                                     // record.log_marks is whole
//   for_each_line(record, [](const LogLine& line) { … });
//
// A record has the text of both streams in the order in which it came, and marks beside it that say
// of each part its stream and its moment: `o0:7 e1200:12 ` is 7 bytes to stdout at the start of the
// call, then 12 bytes to stderr 1.2 ms later. Parts of one stream within a millisecond share a
// mark; a call that alternates more often than kLogMarksMax lets the last mark stand for the rest.

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "store/call_record.h"

namespace seam::store {

enum class LogStream : std::uint8_t { kStdout = 0, kStderr = 1, kUnknown = 2 };
[[nodiscard]] std::string_view to_string(LogStream stream);  // "stdout", "stderr", ""

inline constexpr std::size_t kLogMarksMax = 4096;
inline constexpr std::size_t kLogLineBytesMax = 16U << 10U;  // a longer line comes as several

struct LogLine {
  std::uint32_t number = 0;  // of the call's lines, from 1; the same whoever reads them
  LogStream stream = LogStream::kUnknown;
  WallTime time;          // when it was complete
  std::string_view text;  // without its line feed; any bytes; valid during the call that shows it
};
using TakeLine = std::function<void(const LogLine&)>;

// Fills a record's logs and log_marks. Borrows the record.
class CallLog {
 public:
  explicit CallLog(CallRecord& record) : record_(record) {}
  void add(LogStream stream, WallTime time, std::string_view bytes);
  // Writes the mark of the last part. add() may follow all the same.
  void finish();

 private:
  CallRecord& record_;
  std::size_t marks_ = 0;
  LogStream stream_ = LogStream::kStdout;
  std::int64_t at_us_ = 0;  // of the part that has no mark yet, since the start of the call
  std::size_t bytes_ = 0;   // and its length
};

// Puts parts together into lines: a line is shown when its line feed comes.
class LogLines {
 public:
  void add(LogStream stream, WallTime time, std::string_view bytes, const TakeLine& take);
  // Shows what has no line feed.
  void finish(const TakeLine& take);

 private:
  struct Partial {
    std::string text;
    WallTime time;
  };
  void show(LogStream stream, WallTime time, std::string_view text, const TakeLine& take);

  std::array<Partial, 3> partial_;  // by stream
  std::uint32_t shown_ = 0;
};

// The lines of a record. Marks that do not fit the text, or are missing, as in a record of an
// earlier version, leave lines of unknown stream with the time of the call's start.
void for_each_line(const CallRecord& record, const TakeLine& take);
// The same, leaving the last lines open in `lines`: for a call that still prints.
void add_lines(const CallRecord& record, LogLines& lines, const TakeLine& take);

}  // namespace seam::store
