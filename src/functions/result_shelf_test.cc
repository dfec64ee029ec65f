#include "functions/result_shelf.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace seam::functions {
namespace {

constexpr MonotonicTime kNow{seconds(1000)};
constexpr MonotonicTime kLater{seconds(2000)};
constexpr std::size_t kPlain = ResultShelf::kEntryBytes;

CacheKeyView key(const std::string& text) {
  return {.hash = std::hash<std::string>{}(text), .text = text};
}

KeptResultPtr result(std::string json, MonotonicTime begun_at = kNow) {
  return std::make_shared<const KeptResult>(
      KeptResult{.json = std::move(json), .begun_at = begun_at, .kept_at = kNow});
}

TEST(ResultShelf, FindsWhatWasPutUntilItsTimeIsOver) {
  ResultShelf shelf(10'000, 10'000);
  EXPECT_EQ(shelf.find(key("a"), kNow), nullptr);
  EXPECT_TRUE(shelf.put(key("a"), result("1"), kLater));
  ASSERT_NE(shelf.find(key("a"), kNow), nullptr);
  EXPECT_EQ((*shelf.find(key("a"), kLater - nanoseconds(1)))->json, "1");
  EXPECT_EQ(shelf.find(key("b"), kNow), nullptr);
  EXPECT_EQ(shelf.bytes(), kPlain + 2);
  EXPECT_EQ(shelf.find(key("a"), kLater), nullptr);
  EXPECT_EQ(shelf.bytes(), 0U);
  EXPECT_EQ(shelf.size(), 0U);
  EXPECT_EQ(shelf.evicted(), 0U) << "nothing had to make room";
}

TEST(ResultShelf, TellsKeysOfOneHashApart) {
  ResultShelf shelf(10'000, 10'000);
  EXPECT_TRUE(shelf.put({.hash = 7, .text = "a"}, result("1"), kLater));
  EXPECT_EQ(shelf.find({.hash = 7, .text = "b"}, kNow), nullptr);
  EXPECT_TRUE(shelf.put({.hash = 7, .text = "b"}, result("2"), kLater));
  EXPECT_EQ((*shelf.find({.hash = 7, .text = "a"}, kNow))->json, "1");
  EXPECT_EQ((*shelf.find({.hash = 7, .text = "b"}, kNow))->json, "2");
}

TEST(ResultShelf, TheRunThatBeganLastWins) {
  ResultShelf shelf(10'000, 10'000);
  EXPECT_TRUE(shelf.put(key("a"), result("second", kNow + seconds(2)), kLater));
  EXPECT_FALSE(shelf.put(key("a"), result("first", kNow + seconds(1)), kLater));
  EXPECT_EQ((*shelf.find(key("a"), kNow))->json, "second");
  EXPECT_TRUE(shelf.put(key("a"), result("third", kNow + seconds(3)), kLater));
  EXPECT_EQ((*shelf.find(key("a"), kNow))->json, "third");
  EXPECT_EQ(shelf.size(), 1U);
  EXPECT_EQ(shelf.bytes(), kPlain + 1 + 5);
}

TEST(ResultShelf, TakesNoEntryOverItsShare) {
  ResultShelf shelf(10'000, 1000);
  EXPECT_TRUE(shelf.put(key("a"), result(std::string(1000 - kPlain - 1, 'x')), kLater));
  EXPECT_FALSE(shelf.put(key("b"), result(std::string(1000 - kPlain, 'x')), kLater));
  EXPECT_FALSE(shelf.put(key("a"), result(std::string(1000 - kPlain, 'x')), kLater));
  EXPECT_EQ(shelf.size(), 0U) << "an older result of this key is not answered any more";
}

TEST(ResultShelf, AFloodOfNewKeysStaysWithinTheBytesAndLeavesWhatIsAskedFor) {
  constexpr std::size_t kBytesMax = 100 * (kPlain + 20);
  ResultShelf shelf(kBytesMax, kBytesMax / 4);
  for (int i = 0; i < 20; ++i) shelf.put(key(fmt::format("kept{}", i)), result("1"), kLater);
  for (int i = 0; i < 10'000; ++i) {
    EXPECT_TRUE(shelf.put(key(fmt::format("flood{}", i)), result("12345"), kLater));
    ASSERT_LE(shelf.bytes(), kBytesMax);
    for (int j = 0; j < 20; ++j)
      ASSERT_NE(shelf.find(key(fmt::format("kept{}", j)), kNow), nullptr);
  }
  EXPECT_GT(shelf.size(), 90U);
  EXPECT_EQ(shelf.evicted(), 10'020 - shelf.size());
}

TEST(ResultShelf, WhereEverythingWasAskedForTheOldestGoes) {
  ResultShelf shelf(3 * (kPlain + 2), kPlain + 2);
  for (const char* name : {"a", "b", "c"}) {
    shelf.put(key(name), result("1"), kLater);
    EXPECT_NE(shelf.find(key(name), kNow), nullptr);
  }
  EXPECT_TRUE(shelf.put(key("d"), result("1"), kLater));
  EXPECT_EQ(shelf.find(key("a"), kNow), nullptr);
  for (const char* name : {"b", "c", "d"}) EXPECT_NE(shelf.find(key(name), kNow), nullptr) << name;
}

}  // namespace
}  // namespace seam::functions
