#pragma once
// What JsonSchema::compile makes of a schema and JsonSchema::check reads: one node a subschema,
// which name each other by index. Only functions/json_schema*.cc include this.

#include <re2/re2.h>

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json_number.h"
#include "base/json_tree.h"
#include "functions/json_schema.h"

namespace seam::functions {

using SchemaIndex = std::uint32_t;
inline constexpr SchemaIndex kNoSchema = std::numeric_limits<SchemaIndex>::max();
inline constexpr std::uint64_t kUnbounded = std::numeric_limits<std::uint64_t>::max();

struct NameHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view name) const {
    return std::hash<std::string_view>{}(name);
  }
};

struct NumberRange {
  std::optional<JsonNumber> minimum;
  std::optional<JsonNumber> maximum;
  std::optional<JsonNumber> above;
  std::optional<JsonNumber> below;
  std::optional<JsonNumber> multiple_of;
};

struct CountRange {
  std::uint64_t least = 0;
  std::uint64_t most = kUnbounded;
};

// What an object's names are asked for.
struct NamedProperty {
  SchemaIndex schema = kNoSchema;
  std::optional<std::size_t> required;  // its place in SchemaNode::required
};

struct SchemaNode {
  std::string at;          // JSON Pointer of this subschema
  bool nothing = false;    // the schema `false`
  std::uint8_t types = 0;  // bits by TypeBit; 0: any
  bool has_enum = false;
  bool is_const = false;
  bool unique_items = false;
  bool tracks = false;          // it has unevaluatedItems or unevaluatedProperties
  std::uint8_t enum_kinds = 0;  // bits by JsonTree::Kind
  std::set<std::string, std::less<>> enumerated;  // canonical
  std::string enumerated_shown;                   // `"add", "subtract"`
  std::unique_ptr<const NumberRange> numbers;
  CountRange length;
  CountRange items_count;
  CountRange properties_count;
  CountRange contains_count{.least = 1};
  const RE2* pattern = nullptr;
  std::vector<SchemaIndex> in_place;  // $ref and allOf: all of these hold as well
  std::vector<SchemaIndex> any_of;
  std::vector<SchemaIndex> one_of;
  SchemaIndex not_schema = kNoSchema;
  SchemaIndex if_schema = kNoSchema;
  SchemaIndex then_schema = kNoSchema;
  SchemaIndex else_schema = kNoSchema;
  std::vector<SchemaIndex> prefix_items;
  SchemaIndex items = kNoSchema;
  SchemaIndex contains = kNoSchema;
  SchemaIndex unevaluated_items = kNoSchema;
  std::unordered_map<std::string, NamedProperty, NameHash, std::equal_to<>> names;
  std::vector<std::string> required;
  std::vector<std::pair<const RE2*, SchemaIndex>> pattern_properties;
  SchemaIndex additional_properties = kNoSchema;
  SchemaIndex property_names = kNoSchema;
  SchemaIndex unevaluated_properties = kNoSchema;
  std::vector<std::pair<std::string, std::vector<std::string>>> dependent_required;
  std::vector<std::pair<std::string, SchemaIndex>> dependent_schemas;
};

enum TypeBit : std::uint8_t {
  kTypeNull = 1,
  kTypeBoolean = 2,
  kTypeInteger = 4,
  kTypeNumber = 8,
  kTypeString = 16,
  kTypeArray = 32,
  kTypeObject = 64,
};

struct TypeName {
  const char* name;
  TypeBit bit;
  const char* shown;
};
inline constexpr TypeName kTypeNames[] = {{"null", kTypeNull, "null"},
                                          {"boolean", kTypeBoolean, "true or false"},
                                          {"integer", kTypeInteger, "an integer"},
                                          {"number", kTypeNumber, "a number"},
                                          {"string", kTypeString, "a string"},
                                          {"array", kTypeArray, "an array"},
                                          {"object", kTypeObject, "an object"}};

struct JsonSchema::Compiled {
  std::vector<SchemaNode> nodes;  // the whole schema is the first
  std::vector<std::unique_ptr<const RE2>> patterns;
};

// `~` and `/` as JSON Pointer writes them.
void append_pointer(std::string& pointer, std::string_view token);
// A part of a schema or of a value for a message: its first `bytes_max` bytes.
[[nodiscard]] std::string shown(std::string_view text, std::size_t bytes_max);

}  // namespace seam::functions
