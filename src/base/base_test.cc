// The small parts of base: times, identifiers, base64.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/base64.h"
#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/identifier.h"
#include "base/log.h"

namespace seam {
namespace {

TEST(Rfc3339, FormatsAndParsesBackToTheMicrosecond) {
  const WallTime time(seconds(1'767'323'045) + microseconds(6));
  EXPECT_EQ(format_rfc3339(time), "2026-01-02T03:04:05.000006Z");
  EXPECT_EQ(parse_rfc3339("2026-01-02T03:04:05.000006Z"), time);
}

TEST(Rfc3339, TakesOffsetsFractionsAndLowerCase) {
  EXPECT_EQ(*parse_rfc3339("2026-01-02T03:04:05+01:30"), *parse_rfc3339("2026-01-02t01:34:05z"));
  EXPECT_EQ(*parse_rfc3339("2024-02-29T23:59:59.1234567Z"),
            *parse_rfc3339("2024-02-29T23:59:59.123456Z"));
}

TEST(Rfc3339, RefusesWhatIsNoDateTime) {
  for (const std::string text :
       {"", "2026-01-02", "2026-01-02T03:04:05", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-01-02T24:00:00Z", "2026-01-02T03:60:00Z", "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05Zx", "2026-01-02T03:04:05+1:00", "x026-01-02T03:04:05Z"}) {
    const Result<WallTime> time = parse_rfc3339(text);
    ASSERT_FALSE(time.has_value()) << text;
    EXPECT_EQ(time.error().message,
              "'" + text + "' is not an RFC 3339 time such as 2026-01-02T03:04:05Z");
  }
}

TEST(Deadline, IsRelativeToItsClock) {
  ManualClock clock;
  const Deadline deadline = Deadline::after(clock, milliseconds(10));
  EXPECT_FALSE(deadline.passed(clock.now()));
  EXPECT_EQ(deadline.remaining(clock.now()), milliseconds(10));
  clock.advance(milliseconds(11));
  EXPECT_TRUE(deadline.passed(clock.now()));
  EXPECT_EQ(deadline.remaining(clock.now()), nanoseconds(0));
  EXPECT_FALSE(Deadline::never().passed(clock.now()));
}

TEST(Uuid, IsRandomAndHasItsShape) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = random_uuid();
    EXPECT_TRUE(is_uuid(id)) << id;
    EXPECT_EQ(id[14], '4');
    EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos);
    EXPECT_TRUE(seen.insert(id).second);
  }
  EXPECT_FALSE(is_uuid("0b8f5c9e-0000-4000-8000-00000000000G"));
  EXPECT_FALSE(is_uuid("0b8f5c9e00004000800000000000000000000"));
}

TEST(Uuid, OfATimeSortsByIt) {
  const WallTime time(seconds(1'767'323'045) + milliseconds(7));
  const std::string id = time_ordered_uuid(time);
  EXPECT_TRUE(is_uuid(id)) << id;
  EXPECT_EQ(id.substr(0, 15), "019b7ca9-8c8f-7") << id;
  EXPECT_LT(id, time_ordered_uuid(time + milliseconds(1)));
  EXPECT_NE(id, time_ordered_uuid(time));
}

TEST(Sha256, MatchesTheStandardsExample) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Base64, HoldsTheVectorsOfItsRfc) {
  const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(encode_base64(bytes), text);
    EXPECT_EQ(decode_base64(text), bytes);
  }
  EXPECT_EQ(decode_base64("Zm9v\r\nYmFy"), "foobar");
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(decode_base64(encode_base64(all)), all);
}

TEST(Base64, RefusesWhatIsNot) {
  for (const std::string text : {"Z", "Zg", "Zg=", "Zg==Zg==", "Zm9v*", "=", "====", "Zm9vYg=a"}) {
    EXPECT_FALSE(decode_base64(text).has_value()) << text;
  }
  EXPECT_EQ(decode_base64("Zm9v*").error().message, "not base64: unexpected character at byte 4");
}

TEST(LogLevel, NamesWhatIsRight) {
  EXPECT_EQ(parse_log_level("warn"), LogLevel::kWarning);
  EXPECT_EQ(parse_log_level("loud").error().message,
            "'loud' is not a log level: use debug, info, warn, error or off");
}

TEST(ErrorOfErrno, SaysWhatAndWhy) {
  EXPECT_EQ(fail_errno("open x", ENOENT).error(),
            (Error{ErrorCode::kNotFound, "open x: No such file or directory", ""}));
}

}  // namespace
}  // namespace seam
