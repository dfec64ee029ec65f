#pragma once
// A JSON Schema (2020-12), read once and then asked about any number of values, from any thread.
//
//   SEAM_ASSIGN_OR_RETURN(const JsonSchema schema, JsonSchema::compile(R"({"type": "integer"})"));
//   SEAM_ASSIGN_OR_RETURN(const auto wrong, schema.check(R"({"a": 1.5})"));
//   wrong.front().message                            // {"a": 1.5}: must be an integer
//
// Every keyword of the core, applicator, unevaluated and validation vocabularies is checked but
// `$dynamicRef`, `$dynamicAnchor` and an `$id` below the root, which are refused. `format`,
// `content*` and what only describes (`title`, `default`, …) are taken and not checked. Any other
// keyword is refused unless it begins with `x-`, since a keyword that is misspelt would allow
// everything. `$ref` leads within the same schema only: nothing is ever fetched. Patterns are
// RE2's: no look-around, no back-references, linear time. Numbers are decimals of any size.
//
// Values come from strangers, and schemas may: work and depth are bounded whatever both say.
//
// source    https://json-schema.org/draft/2020-12; tests/schemas runs its test suite.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace seam::functions {

struct SchemaLimits {
  static constexpr std::size_t kBytesMax = 256U << 10U;  // of a schema's text
  static constexpr std::size_t kDepthMax = 64;           // of its nesting
  static constexpr std::size_t kSchemasMax = 10'000;     // subschemas in it
  static constexpr std::size_t kPatternsMax = 64;    // patterns in it, of 1 MiB each when compiled
  static constexpr std::size_t kViolationsMax = 10;  // told of one value
  static constexpr std::uint64_t kStepsMax =
      4'000'000;  // subschemas tried on one value, and the like
  static constexpr std::size_t kEvaluationDepthMax =
      2048;  // subschemas within subschemas on one value
};

struct SchemaViolation {
  std::string instance;  // JSON Pointer to the value that is wrong: "/items/0"; empty: the whole
  std::string schema;  // JSON Pointer to the keyword that it breaks: "/properties/items/items/type"
  std::string message;  // `is "x": must be a number`
};

class JsonSchema {
 public:
  // `at` stands before every JSON Pointer into this schema, as "/params".
  // errors    kInvalidArgument   not a schema; the message begins with the JSON Pointer of the
  // place
  [[nodiscard]] static Result<JsonSchema> compile(std::string_view text, std::string_view at = "");

  // The first violations found, at most kViolationsMax; none: the value is right. `value` has
  // passed check_json(). errors    kInvalidArgument   more than kStepsMax or kEvaluationDepthMax:
  // the value is too large for
  //                              this schema
  [[nodiscard]] Result<std::vector<SchemaViolation>> check(std::string_view value) const;

  struct Compiled;

 private:
  explicit JsonSchema(std::shared_ptr<const Compiled> compiled) : compiled_(std::move(compiled)) {}

  std::shared_ptr<const Compiled> compiled_;  // never changes; copies of this share it
};

}  // namespace seam::functions
