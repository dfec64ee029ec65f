#include "base/json_text.h"

#include <gtest/gtest.h>

#include <string>

namespace seam {
namespace {

TEST(CheckJson, TakesEveryKindOfValueAndGivesItWithoutTheSpaceAround) {
  for (const std::string text :
       {"null", "true", "false", "0", "-0", "12.50", "1e308", "-1.5E-7", "3.0",
        "18446744073709551616", R"("")", R"("a\"\\\/\b\f\n\r\t\u00e9")", R"("😀 é 漢")",
        R"("\ud83d\ude00")", "[]", "[1,2,[3]]", "{}", R"({"a":1,"b":[{"c":null}]})",
        R"({"":{}})"}) {
    const Result<std::string_view> value = check_json(" \t\r\n" + text + "\n ");
    ASSERT_TRUE(value.has_value()) << text << ": " << value.error().message;
    EXPECT_EQ(check_json(text), text);
  }
}

TEST(CheckJson, RefusesWhatRfc8259DoesNotAllow) {
  for (const std::string text :
       {"",       " ",         "nul",         "True",       "01",
        "-",      "+1",        ".5",          "1.",         "1e",
        "1e+",    "0x1",       "NaN",         "Infinity",   "'a'",
        "\"a",    "\"\\x\"",   "\"\\u12g4\"", "\"\\u123",   "[1,]",
        "[,1]",   "[1 2]",     "[",           "]",          "{",
        "}",      "{\"a\"}",   "{\"a\":}",    "{\"a\":1,}", "{a:1}",
        "{1:2}",  "{\"a\" 1}", "1 2",         "[]]",        "// x\n1",
        "\"\t\"", "\"\n\"",    "[1}",         "{\"a\":1]",  "\xEF\xBB\xBF{}"}) {
    EXPECT_FALSE(check_json(text).has_value()) << text;
  }
  EXPECT_FALSE(check_json(std::string("\"a\0b\"", 5)).has_value());
}

TEST(CheckJson, RefusesBytesThatAreNotUtf8) {
  for (const std::string bytes :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3", "\xE2\x82", "\xF0\x9F\x98"}) {
    const std::string text = "\"" + bytes + "\"";
    EXPECT_FALSE(check_json(text).has_value()) << testing::PrintToString(bytes);
    EXPECT_FALSE(check_json("\"12345678" + bytes + "12345678\"").has_value())
        << testing::PrintToString(bytes);
  }
  EXPECT_TRUE(check_json("\"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF\"").has_value());
}

TEST(CheckJson, RefusesLoneSurrogates) {
  for (const std::string text : {R"("\ud800")", R"("\udc00")", R"("\ud800\ud800")", R"("\ud800x")",
                                 R"("\ud800\n")", R"("\ud83d\u0041")"}) {
    const Result<std::string_view> value = check_json(text);
    ASSERT_FALSE(value.has_value()) << text;
    EXPECT_EQ(value.error().message, "not valid JSON: a lone surrogate in a string at byte 1");
  }
}

TEST(CheckJson, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(check_json("[1,2,]").error().message,
            "not valid JSON: expected a JSON value at byte 5");
  EXPECT_EQ(check_json("{\"a\":1").error().message, "not valid JSON: unexpected end at byte 6");
  EXPECT_EQ(check_json("[1] x").error().message,
            "not valid JSON: expected nothing after the JSON value at byte 4");
}

TEST(CheckJson, HoldsTheDepthLimitWithoutDeepRecursion) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_TRUE(check_json(nested(512)).has_value());
  EXPECT_FALSE(check_json(nested(513)).has_value());
  EXPECT_TRUE(check_json(nested(513), {.depth_max = 513}).has_value());
  EXPECT_FALSE(check_json(std::string(10'000'000, '[')).has_value());
}

TEST(JsonObjectText, GivesMembersAsTheTextThatCame) {
  const std::string text =
      R"( {"params" : {"n": 3.0, "big":18446744073709551616} , "x":[1, 2],"s":"\u0041"} )";
  const Result<JsonObjectText> object = JsonObjectText::parse(text);
  ASSERT_TRUE(object.has_value());
  EXPECT_EQ(object->find("params"), R"({"n": 3.0, "big":18446744073709551616})");
  EXPECT_EQ(object->find("x"), "[1, 2]");
  EXPECT_EQ(decode_json_string(*object->find("s")), "A");
  EXPECT_EQ(object->find("n"), std::nullopt);
}

TEST(JsonObjectText, FindsANameThatIsWrittenWithEscapes) {
  const Result<JsonObjectText> object = JsonObjectText::parse(R"({"p\u0061rams":1})");
  ASSERT_TRUE(object.has_value());
  EXPECT_EQ(object->find("params"), "1");
}

TEST(JsonObjectText, RefusesANameThatAppearsTwiceAndWhatIsNoObject) {
  EXPECT_EQ(JsonObjectText::parse(R"({"a":1,"b":2,"a":3})").error().message,
            "the member \"a\" appears twice");
  EXPECT_FALSE(JsonObjectText::parse("[1]").has_value());
  EXPECT_FALSE(JsonObjectText::parse("").has_value());
}

TEST(JsonString, EncodesAndDecodesEachCharacter) {
  const std::string original =
      std::string("quote\" slash\\ nl\n tab\t bell\x07 nul") + '\0' + "é漢😀";
  std::string encoded;
  append_json_string(encoded, original);
  ASSERT_TRUE(check_json(encoded).has_value()) << encoded;
  EXPECT_EQ(decode_json_string(encoded), original);
}

TEST(JsonString, ReplacesBytesThatAreNotUtf8) {
  std::string encoded;
  append_json_string(encoded, "a\xFFz\xE2\x82");
  EXPECT_EQ(encoded, "\"a\xEF\xBF\xBDz\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(JsonString, DecodesSurrogatePairs) {
  EXPECT_EQ(decode_json_string(R"("\ud83d\ude00!")"), "😀!");
}

}  // namespace
}  // namespace seam
