#include "functions/cache_control.h"

#include <gtest/gtest.h>

#include <string>

namespace seam::functions {
namespace {

TEST(CacheControl, ReadsItsThreeDirectives) {
  EXPECT_EQ(CacheControl::parse("max-age=60")->max_age, seconds(60));
  EXPECT_EQ(CacheControl::parse("max-age=0")->max_age, seconds(0));
  EXPECT_TRUE(CacheControl::parse("no-cache")->no_cache);
  EXPECT_TRUE(CacheControl::parse("No-Store")->no_store);
  const Result<CacheControl> all = CacheControl::parse(" MAX-AGE=\"7\" ,no-cache,, no-store\t");
  ASSERT_TRUE(all.has_value());
  EXPECT_EQ(all->max_age, seconds(7));
  EXPECT_TRUE(all->no_cache);
  EXPECT_TRUE(all->no_store);
}

TEST(CacheControl, EmptySaysNothing) {
  for (const std::string text : {"", " ", ",", " , "}) {
    const Result<CacheControl> control = CacheControl::parse(text);
    ASSERT_TRUE(control.has_value()) << text;
    EXPECT_FALSE(control->max_age.has_value() || control->no_cache || control->no_store);
  }
}

TEST(CacheControl, TheStricterOfTwoAgesHoldsAndAHugeOneIsCut) {
  EXPECT_EQ(CacheControl::parse("max-age=5, max-age=9")->max_age, seconds(5));
  EXPECT_EQ(CacheControl::parse("max-age=9, max-age=5")->max_age, seconds(5));
  EXPECT_EQ(CacheControl::parse("max-age=" + std::string(400, '9'))->max_age,
            seconds(std::int64_t{1} << 31));
}

TEST(CacheControl, RefusesWhatItDoesNotKnow) {
  for (const std::string text :
       {"max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=1s", "max-age= 1",
        "max-age=\"", "max-age=\"\"", "no-cache=1", "no-cache no-store", "maxage=1", "private",
        "max-age=1;no-cache", "max-stale=1", "=", "=1"}) {
    const Result<CacheControl> control = CacheControl::parse(text);
    ASSERT_FALSE(control.has_value()) << text;
    EXPECT_EQ(control.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(
      CacheControl::parse("no-cache, maxage=60").error().message,
      "X-Cache-Control has 'maxage=60': it may have max-age=<seconds>, no-cache and no-store, "
      "separated by commas");
}

TEST(CacheTerms, NothingIsKeptUnlessSomebodyWantsIt) {
  EXPECT_FALSE(CacheTerms::of({}, {}, {}, {}).keep);
  EXPECT_FALSE(CacheTerms::of({.no_cache = true}, {}, {}, {}).keep);
  EXPECT_TRUE(CacheTerms::of({}, {}, {}, {.by_default = true}).keep);
  EXPECT_TRUE(CacheTerms::of({}, {}, true, {}).keep);
  EXPECT_TRUE(CacheTerms::of({}, true, {}, {}).keep);
  EXPECT_TRUE(CacheTerms::of({.max_age = seconds(0)}, {}, {}, {}).keep);
}

TEST(CacheTerms, TheRequestIsStrongerThanTheContextThanTheFunctionThanTheServer) {
  EXPECT_FALSE(CacheTerms::of({}, {}, false, {.by_default = true}).keep);
  EXPECT_FALSE(CacheTerms::of({}, false, true, {.by_default = true}).keep);
  EXPECT_TRUE(CacheTerms::of({}, true, false, {}).keep);
  EXPECT_TRUE(CacheTerms::of({.max_age = seconds(1)}, false, false, {}).keep);
  EXPECT_FALSE(CacheTerms::of({.max_age = seconds(1), .no_store = true}, true, true, {}).keep);
}

TEST(CacheTerms, SayHowOldAResultMayBeAndHowLongThisOneIsKept) {
  const CachePolicy policy{.ttl = seconds(100)};
  const CacheTerms plain = CacheTerms::of({}, {}, true, policy);
  EXPECT_TRUE(plain.look);
  EXPECT_EQ(plain.age_max, seconds(100));
  EXPECT_EQ(plain.keep_for, seconds(100));
  const CacheTerms shorter = CacheTerms::of({.max_age = seconds(5)}, {}, true, policy);
  EXPECT_EQ(shorter.age_max, seconds(5));
  EXPECT_EQ(shorter.keep_for, seconds(100));
  const CacheTerms longer = CacheTerms::of({.max_age = seconds(500)}, {}, {}, policy);
  EXPECT_EQ(longer.age_max, seconds(500));
  EXPECT_EQ(longer.keep_for, seconds(500));
  EXPECT_FALSE(CacheTerms::of({.no_cache = true}, {}, true, policy).look);
}

}  // namespace
}  // namespace seam::functions
