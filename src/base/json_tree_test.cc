#include "base/json_tree.h"

#include <gtest/gtest.h>

namespace seam {
namespace {

TEST(JsonNumber, IsTheDecimalThatItsTextSpells) {
  const auto number = [](std::string_view text) { return JsonNumber::parse(text); };
  EXPECT_EQ(number("3.0"), number("30e-1"));
  EXPECT_EQ(number("-0"), number("0.000e9"));
  EXPECT_EQ(number("-1.50").to_string(), "-15e-1");
  EXPECT_EQ(number("0").to_string(), "0e0");
  EXPECT_LT(number("9007199254740992"), number("9007199254740993"));
  EXPECT_LT(number("-2"), number("-1.999"));
  EXPECT_LT(number("-1"), number("0"));
  EXPECT_LT(number("0"), number("1e-999"));
  EXPECT_LT(number("9.99e5"), number("1e6"));
  EXPECT_GT(number("12"), number("11.999"));
  EXPECT_GT(number("0.1"), number("0.09"));
  EXPECT_LT(number("1e99999999999999999999"), number("2e99999999999999999999"));
  EXPECT_TRUE(number("1e2").is_integer());
  EXPECT_FALSE(number("1e-2").is_integer());
}

TEST(JsonNumber, KnowsMultiplesExactly) {
  const auto multiple = [](std::string_view number, std::string_view divisor) {
    return is_multiple_of(JsonNumber::parse(number), JsonNumber::parse(divisor));
  };
  EXPECT_TRUE(multiple("0", "7"));
  EXPECT_TRUE(multiple("-21", "7"));
  EXPECT_FALSE(multiple("22", "7"));
  EXPECT_TRUE(multiple("0.3", "0.1"));
  EXPECT_FALSE(multiple("0.35", "0.1"));
  EXPECT_TRUE(multiple("1e20", "999999999999999999e-18") == false);
  EXPECT_TRUE(multiple("999999999999999999000", "999999999999999999"));
  EXPECT_TRUE(multiple("5e10", "1"));
  EXPECT_TRUE(multiple("20", "1e1"));
  EXPECT_FALSE(multiple("25", "1e1"));
}

TEST(JsonTree, GivesNodesInTheOrderOfTheText) {
  const std::string text = R"( {"a": [1, {"b\u0041": "c\n"}, []], "d": null} )";
  const auto parsed = JsonTree::parse(text);
  ASSERT_TRUE(parsed.has_value());
  const JsonTree& tree = *parsed;
  EXPECT_EQ(tree[0].count, 2U);
  EXPECT_EQ(tree[0].end, tree.size());
  const std::uint32_t array = *tree.member(0, "a");
  EXPECT_EQ(tree[array].count, 3U);
  EXPECT_EQ(tree.text(array + 1), "1");
  EXPECT_EQ(tree.string(*tree.member(array + 2, "bA")), "c\n");
  EXPECT_EQ(tree.text(tree[array + 2].end), "[]");
  EXPECT_EQ(tree[*tree.member(0, "d")].kind, JsonTree::Kind::kNull);
  EXPECT_FALSE(tree.member(0, "x").has_value());
  EXPECT_EQ(tree.text(0), text.substr(1, text.size() - 2));
  EXPECT_FALSE(JsonTree::parse("[1").has_value());
}

TEST(JsonTree, EqualValuesAreTheSame) {
  EXPECT_TRUE(same_json(R"({"a":1,"b":[1.0,"x"]})", R"({ "b":[1,"\u0078"],"a":1e0})"));
  EXPECT_TRUE(same_json(R"({"a":1,"a":2})", R"({"a":2})"));
  EXPECT_FALSE(same_json("[1,2]", "[2,1]"));
  EXPECT_FALSE(same_json(R"(["a","b"])", R"(["a\"1:b"])"));
  EXPECT_FALSE(same_json("1", R"("1")"));
  EXPECT_FALSE(same_json("[]", "{}"));
  EXPECT_FALSE(same_json("null", "false"));
}

}  // namespace
}  // namespace seam
