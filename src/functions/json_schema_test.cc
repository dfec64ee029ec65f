// What the official suite (tests/schemas) does not ask: the errors' texts and places, numbers of
// any size, and the limits that keep strangers' schemas and values from costing more than they may.
#include "functions/json_schema.h"

#include <gtest/gtest.h>

#include <string>

#include "functions/function_schema.h"

namespace seam::functions {
namespace {

JsonSchema compiled(std::string_view text) {
  Result<JsonSchema> schema = JsonSchema::compile(text);
  EXPECT_TRUE(schema.has_value()) << schema.error().message;
  return *std::move(schema);
}

// "instance|schema|message" of the first violation; empty: none.
std::string first(std::string_view schema, std::string_view value) {
  const auto violations = compiled(schema).check(value);
  if (!violations) return "error: " + violations.error().message;
  if (violations->empty()) return {};
  const SchemaViolation& one = violations->front();
  return one.instance + "|" + one.schema + "|" + one.message;
}

std::string refusal(std::string_view schema) {
  const Result<JsonSchema> read = JsonSchema::compile(schema, "/params");
  return read ? "" : read.error().message;
}

TEST(JsonSchema, CutsWhatItQuotes) {
  const std::string text(70, 'a');
  EXPECT_EQ(first(R"({"type":"object"})", '"' + text + '"'),
            "|/type|is \"" + text.substr(0, 39) + "…: must be an object");
  EXPECT_TRUE(
      refusal(R"({"type":")" + text + R"("})").contains("is \"" + text.substr(0, 59) + "…: "));
}

TEST(JsonSchema, SaysWhereAndWhatIsWrong) {
  EXPECT_EQ(first(R"({"type":"object"})", "[1]"), "|/type|is [1]: must be an object");
  EXPECT_EQ(first(R"({"properties":{"a/b":{"items":{"type":["integer","null"]}}}})",
                  R"({"a/b":[1,"x"]})"),
            "/a~1b/1|/properties/a~1b/items/type|is \"x\": must be null or an integer");
  EXPECT_EQ(first(R"({"required":["a","b"]})", R"({"a":1})"),
            "|/required|has no \"b\": it is required");
  EXPECT_EQ(first(R"({"properties":{"a":{}},"additionalProperties":false})", R"({"b":1})"),
            "/b|/additionalProperties|is not a member that is taken here: it may have a");
  EXPECT_EQ(first(R"({"enum":["add","subtract",3]})", R"("multiply")"),
            "|/enum|is \"multiply\": must be one of \"add\", \"subtract\", 3");
  EXPECT_EQ(first(R"({"const":{"a":1}})", R"({"a":2})"), R"(|/const|is {"a":2}: must be {"a":1})");
  EXPECT_EQ(first(R"({"minimum":0.5})", "0.25"), "|/minimum|is 0.25: must be at least 0.5");
  EXPECT_EQ(first(R"({"exclusiveMaximum":1000})", "1e3"),
            "|/exclusiveMaximum|is 1e3: must be less than 1000");
  EXPECT_EQ(first(R"({"maxLength":2})", R"("\u00e9é😀")"),
            "|/maxLength|has 3 characters: must have at most 2");
  EXPECT_EQ(first(R"({"pattern":"^a+$"})", R"("ab")"),
            "|/pattern|is \"ab\": must match the pattern ^a+$");
  EXPECT_EQ(first(R"({"uniqueItems":true})", "[1,2,1.0]"),
            "|/uniqueItems|has equal items at 0 and 2: each must be there once");
  EXPECT_EQ(first(R"({"anyOf":[{"type":"string"},{"type":"null"}]})", "1"),
            "|/anyOf|is 1: fits none of the 2 schemas of anyOf");
  EXPECT_EQ(first(R"({"oneOf":[{},true]})", "1"),
            "|/oneOf|is 1: fits more than one of the 2 schemas of oneOf");
  EXPECT_EQ(first(R"({"$defs":{"p":{"minItems":1}},"properties":{"a":{"$ref":"#/$defs/p"}}})",
                  R"({"a":[]})"),
            "/a|/$defs/p/minItems|has 0 items: must have at least 1");
}

TEST(JsonSchema, NumbersAreDecimalsOfAnySize) {
  const std::string integer = R"({"type":"integer","minimum":0})";
  for (const char* whole :
       {"18446744073709551615", "18446744073709551616", "3.0", "1e400", "0", "-0.0"})
    EXPECT_EQ(first(integer, whole), "") << whole;
  for (const char* other : {"-1", "1.5", "1e-400", "-18446744073709551616"})
    EXPECT_NE(first(integer, other), "") << other;
  EXPECT_NE(first(R"({"maximum":9007199254740992})", "9007199254740993"), "");
  EXPECT_NE(first(R"({"maximum":1e400})", "1e401"), "");
  EXPECT_EQ(first(R"({"maximum":1e400})", "1e399"), "");
  EXPECT_EQ(first(R"({"multipleOf":0.01})", "19.99"), "");
  EXPECT_EQ(first(R"({"multipleOf":0.01})", "123456789012345678901234567890.07"), "");
  EXPECT_NE(first(R"({"multipleOf":0.01})", "19.999"), "");
  EXPECT_EQ(first(R"({"multipleOf":3})", "3e1000000"), "");
  EXPECT_NE(first(R"({"multipleOf":3})", "1e1000000"), "");
  EXPECT_EQ(first(R"({"const":1})", "1.0"), "");
  EXPECT_NE(first(R"({"const":18446744073709551616})", "18446744073709551617"), "");
}

TEST(JsonSchema, ATextIsAllOfItsCharacters) {
  EXPECT_NE(first(R"({"const":"a"})", R"("a\u0000b")"), "");
  EXPECT_EQ(first(R"({"const":"a"})", R"("\u0061")"), "");
  EXPECT_EQ(first(R"({"required":["a"]})", R"({"\u0061":1})"), "");
}

TEST(JsonSchema, EachOfARepeatedNameIsChecked) {
  EXPECT_NE(first(R"({"properties":{"a":{"type":"integer"}}})", R"({"a":1,"a":"x"})"), "");
  EXPECT_NE(first(R"({"properties":{"a":{"type":"integer"}}})", R"({"a":"x","a":1})"), "");
  EXPECT_NE(first(R"({"minProperties":2})", R"({"a":1,"a":2})"), "");
}

TEST(JsonSchema, TellsTheFirstTenViolations) {
  const auto violations =
      compiled(R"({"items":{"type":"string"}})").check("[1,2,3,4,5,6,7,8,9,10,11,12]");
  ASSERT_TRUE(violations.has_value());
  EXPECT_EQ(violations->size(), SchemaLimits::kViolationsMax);
  EXPECT_EQ(violations->back().instance, "/9");
}

TEST(JsonSchema, RefusesWhatIsNoSchemaAndSaysWhere) {
  EXPECT_EQ(refusal("3"), "/params: is 3: it must be a schema: an object, true or false");
  EXPECT_EQ(refusal(R"({"properties":{"a":{"type":"nubmer"}}})"),
            "/params/properties/a/type: is \"nubmer\": it must be null, boolean, integer, number, "
            "string, "
            "array or object, or an array of these");
  EXPECT_EQ(
      refusal(R"({"requierd":["a"]})"),
      "/params/requierd: is not a keyword that is supported here: mend it, or let it begin with x- "
      "if it is a note of your own");
  EXPECT_EQ(refusal(R"({"items":[{}]})"),
            "/params/items: is an array, as before 2020-12: call it prefixItems");
  EXPECT_EQ(refusal(R"({"$ref":"https://example.com/schema.json"})"),
            "/params/$ref: is \"https://example.com/schema.json\": it must be a place in this "
            "schema, such "
            "as \"#/$defs/point\": others are never fetched");
  EXPECT_EQ(refusal(R"({"$ref":"#/$defs/x"})"),
            "/params/$ref: is \"#/$defs/x\": it must be a place that is there");
  EXPECT_EQ(
      refusal(R"({"pattern":"(?=a)b"})"),
      "/params/pattern: is \"(?=a)b\", which is not a regular expression of RE2: invalid perl "
      "operator: (?=");
  EXPECT_EQ(refusal(R"({"$defs":{"a":{"allOf":[{"$ref":"#/$defs/a"}]}}})"),
            "/params/$defs/a: leads back to itself by $ref: it would never end");
  EXPECT_EQ(refusal(R"({"$schema":"http://json-schema.org/draft-07/schema#"})"),
            "/params/$schema: is \"http://json-schema.org/draft-07/schema#\": it must be "
            "\"https://json-schema.org/draft/2020-12/schema\", or left out");
  EXPECT_NE(refusal(R"({"minLength":-1})"), "");
  EXPECT_NE(refusal(R"({"minLength":1.5})"), "");
  EXPECT_NE(refusal(R"({"multipleOf":0})"), "");
  EXPECT_NE(refusal(R"({"required":"a"})"), "");
  EXPECT_NE(refusal(R"({"allOf":[]})"), "");
  EXPECT_NE(refusal(R"({"properties":{"a":1}})"), "");
  EXPECT_NE(refusal(R"({"type":"string","type":"string"})"), "");
  EXPECT_NE(refusal(R"({"$dynamicRef":"#a"})"), "");
  EXPECT_EQ(refusal(R"({"x-note":1,"title":"t","format":"email","$comment":"c","default":3})"), "");
}

TEST(JsonSchema, RefusesASchemaBeyondItsLimits) {
  const std::string long_text = R"({"title":")" + std::string(SchemaLimits::kBytesMax, 'a') + "\"}";
  EXPECT_NE(refusal(long_text).find("at most 262144 are taken"), std::string::npos);
  std::string deep;
  for (std::size_t i = 0; i <= SchemaLimits::kDepthMax; ++i) deep += R"({"not":)";
  EXPECT_NE(refusal(deep + "{}" + std::string(SchemaLimits::kDepthMax + 1, '}'))
                .find("nested deeper than 64"),
            std::string::npos);
  std::string many = R"({"allOf":[{})";
  for (std::size_t i = 0; i < SchemaLimits::kSchemasMax; ++i) many += ",{}";
  EXPECT_NE(refusal(many + "]}").find("more than 10000 subschemas"), std::string::npos);
  std::string patterns = R"({"patternProperties":{"p":{})";
  for (std::size_t i = 0; i < SchemaLimits::kPatternsMax; ++i)
    patterns += ",\"" + std::string(i + 2, 'p') + "\":{}";
  EXPECT_NE(refusal(patterns + "}}").find("more than 64 patterns"), std::string::npos);
  EXPECT_NE(refusal(R"x({"pattern":"((a{1,1000}){1,1000})"})x"), "");
}

// Tried naively, each level doubles the work: 2^500 steps.
TEST(JsonSchema, StopsWhereASchemaMultipliesTheWork) {
  const JsonSchema schema =
      compiled(R"({"properties":{"a":{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}},"required":["a"]})");
  std::string value;
  for (int i = 0; i < 500; ++i) value += R"({"a":)";
  value += "{}" + std::string(500, '}');
  const auto violations = schema.check(value);
  ASSERT_FALSE(violations.has_value());
  EXPECT_EQ(
      violations.error().message,
      "checking it takes more than 4000000 steps or is nested deeper than 2048: it is too large "
      "for this schema");
}

TEST(JsonSchema, StopsWhereSchemasNestTooDeep) {
  std::string schema = R"({"$defs":{)";
  for (int i = 0; i < 3000; ++i)
    schema +=
        "\"d" + std::to_string(i) + R"(":{"$ref":"#/$defs/d)" + std::to_string(i + 1) + "\"},";
  schema += R"("d3000":{"type":"string"}},"$ref":"#/$defs/d0"})";
  const auto violations = compiled(schema).check("1");
  ASSERT_FALSE(violations.has_value());
}

TEST(JsonSchema, ManyEqualItemsAndLongPatternsAreLinear) {
  std::string array = "[0";
  for (int i = 1; i < 200'000; ++i) array += "," + std::to_string(i);
  EXPECT_EQ(first(R"({"uniqueItems":true})", array + "]"), "");
  EXPECT_NE(first(R"({"pattern":"^(a+)+$"})", "\"" + std::string(100'000, 'a') + "!\""), "");
  EXPECT_EQ(first(R"({"pattern":"^(a|b)*$"})", "\"" + std::string(100'000, 'a') + "\""), "");
}

TEST(JsonSchema, TheDeepestValueThatIsTakenIsChecked) {
  const std::string deep = std::string(512, '[') + std::string(512, ']');
  EXPECT_EQ(first(R"({"items":{"$ref":"#"},"type":"array"})", deep), "");
  const std::string wrong = std::string(511, '[') + "1" + std::string(511, ']');
  EXPECT_NE(first(R"({"items":{"$ref":"#"},"type":"array"})", wrong), "");
}

TEST(FunctionSchema, ChecksParamsAndResult) {
  const auto schema = FunctionSchema::compile(
      R"({"params":{"required":["a"],"properties":{"a":{"type":"number"}}},"result":{"type":"string"}})");
  ASSERT_TRUE(schema.has_value());
  EXPECT_TRUE(schema->check_params(R"({"a":1})").has_value());
  const Result<void> wrong = schema->check_params(R"({"a":"x"})");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().message, R"(params at /a is "x": must be a number)");
  EXPECT_EQ(wrong.error().details,
            R"({"errors":[{"pointer":"/a","message":"is \"x\": must be a number",)"
            R"("schema":"/params/properties/a/type"}],"more":false})");
  EXPECT_FALSE(schema->check_result("1").has_value());
}

TEST(FunctionSchema, MaySayNothing) {
  for (const char* text : {"", "{}", R"({"result":{}})"}) {
    const auto schema = FunctionSchema::compile(text);
    ASSERT_TRUE(schema.has_value());
    EXPECT_FALSE(schema->checks_params());
    EXPECT_TRUE(schema->check_params("[1]").has_value());
  }
}

TEST(FunctionSchema, RefusesOtherMembers) {
  const auto schema = FunctionSchema::compile(R"({"type":"object"})");
  ASSERT_FALSE(schema.has_value());
  EXPECT_EQ(schema.error().message,
            "\"type\" is not a member of it: give {\"params\": <JSON Schema>, \"result\": <JSON "
            "Schema>}, "
            "or one of them");
}

}  // namespace
}  // namespace seam::functions
