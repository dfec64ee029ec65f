#include "functions/canonical_json.h"

#include <gtest/gtest.h>

#include <string>

#include "base/json_text.h"

namespace seam::functions {
namespace {

std::string canonical(std::string_view text) {
  EXPECT_TRUE(check_json(text).has_value()) << text;
  CanonicalJson json;
  std::string out = "kept ";
  json.append(text, out);
  EXPECT_TRUE(out.starts_with("kept "));
  std::string again;
  json.append(std::string_view(out).substr(5), again);
  EXPECT_EQ(again, out.substr(5)) << "its own canonical form";
  return again;
}

TEST(CanonicalJson, SortsTheMembersOfEveryObject) {
  EXPECT_EQ(canonical(R"({"b":1,"a":2})"), R"({"a":2,"b":1})");
  EXPECT_EQ(canonical(R"({"b":[{"d":1,"c":2},3,{"f":[],"e":{}}],"a":3})"),
            R"({"a":3,"b":[{"c":2,"d":1},3,{"e":{},"f":[]}]})");
  EXPECT_EQ(canonical(R"([{"b":1,"a":2},{"z":{"y":1,"x":2}}])"),
            R"([{"a":2,"b":1},{"z":{"x":2,"y":1}}])");
  EXPECT_EQ(canonical(R"({"ab":1,"a":2,"":3})"), R"({"":3,"a":2,"ab":1})");
}

TEST(CanonicalJson, LeavesOutWhiteSpaceButNotInStrings) {
  EXPECT_EQ(canonical(" { \"b c\" :\t[ 1 ,\n 2 ] , \"a\" : \" x  y \\\" z\" } \r\n"),
            R"({"a":" x  y \" z","b c":[1,2]})");
  EXPECT_EQ(canonical(" [ ] "), "[]");
  EXPECT_EQ(canonical(" { } "), "{}");
}

TEST(CanonicalJson, KeepsNumbersAndStringsAsTheyCame) {
  EXPECT_EQ(canonical("1.0"), "1.0");
  EXPECT_NE(canonical("1.0"), canonical("1"));
  EXPECT_EQ(canonical(R"({"n":18446744073709551616,"e":1E+2})"),
            R"({"e":1E+2,"n":18446744073709551616})");
  EXPECT_EQ(canonical(R"(["\u0061","a","\\",""])"), R"(["\u0061","a","\\",""])");
  EXPECT_EQ(canonical("null"), "null");
}

// The last of two equal names is what a runtime sees, so their order must stay.
TEST(CanonicalJson, KeepsTheOrderOfNamesThatMaySpellTheSame) {
  EXPECT_EQ(canonical(R"({"b":0,"a":1,"a":2})"), R"({"a":1,"a":2,"b":0})");
  EXPECT_NE(canonical(R"({"a":2,"a":1})"), canonical(R"({"a":1,"a":2})"));
  EXPECT_EQ(canonical(R"({"b":1,"\u0062":2,"a":3})"), R"({"b":1,"\u0062":2,"a":3})");
  EXPECT_NE(canonical(R"({"b":1,"\u0062":2})"), canonical(R"({"\u0062":2,"b":1})"));
}

TEST(CanonicalJson, TakesTheDeepestTextThatIsTaken) {
  std::string text;
  constexpr int kDepth = 512;
  for (int i = 0; i < kDepth; ++i) text += R"({"b":)";
  text += "0";
  for (int i = 0; i < kDepth; ++i) text += R"(,"a":1})";
  const std::string sorted = canonical(text);
  EXPECT_EQ(sorted.size(), text.size());
  EXPECT_TRUE(sorted.starts_with(R"({"a":1,"b":{"a":1,"b":)"));
}

TEST(CanonicalJson, OneObjectServesManyTexts) {
  CanonicalJson json;
  std::string out;
  json.append(R"({"b":{"d":1,"c":2},"a":1})", out);
  json.append(R"([1, {"b":1,"a":2}])", out);
  EXPECT_EQ(out, R"({"a":1,"b":{"c":2,"d":1}}[1,{"a":2,"b":1}])");
}

}  // namespace
}  // namespace seam::functions
