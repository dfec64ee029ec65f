#include "functions/function_examples.h"

#include <gtest/gtest.h>

namespace seam::functions {
namespace {

FunctionSchema schema() {
  return *FunctionSchema::compile(
      R"({"params":{"properties":{"a":{"type":"number"}}},"result":{"type":"number"}})");
}

std::string examples_refusal(std::string_view text) {
  const auto examples = parse_examples(text, schema());
  return examples ? "" : examples.error().message;
}

TEST(FunctionExamples, AreReadWithTheirExpectations) {
  const auto examples = parse_examples(
      R"([{"name":"one","description":"d","params":{"a":1},"result":1.0},{"params":{}},)"
      R"({"params":{"a":"x"},"error":{"code":"INVALID_PARAMS","message":"a number"}}])",
      schema());
  ASSERT_TRUE(examples.has_value()) << examples.error().message;
  ASSERT_EQ(examples->size(), 3U);
  EXPECT_EQ((*examples)[0].name, "one");
  EXPECT_EQ((*examples)[0].params, R"({"a":1})");
  EXPECT_EQ((*examples)[0].result, "1.0");
  EXPECT_EQ((*examples)[1].name, "example 2");
  EXPECT_FALSE((*examples)[1].result.has_value());
  EXPECT_EQ((*examples)[2].error_code, "INVALID_PARAMS");
  EXPECT_EQ((*examples)[2].error_message, "a number");
}

TEST(FunctionExamples, RefuseWhatIsWrongAndSayWhere) {
  EXPECT_EQ(examples_refusal("{}"), "examples: must be an array");
  EXPECT_EQ(examples_refusal("[1]"), R"(/0: must be an object, as {"params": {}, "result": 1})");
  EXPECT_EQ(examples_refusal(R"([{"result":1}])"),
            R"(/0: has no "params": what the function is called with)");
  EXPECT_EQ(examples_refusal(R"([{"params":1,"resutl":1}])"),
            "/0/resutl: is not a member of an example: it may have name, description, params, "
            "result and error");
  EXPECT_EQ(examples_refusal(R"([{"params":{}},{"params":{"a":"x"}}])"),
            R"(/1/params: params at /a is "x": must be a number)");
  EXPECT_EQ(examples_refusal(R"([{"params":{},"result":"x"}])"),
            R"(/0/result: the result is "x": must be a number)");
  EXPECT_NE(examples_refusal(R"([{"params":{},"error":{"code":"OOPS"}}])").find("with a code of"),
            std::string::npos);
  EXPECT_NE(examples_refusal(R"([{"params":{},"result":1,"error":{"code":"TIMEOUT"}}])"), "");
  EXPECT_NE(examples_refusal(R"([{"params":{},"name":1}])"), "");
}

TEST(FunctionExamples, HaveLimits) {
  std::string many = R"([{"params":{}})";
  for (std::size_t i = 0; i < kExamplesMax; ++i) many += R"(,{"params":{}})";
  EXPECT_EQ(examples_refusal(many + "]"), "examples: are 101: at most 100 are taken");
  EXPECT_NE(examples_refusal("[" + std::string(kExamplesBytesMax, ' ') + "]"), "");
}

}  // namespace
}  // namespace seam::functions
