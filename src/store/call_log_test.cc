#include "store/call_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <vector>

namespace seam::store {
namespace {

constexpr WallTime kStart{microseconds(1'700'000'000'000'000)};

CallRecord record_at_start() {
  CallRecord record;
  record.started_at = kStart;
  return record;
}

// "1 stdout +1500 text" of each line.
std::vector<std::string> lines_of(const CallRecord& record) {
  std::vector<std::string> out;
  for_each_line(record, [&](const LogLine& line) {
    out.push_back(fmt::format("{} {} +{} {}", line.number, to_string(line.stream),
                              (line.time - record.started_at).count(), line.text));
  });
  return out;
}

using Lines = std::vector<std::string>;

TEST(CallLogTest, KeepsStreamAndTimeOfEachLine) {
  CallRecord record = record_at_start();
  CallLog log(record);
  log.add(LogStream::kStdout, kStart + microseconds(5), "one\ntw");
  log.add(LogStream::kStderr, kStart + microseconds(1500), "careful\n");
  log.add(LogStream::kStdout, kStart + microseconds(9000), "o\nlast");
  log.finish();
  EXPECT_EQ(record.logs, "one\ntwcareful\no\nlast");
  EXPECT_EQ(record.log_marks, "o5:6 e1500:8 o9000:6 ");
  EXPECT_EQ(lines_of(record), (Lines{"1 stdout +5 one", "2 stderr +1500 careful",
                                     "3 stdout +9000 two", "4 stdout +9000 last"}));
}

TEST(CallLogTest, PartsWithinAMillisecondShareAMark) {
  CallRecord record = record_at_start();
  CallLog log(record);
  for (int i = 0; i < 100; ++i) log.add(LogStream::kStdout, kStart + microseconds(i), "x");
  log.finish();
  EXPECT_EQ(record.log_marks, "o0:100 ");
}

TEST(CallLogTest, MarksAreBounded) {
  CallRecord record = record_at_start();
  CallLog log(record);
  for (int i = 0; i < 100'000; ++i)
    log.add(i % 2 == 0 ? LogStream::kStdout : LogStream::kStderr, kStart + microseconds(i), "x\n");
  log.finish();
  EXPECT_LT(record.log_marks.size(), kLogMarksMax * 20);
  EXPECT_EQ(lines_of(record).size(), 100'000U);
}

TEST(CallLogTest, ARecordOfAnEarlierVersionHasLinesOfUnknownStream) {
  CallRecord record = record_at_start();
  record.logs = "a\nb";
  EXPECT_EQ(lines_of(record), (Lines{"1  +0 a", "2  +0 b"}));
}

TEST(CallLogTest, MarksThatDoNotFitAreLeftWhereTheyGoWrong) {
  for (const char* marks : {"o5:2 x5:3 ", "o5:2 e:3 ", "o5:2 e5: ", "o5:2 e5:3", "o5:2 e-5:3 ",
                            "o5:2 o99999999999999999999:3 ", "o5:2 o5:99999999999999999999 ",
                            "o5:2 o9000000000000000000:1 ", "o5:2 "}) {
    CallRecord record = record_at_start();
    record.logs = "a\nb\n";
    record.log_marks = marks;
    EXPECT_EQ(lines_of(record), (Lines{"1 stdout +5 a", "2  +0 b"})) << marks;
  }
  CallRecord record = record_at_start();
  record.logs = "a\n";
  record.log_marks = "o5:200 e6:1 ";
  EXPECT_EQ(lines_of(record), Lines{"1 stdout +5 a"});
}

TEST(CallLogTest, LongLinesComeInPieces) {
  CallRecord record = record_at_start();
  CallLog log(record);
  for (int i = 0; i < 5; ++i)
    log.add(LogStream::kStdout, kStart, std::string(kLogLineBytesMax / 2 + 1, 'x'));
  log.add(LogStream::kStdout, kStart, "\n\nend\n");
  log.finish();
  std::vector<std::size_t> sizes;
  for_each_line(record, [&](const LogLine& line) { sizes.push_back(line.text.size()); });
  EXPECT_EQ(sizes, (std::vector<std::size_t>{kLogLineBytesMax, kLogLineBytesMax,
                                             kLogLineBytesMax / 2 + 5, 0, 3}));
}

// A reader that comes in the middle counts on from the same number.
TEST(CallLogTest, LinesOfACallThatStillPrintsGoOn) {
  CallRecord record = record_at_start();
  CallLog log(record);
  log.add(LogStream::kStdout, kStart, "one\ntw");
  log.finish();
  LogLines lines;
  add_lines(record, lines, [](const LogLine&) {});
  Lines live;
  lines.add(LogStream::kStdout, kStart, "o\n", [&](const LogLine& line) {
    live.push_back(fmt::format("{} {}", line.number, line.text));
  });
  EXPECT_EQ(live, Lines{"2 two"});
}

}  // namespace
}  // namespace seam::store
