#include "api/moment.h"

#include <gtest/gtest.h>

namespace seam::api {
namespace {

constexpr WallTime kNow{seconds(1'700'000'000)};

TEST(Moment, IsATimeOrHowLongAgo) {
  EXPECT_EQ(parse_moment("90s", kNow), kNow - seconds(90));
  EXPECT_EQ(parse_moment("15m", kNow), kNow - seconds(900));
  EXPECT_EQ(parse_moment("2h", kNow), kNow - seconds(7200));
  EXPECT_EQ(parse_moment("7d", kNow), kNow - seconds(7 * 86'400));
  EXPECT_EQ(parse_moment("0s", kNow), kNow);
  EXPECT_EQ(parse_moment("36500d", kNow), kNow - seconds(36'500LL * 86'400));
  EXPECT_EQ(parse_moment("2023-11-14T22:13:20Z", kNow), kNow);
  EXPECT_EQ(parse_moment("2023-11-15T00:13:20.000001+02:00", kNow), kNow + microseconds(1));
}

TEST(Moment, AnythingElseIsRefusedWithTheRemedy) {
  for (const char* text : {"", "m", "15", "-15m", "+15m", "1.5h", "15 m", "15M", "1h30m", "36501d",
                           "99999999999999999999s", "9223372036854775807d", "yesterday",
                           "2023-11-14", "2023-02-30T00:00:00Z"}) {
    const Result<WallTime> moment = parse_moment(text, kNow);
    ASSERT_FALSE(moment.has_value()) << text;
    EXPECT_EQ(moment.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(moment.error().message,
              "'" + std::string(text) +
                  "' is not a moment: give a time such as 2026-01-02T03:04:05Z, or how long ago: "
                  "90s, 15m, 2h, 7d");
  }
}

}  // namespace
}  // namespace seam::api
