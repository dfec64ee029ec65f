// A value against the nodes of a schema: one pass, top down. Branches that may fail (anyOf, oneOf,
// not, if, contains) are tried quietly and stop at the first thing wrong; everything else tells
// what it finds.
//
// The pass recurses, up to kEvaluationDepthMax deep: what does not recurse stays out of line, so
// that the frames of what does are small.

#include <fmt/format.h>

#include <algorithm>

#include "base/json_text.h"
#include "functions/json_schema_nodes.h"

namespace seam::functions {
namespace {

using Kind = JsonTree::Kind;

// Which children of one value some schema has looked at; for unevaluatedItems and
// unevaluatedProperties.
struct Marks {
  explicit Marks(std::size_t children) : seen(children, false) {}
  void add(const Marks& other) {
    for (std::size_t i = 0; i < seen.size(); ++i) seen[i] = seen[i] || other.seen[i];
  }
  std::vector<bool> seen;  // by position of the element or member
};

constexpr std::size_t kValueShownMax = 40;

std::uint64_t code_points(std::string_view text) {
  return static_cast<std::uint64_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string described(std::uint8_t types) {
  std::string out;
  for (const TypeName& type : kTypeNames) {
    if ((types & type.bit) == 0) continue;
    if (!out.empty()) out.append(" or ");
    out.append(type.shown);
  }
  return out;
}

class Checker {
 public:
  Checker(const std::vector<SchemaNode>& nodes, const JsonTree& tree)
      : nodes_(nodes), tree_(tree) {}

  Result<std::vector<SchemaViolation>> check() {
    holds(0, 0, nullptr);
    if (!exhausted_) return std::move(violations_);
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("checking it takes more than {} steps or is nested deeper than {}: it is too "
                    "large for this schema",
                    SchemaLimits::kStepsMax, SchemaLimits::kEvaluationDepthMax));
  }

 private:
  struct Step {
    std::uint32_t name = 0;  // the node of a member's name, or
    std::uint32_t position = 0;
    bool element = false;
  };

  bool spend(std::uint64_t steps) {
    steps_ += steps;
    if (steps_ > SchemaLimits::kStepsMax) exhausted_ = true;
    return !exhausted_;
  }

  // Always false.
  [[gnu::noinline]] bool wrong(const SchemaNode& schema, std::string_view keyword,
                               std::string_view message) {
    if (quiet_ == 0 && violations_.size() < SchemaLimits::kViolationsMax) {
      SchemaViolation& violation = violations_.emplace_back();
      for (const Step& step : path_) {
        if (step.element) {
          violation.instance.append(fmt::format("/{}", step.position));
        } else {
          append_pointer(violation.instance, tree_.string(step.name));
        }
      }
      violation.schema = schema.at;
      if (!keyword.empty()) append_pointer(violation.schema, keyword);
      violation.message = message;
    }
    return false;
  }

  // No more is wanted: in a branch the first fault decides, else as many as are told.
  [[nodiscard]] bool enough(bool ok) const {
    return exhausted_ ||
           (!ok && (quiet_ > 0 || violations_.size() >= SchemaLimits::kViolationsMax));
  }

  // Whether the value at `at` keeps to a schema. With `marks`, the children that were looked at are
  // added to it, unless it fails.
  bool holds(SchemaIndex index, std::uint32_t at, Marks* marks) {
    const SchemaNode& schema = nodes_[index];
    if (!spend(1)) return false;
    if (schema.nothing) return wrong(schema, "", "is not allowed here");
    if (depth_ >= SchemaLimits::kEvaluationDepthMax) {
      exhausted_ = true;
      return false;
    }
    ++depth_;
    bool ok = false;
    if (schema.tracks || marks != nullptr) {
      Marks own(tree_[at].count);
      if (!spend(tree_[at].count / 16)) return false;
      ok = keywords_hold(schema, at, &own);
      if (ok && marks != nullptr) marks->add(own);
    } else {
      ok = keywords_hold(schema, at, nullptr);
    }
    --depth_;
    return ok;
  }

  bool holds_quietly(SchemaIndex index, std::uint32_t at, Marks* marks) {
    ++quiet_;
    const bool ok = holds(index, at, marks);
    --quiet_;
    return ok;
  }

  bool keywords_hold(const SchemaNode& schema, std::uint32_t at, Marks* marks) {
    bool ok = type_holds(schema, at);
    if (enough(ok)) return ok;
    if (schema.has_enum) ok = enum_holds(schema, at) && ok;
    switch (tree_[at].kind) {
      case Kind::kNumber:
        ok = number_holds(schema, at) && ok;
        break;
      case Kind::kString:
        ok = string_holds(schema, at) && ok;
        break;
      case Kind::kArray:
        ok = array_holds(schema, at, marks) && ok;
        break;
      case Kind::kObject:
        ok = object_holds(schema, at, marks) && ok;
        break;
      case Kind::kNull:
      case Kind::kBoolean:
        break;
    }
    if (enough(ok)) return ok;
    ok = combinations_hold(schema, at, marks) && ok;
    if (!schema.tracks || enough(ok)) return ok;
    return unevaluated_hold(schema, at, *marks) && ok;
  }

  [[gnu::noinline]] bool type_holds(const SchemaNode& schema, std::uint32_t at) {
    if (schema.types == 0) return true;
    std::uint8_t type = 0;
    switch (tree_[at].kind) {
      case Kind::kNull:
        type = kTypeNull;
        break;
      case Kind::kBoolean:
        type = kTypeBoolean;
        break;
      case Kind::kNumber:
        type = kTypeNumber;
        if ((schema.types & kTypeNumber) == 0 && (schema.types & kTypeInteger) != 0 &&
            tree_.number(at).is_integer())
          type = kTypeInteger;
        break;
      case Kind::kString:
        type = kTypeString;
        break;
      case Kind::kArray:
        type = kTypeArray;
        break;
      case Kind::kObject:
        type = kTypeObject;
        break;
    }
    if ((schema.types & type) != 0) return true;
    if (quiet_ > 0) return false;
    return wrong(schema, "type",
                 fmt::format("is {}: must be {}", shown(tree_.text(at), kValueShownMax),
                             described(schema.types)));
  }

  [[gnu::noinline]] bool enum_holds(const SchemaNode& schema, std::uint32_t at) {
    if ((schema.enum_kinds & (1U << static_cast<unsigned>(tree_[at].kind))) != 0) {
      if (!spend_on_all_below(at)) return false;
      std::string canonical;
      tree_.append_canonical(at, canonical);
      if (schema.enumerated.contains(canonical)) return true;
    }
    if (quiet_ > 0) return false;
    return wrong(schema, schema.is_const ? "const" : "enum",
                 fmt::format("is {}: must be {}{}", shown(tree_.text(at), kValueShownMax),
                             schema.is_const ? "" : "one of ", schema.enumerated_shown));
  }

  // For what reads a value to its end: it costs as much as its nodes and text.
  bool spend_on_all_below(std::uint32_t at) {
    constexpr std::uint64_t kBytesPerStep = 64;
    return spend(tree_[at].end - at + tree_[at].length / kBytesPerStep);
  }

  [[gnu::noinline]] bool number_holds(const SchemaNode& schema, std::uint32_t at) {
    if (!schema.numbers) return true;
    const NumberRange& range = *schema.numbers;
    const JsonNumber number = tree_.number(at);
    bool ok = true;
    const auto check = [&](const std::optional<JsonNumber>& bound, std::string_view keyword,
                           std::string_view right, auto&& fits) {
      if (!bound || fits(*bound)) return;
      ok = false;
      if (quiet_ > 0) return;
      ok = wrong(schema, keyword,
                 fmt::format("is {}: must be {} {}", shown(tree_.text(at), kValueShownMax), right,
                             written(*bound)));
    };
    check(range.minimum, "minimum", "at least", [&](const auto& b) { return number >= b; });
    check(range.maximum, "maximum", "at most", [&](const auto& b) { return number <= b; });
    check(range.above, "exclusiveMinimum", "more than", [&](const auto& b) { return number > b; });
    check(range.below, "exclusiveMaximum", "less than", [&](const auto& b) { return number < b; });
    check(range.multiple_of, "multipleOf", "a multiple of",
          [&](const auto& b) { return is_multiple_of(number, b); });
    return ok;
  }

  // As people write it, where that is short.
  static std::string written(const JsonNumber& number) {
    const auto size = static_cast<std::int64_t>(number.digits.size());
    if (number.digits.empty()) return "0";
    std::string out = number.negative ? "-" : "";
    if (number.exponent >= 0 && size + number.exponent <= 20)
      return out + number.digits + std::string(static_cast<std::size_t>(number.exponent), '0');
    if (number.exponent < 0 && number.exponent >= -20) {
      std::string digits = number.digits;
      if (size <= -number.exponent)
        digits.insert(0, static_cast<std::size_t>(-number.exponent - size + 1), '0');
      digits.insert(digits.size() - static_cast<std::size_t>(-number.exponent), ".");
      return out + digits;
    }
    return number.to_string();
  }

  [[gnu::noinline]] bool count_holds(const SchemaNode& schema, const CountRange& range,
                                     std::uint64_t count, std::string_view least,
                                     std::string_view most, std::string_view what) {
    if (count >= range.least && count <= range.most) return true;
    if (quiet_ > 0) return false;
    if (count < range.least) {
      return wrong(schema, least,
                   fmt::format("has {} {}: must have at least {}", count, what, range.least));
    }
    return wrong(schema, most,
                 fmt::format("has {} {}: must have at most {}", count, what, range.most));
  }

  [[gnu::noinline]] bool string_holds(const SchemaNode& schema, std::uint32_t at) {
    const bool measured = schema.length.least > 0 || schema.length.most != kUnbounded;
    if (!measured && schema.pattern == nullptr) return true;
    constexpr std::uint64_t kBytesPerStep = 64;
    if (!spend(tree_[at].length / kBytesPerStep)) return false;
    std::string buffer;
    const std::string_view text = tree_.string(at, buffer);
    bool ok = true;
    if (measured) {
      ok = count_holds(schema, schema.length, code_points(text), "minLength", "maxLength",
                       "characters");
    }
    if (schema.pattern != nullptr && !RE2::PartialMatch(text, *schema.pattern)) {
      ok = wrong(
          schema, "pattern",
          fmt::format("is {}: must match the pattern {}", shown(tree_.text(at), kValueShownMax),
                      shown(schema.pattern->pattern(), kValueShownMax)));
    }
    return ok;
  }

  bool array_holds(const SchemaNode& schema, std::uint32_t at, Marks* marks) {
    const JsonTree::Node& array = tree_[at];
    bool ok = count_holds(schema, schema.items_count, array.count, "minItems", "maxItems", "items");
    if (schema.unique_items && !enough(ok)) ok = unique_holds(schema, at) && ok;
    if (schema.prefix_items.empty() && schema.items == kNoSchema && schema.contains == kNoSchema)
      return ok;
    std::uint64_t contained = 0;
    std::uint32_t position = 0;
    path_.push_back({.element = true});
    for (std::uint32_t i = at + 1; i < array.end && !enough(ok); i = tree_[i].end, ++position) {
      path_.back().position = position;
      const SchemaIndex element =
          position < schema.prefix_items.size() ? schema.prefix_items[position] : schema.items;
      bool looked_at = element != kNoSchema;
      if (looked_at) ok = holds(element, i, nullptr) && ok;
      if (schema.contains != kNoSchema && holds_quietly(schema.contains, i, nullptr)) {
        ++contained;
        looked_at = true;
      }
      if (looked_at && marks != nullptr) marks->seen[position] = true;
    }
    path_.pop_back();
    if (schema.contains == kNoSchema || enough(ok)) return ok;
    return count_holds(schema, schema.contains_count, contained,
                       schema.contains_count.least == 1 ? "contains" : "minContains", "maxContains",
                       "items of the kind that it must contain") &&
           ok;
  }

  [[gnu::noinline]] bool unique_holds(const SchemaNode& schema, std::uint32_t at) {
    if (!spend_on_all_below(at)) return false;
    std::map<std::string, std::uint32_t>
        first;  // sorted: nobody can choose texts that make it slow
    std::uint32_t position = 0;
    for (std::uint32_t i = at + 1; i < tree_[at].end; i = tree_[i].end, ++position) {
      std::string canonical;
      tree_.append_canonical(i, canonical);
      const auto [same, added] = first.emplace(std::move(canonical), position);
      if (added) continue;
      return wrong(schema, "uniqueItems",
                   fmt::format("has equal items at {} and {}: each must be there once",
                               same->second, position));
    }
    return true;
  }

  bool object_holds(const SchemaNode& schema, std::uint32_t at, Marks* marks) {
    const JsonTree::Node& object = tree_[at];
    bool ok = true;
    if (schema.properties_count.least > 0 || schema.properties_count.most != kUnbounded) {
      ok = count_holds(schema, schema.properties_count, distinct_names(at), "minProperties",
                       "maxProperties", "members");
    }
    ok = (schema.required.empty() || required_hold(schema, at)) && ok;
    ok = dependents_hold(schema, at, marks) && ok;
    if (enough(ok)) return ok;
    const bool per_member = !schema.names.empty() || !schema.pattern_properties.empty() ||
                            schema.additional_properties != kNoSchema ||
                            schema.property_names != kNoSchema;
    if (!per_member) return ok;
    std::string buffer;
    std::uint32_t position = 0;
    path_.push_back({});
    for (std::uint32_t i = at + 1; i < object.end && !enough(ok);
         i = tree_[i + 1].end, ++position) {
      path_.back().name = i;
      const std::string_view name = tree_.string(i, buffer);
      if (schema.property_names != kNoSchema && !holds_quietly(schema.property_names, i, nullptr)) {
        ok = wrong(schema, "propertyNames", "is not a name that this object may have");
        if (enough(ok)) break;
      }
      bool looked_at = false;
      if (const auto known = schema.names.find(name);
          known != schema.names.end() && known->second.schema != kNoSchema) {
        looked_at = true;
        ok = holds(known->second.schema, i + 1, nullptr) && ok;
      }
      for (const auto& [pattern, value] : schema.pattern_properties) {
        if (!spend(1 + name.size() / 64) || !RE2::PartialMatch(name, *pattern)) continue;
        looked_at = true;
        ok = holds(value, i + 1, nullptr) && ok;
      }
      if (!looked_at && schema.additional_properties != kNoSchema) {
        looked_at = true;
        if (nodes_[schema.additional_properties].nothing) {
          ok = unexpected(schema);
        } else {
          ok = holds(schema.additional_properties, i + 1, nullptr) && ok;
        }
      }
      if (looked_at && marks != nullptr) marks->seen[position] = true;
    }
    path_.pop_back();
    return ok;
  }

  [[gnu::noinline]] bool unexpected(const SchemaNode& schema) {
    if (quiet_ > 0) return false;
    std::vector<std::string_view> known;
    for (const auto& [name, property] : schema.names) {
      if (property.schema != kNoSchema) known.push_back(name);
    }
    std::ranges::sort(known);
    std::string out = "is not a member that is taken here";
    if (known.size() <= 12) {
      for (std::size_t i = 0; i < known.size(); ++i)
        out.append(i == 0 ? ": it may have " : ", ").append(shown(known[i], kValueShownMax));
    }
    return wrong(schema, "additionalProperties", out);
  }

  [[gnu::noinline]] std::uint64_t distinct_names(std::uint32_t at) {
    if (!spend(tree_[at].count)) return 0;
    std::vector<std::string> names;
    for (std::uint32_t i = at + 1; i < tree_[at].end; i = tree_[i + 1].end)
      names.push_back(tree_.string(i));
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names.size();
  }

  [[gnu::noinline]] bool required_hold(const SchemaNode& schema, std::uint32_t at) {
    if (!spend(tree_[at].count / 4)) return false;
    std::vector<bool> there(schema.required.size(), false);
    std::size_t left = there.size();
    std::string buffer;
    for (std::uint32_t i = at + 1; i < tree_[at].end && left > 0; i = tree_[i + 1].end) {
      const auto known = schema.names.find(tree_.string(i, buffer));
      if (known == schema.names.end() || !known->second.required) continue;
      const std::size_t which = *known->second.required;
      if (!there[which]) --left;
      there[which] = true;
    }
    for (std::size_t i = 0; left > 0 && quiet_ == 0 && i < there.size(); ++i) {
      if (!there[i])
        wrong(schema, "required",
              fmt::format("has no \"{}\": it is required",
                          shown(schema.required[i], kValueShownMax)));
    }
    return left == 0;
  }

  [[gnu::noinline]] bool dependent_names_hold(const SchemaNode& schema, std::uint32_t at) {
    bool ok = true;
    for (const auto& [name, needed] : schema.dependent_required) {
      if (enough(ok) || !spend(tree_[at].count)) return false;
      if (!tree_.member(at, name)) continue;
      for (const std::string& other : needed) {
        if (!spend(tree_[at].count)) return false;
        if (tree_.member(at, other)) continue;
        ok = wrong(schema, "dependentRequired",
                   fmt::format("has \"{}\" but no \"{}\": it needs both",
                               shown(name, kValueShownMax), shown(other, kValueShownMax)));
      }
    }
    return ok;
  }

  bool dependents_hold(const SchemaNode& schema, std::uint32_t at, Marks* marks) {
    bool ok = schema.dependent_required.empty() || dependent_names_hold(schema, at);
    for (const auto& [name, dependent] : schema.dependent_schemas) {
      if (enough(ok) || !spend(tree_[at].count)) return false;
      if (tree_.member(at, name)) ok = holds(dependent, at, marks) && ok;
    }
    return ok;
  }

  [[gnu::noinline]] bool wrong_combination(const SchemaNode& schema, std::uint32_t at,
                                           std::string_view keyword, std::string_view how,
                                           std::size_t schemas) {
    if (quiet_ > 0) return false;
    return wrong(schema, keyword,
                 fmt::format("is {}: {} {}schema{} of {}", shown(tree_.text(at), kValueShownMax),
                             how, keyword == "not" ? "" : fmt::format("{} ", schemas),
                             keyword == "not" ? "" : "s", keyword));
  }

  bool combinations_hold(const SchemaNode& schema, std::uint32_t at, Marks* marks) {
    bool ok = true;
    for (const SchemaIndex also : schema.in_place) {
      ok = holds(also, at, marks) && ok;
      if (enough(ok)) return ok;
    }
    if (!schema.any_of.empty()) {
      bool any = false;
      for (const SchemaIndex one : schema.any_of) {
        any = holds_quietly(one, at, marks) || any;
        // The others matter only for what they look at.
        if ((any && marks == nullptr) || exhausted_) break;
      }
      if (!any) {
        ok = wrong_combination(schema, at, "anyOf", "fits none of the", schema.any_of.size());
      }
    }
    if (!schema.one_of.empty() && !enough(ok)) ok = one_of_holds(schema, at, marks) && ok;
    if (schema.not_schema != kNoSchema && !enough(ok) &&
        holds_quietly(schema.not_schema, at, nullptr)) {
      ok = wrong_combination(schema, at, "not", "fits the", 1);
    }
    if (schema.if_schema == kNoSchema || enough(ok)) return ok;
    const SchemaIndex chosen =
        holds_quietly(schema.if_schema, at, marks) ? schema.then_schema : schema.else_schema;
    if (chosen != kNoSchema) ok = holds(chosen, at, marks) && ok;
    return ok;
  }

  bool one_of_holds(const SchemaNode& schema, std::uint32_t at, Marks* marks) {
    std::size_t fitting = 0;
    for (const SchemaIndex one : schema.one_of) {
      if (holds_quietly(one, at, marks)) ++fitting;
      if (fitting > 1 || exhausted_) break;
    }
    if (fitting == 1) return true;
    return wrong_combination(schema, at, "oneOf",
                             fitting == 0 ? "fits none of the" : "fits more than one of the",
                             schema.one_of.size());
  }

  bool unevaluated_hold(const SchemaNode& schema, std::uint32_t at, Marks& marks) {
    const JsonTree::Node& value = tree_[at];
    const bool array = value.kind == Kind::kArray;
    const SchemaIndex index = array ? schema.unevaluated_items : schema.unevaluated_properties;
    if ((!array && value.kind != Kind::kObject) || index == kNoSchema) return true;
    bool ok = true;
    std::uint32_t position = 0;
    path_.push_back({.element = array});
    for (std::uint32_t i = at + 1; i < value.end && !enough(ok); ++position) {
      const std::uint32_t child = array ? i : i + 1;
      path_.back().name = i;
      path_.back().position = position;
      i = tree_[child].end;
      if (marks.seen[position]) continue;
      marks.seen[position] = true;
      if (nodes_[index].nothing) {
        ok = wrong(
            schema, array ? "unevaluatedItems" : "unevaluatedProperties",
            array ? "is an item that is not taken here" : "is not a member that is taken here");
      } else {
        ok = holds(index, child, nullptr) && ok;
      }
    }
    path_.pop_back();
    return ok;
  }

  const std::vector<SchemaNode>& nodes_;
  const JsonTree& tree_;
  std::vector<Step> path_;
  std::vector<SchemaViolation> violations_;
  std::uint64_t steps_ = 0;
  std::size_t depth_ = 0;
  int quiet_ = 0;  // branches within branches
  bool exhausted_ = false;
};

}  // namespace

Result<std::vector<SchemaViolation>> JsonSchema::check(std::string_view value) const {
  const JsonTree tree = JsonTree::of_checked(value);
  return Checker(compiled_->nodes, tree).check();
}

}  // namespace seam::functions
