#include "store/call_record.h"

#include <gtest/gtest.h>

namespace seam::store {
namespace {

CallRecord make_full_record() {
  CallRecord record;
  record.call_id = "c";
  record.request_id = "r";
  record.has_session = true;
  record.language_title = "python-text_processor";
  record.implementation_id = -5;
  record.started_at = WallTime(microseconds(1'700'000'000'123'456));
  record.client_ip = "::1";
  record.user_id = std::string("a\0b", 3);
  record.request_headers = "{}";
  record.request_payload = R"({"a":1})";
  record.response_payload = "\"é\"";
  record.status_code = 504;
  record.duration_us = ~std::uint64_t{0};
  record.cached = true;
  record.error_code = "TIMEOUT";
  record.error_message = "over 30 s";
  record.stack_trace = "at x";
  record.logs = std::string(100'000, 'l');
  record.log_marks = "o0:100000 ";
  record.runtime_metrics = R"({"run_us":1})";
  record.session_expires_at = WallTime(microseconds(-1));
  return record;
}

std::string encoded(const CallRecord& record) {
  std::string out;
  encode(record, out);
  return out;
}

TEST(CallRecordTest, RoundTrips) {
  for (const CallRecord& record : {CallRecord{}, make_full_record()}) {
    const Result<CallRecord> back = decode(encoded(record));
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(*back, record);
  }
  std::string out = "before";
  encode(CallRecord{}, out);
  EXPECT_EQ(out, "before" + encoded(CallRecord{}));
}

// As it stands in a journal that an earlier Seam left behind.
TEST(CallRecordTest, ARecordWithoutMarksIsRead) {
  CallRecord record = make_full_record();
  record.log_marks.clear();
  std::string bytes = encoded(record);
  bytes.resize(bytes.size() - sizeof(std::uint32_t));  // the length of the marks
  bytes[0] = 1;
  const Result<CallRecord> back = decode(bytes);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, record);
}

TEST(CallRecordTest, PayloadsAreCutBetweenCharacters) {
  CallRecord record;
  record.request_payload = std::string(kPayloadBytesMax - 1, 'a') + "é";
  record.response_payload = std::string(kPayloadBytesMax, 'b') + "é";
  const Result<CallRecord> back = decode(encoded(record));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->request_payload, std::string(kPayloadBytesMax - 1, 'a'));
  EXPECT_EQ(back->response_payload, std::string(kPayloadBytesMax, 'b'));
}

TEST(CallRecordTest, EveryCutAndEveryExtraByteIsRefused) {
  CallRecord record = make_full_record();
  record.logs = "x";
  const std::string bytes = encoded(record);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(decode(bytes.substr(0, i)).error().code, ErrorCode::kDataLoss) << i;
  }
  EXPECT_FALSE(decode(bytes + "x").has_value());
  EXPECT_EQ(decode("").error().message, "not the record of a call");
}

// Goal: no byte that is flipped makes it crash or read beyond, and what is read is written alike.
TEST(CallRecordTest, FlippedBytesAreRefusedOrReadAsAnotherRecord) {
  CallRecord record = make_full_record();
  record.logs = "x";
  const std::string bytes = encoded(record);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      const Result<CallRecord> back = decode(damaged);
      if (back.has_value()) {
        EXPECT_EQ(encoded(*back), damaged);
      }
    }
  }
}

}  // namespace
}  // namespace seam::store
