// From a schema's text to its nodes. Subschemas are found breadth first from the root, by a list of
// what is still to be read, so that neither nesting nor a chain of references costs stack.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/utf8_cut.h"
#include "functions/json_schema_nodes.h"

namespace seam::functions {

std::string shown(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  return fmt::format("{}…", utf8_cut(text, bytes_max));
}

void append_pointer(std::string& pointer, std::string_view token) {
  pointer.push_back('/');
  for (const char c : token) {
    if (c == '~') {
      pointer.append("~0");
    } else if (c == '/') {
      pointer.append("~1");
    } else {
      pointer.push_back(c);
    }
  }
}

namespace {

using Kind = JsonTree::Kind;

constexpr std::array kOnlyDescribe = {
    "$comment",      "$vocabulary",     "title",           "description", "default",
    "examples",      "readOnly",        "writeOnly",       "deprecated",  "format",
    "contentSchema", "contentEncoding", "contentMediaType"};

constexpr std::size_t kSchemaShownMax = 60;

class Compiler {
 public:
  Compiler(const JsonTree& tree, std::string_view at) : tree_(tree), at_(at) {}

  Result<std::shared_ptr<const JsonSchema::Compiled>> compile() {
    find_anchors();
    SEAM_RETURN_IF_ERROR(schema_at(0, std::string(at_)));
    for (std::size_t next = 0; next < pending_.size(); ++next) {
      if (pending_[next] == kComplete) continue;
      SEAM_RETURN_IF_ERROR(read(static_cast<SchemaIndex>(next), pending_[next]));
    }
    SEAM_RETURN_IF_ERROR(refuse_endless());
    return compiled_;
  }

 private:
  static constexpr std::uint32_t kComplete = std::numeric_limits<std::uint32_t>::max();

  SchemaNode& node(SchemaIndex index) { return compiled_->nodes[index]; }

  [[nodiscard]] std::unexpected<Error> wrong(std::string_view at, std::string_view what) const {
    std::string details = R"({"pointer":)";
    append_json_string(details, at);
    details.push_back('}');
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}", at.empty() ? "the schema" : at, what), std::move(details));
  }
  [[nodiscard]] std::unexpected<Error> must_be(std::string_view at, std::uint32_t value,
                                               std::string_view right) const {
    return wrong(
        at, fmt::format("is {}: it must be {}", shown(tree_.text(value), kSchemaShownMax), right));
  }

  // The index of the subschema that stands at tree node `where`, which is read later.
  Result<SchemaIndex> schema_at(std::uint32_t where, std::string at) {
    const auto [known, added] =
        indices_.emplace(where, static_cast<SchemaIndex>(compiled_->nodes.size()));
    if (!added) return known->second;
    if (compiled_->nodes.size() >= SchemaLimits::kSchemasMax) {
      return wrong(at, fmt::format("this is more than {} subschemas", SchemaLimits::kSchemasMax));
    }
    compiled_->nodes.emplace_back().at = std::move(at);
    pending_.push_back(where);
    return known->second;
  }

  // Reads one member of a subschema after the other. Nodes move as more are added, so `node(self)`
  // is looked up where it is written.
  Result<void> read(SchemaIndex self, std::uint32_t where) {
    const std::string at = node(self).at;
    if (tree_[where].kind == Kind::kBoolean) {
      node(self).nothing = !tree_.is_true(where);
      return {};
    }
    if (tree_[where].kind != Kind::kObject)
      return must_be(at, where, "a schema: an object, true or false");
    std::set<std::string, std::less<>> seen;
    for (std::uint32_t i = where + 1; i < tree_[where].end; i = tree_[i + 1].end) {
      const std::string keyword = tree_.string(i);
      std::string here = at;
      append_pointer(here, keyword);
      if (!seen.insert(keyword).second) return wrong(here, "is there twice");
      SEAM_RETURN_IF_ERROR(read_keyword(self, where, keyword, i + 1, here));
    }
    return {};
  }

  Result<void> read_keyword(SchemaIndex self, std::uint32_t where, std::string_view keyword,
                            std::uint32_t value, const std::string& here) {
    const auto one = [&](SchemaIndex SchemaNode::* member) -> Result<void> {
      SEAM_ASSIGN_OR_RETURN(const SchemaIndex index, schema_at(value, here));
      node(self).*member = index;
      return {};
    };
    const auto list = [&](std::vector<SchemaIndex> SchemaNode::* member) -> Result<void> {
      if (tree_[value].kind != Kind::kArray || tree_[value].count == 0)
        return must_be(here, value, "an array of at least one schema");
      std::size_t position = 0;
      for (std::uint32_t i = value + 1; i < tree_[value].end; i = tree_[i].end) {
        SEAM_ASSIGN_OR_RETURN(const SchemaIndex index,
                              schema_at(i, fmt::format("{}/{}", here, position++)));
        (node(self).*member).push_back(index);
      }
      return {};
    };
    const auto count = [&](CountRange SchemaNode::* member,
                           std::uint64_t CountRange::* bound) -> Result<void> {
      SEAM_ASSIGN_OR_RETURN(node(self).*member.*bound, read_count(value, here));
      return {};
    };

    if (keyword == "$ref") return read_reference(self, value, here);
    if (keyword == "allOf") return list(&SchemaNode::in_place);
    if (keyword == "anyOf") return list(&SchemaNode::any_of);
    if (keyword == "oneOf") return list(&SchemaNode::one_of);
    if (keyword == "prefixItems") return list(&SchemaNode::prefix_items);
    if (keyword == "not") return one(&SchemaNode::not_schema);
    if (keyword == "if") return one(&SchemaNode::if_schema);
    if (keyword == "then") return one(&SchemaNode::then_schema);
    if (keyword == "else") return one(&SchemaNode::else_schema);
    if (keyword == "items" && tree_[value].kind == Kind::kArray)
      return wrong(here, "is an array, as before 2020-12: call it prefixItems");
    if (keyword == "items") return one(&SchemaNode::items);
    if (keyword == "contains") return one(&SchemaNode::contains);
    if (keyword == "additionalProperties") return one(&SchemaNode::additional_properties);
    if (keyword == "propertyNames") return one(&SchemaNode::property_names);
    if (keyword == "unevaluatedItems") {
      node(self).tracks = true;
      return one(&SchemaNode::unevaluated_items);
    }
    if (keyword == "unevaluatedProperties") {
      node(self).tracks = true;
      return one(&SchemaNode::unevaluated_properties);
    }
    if (keyword == "minLength") return count(&SchemaNode::length, &CountRange::least);
    if (keyword == "maxLength") return count(&SchemaNode::length, &CountRange::most);
    if (keyword == "minItems") return count(&SchemaNode::items_count, &CountRange::least);
    if (keyword == "maxItems") return count(&SchemaNode::items_count, &CountRange::most);
    if (keyword == "minProperties") return count(&SchemaNode::properties_count, &CountRange::least);
    if (keyword == "maxProperties") return count(&SchemaNode::properties_count, &CountRange::most);
    if (keyword == "minContains") return count(&SchemaNode::contains_count, &CountRange::least);
    if (keyword == "maxContains") return count(&SchemaNode::contains_count, &CountRange::most);
    if (keyword == "minimum") return read_number(self, value, here, &NumberRange::minimum);
    if (keyword == "maximum") return read_number(self, value, here, &NumberRange::maximum);
    if (keyword == "exclusiveMinimum") return read_number(self, value, here, &NumberRange::above);
    if (keyword == "exclusiveMaximum") return read_number(self, value, here, &NumberRange::below);
    if (keyword == "multipleOf") return read_divisor(self, value, here);
    if (keyword == "type") return read_type(self, value, here);
    if (keyword == "enum" || keyword == "const")
      return read_enum(self, value, here, keyword == "const");
    if (keyword == "uniqueItems") {
      if (tree_[value].kind != Kind::kBoolean) return must_be(here, value, "true or false");
      node(self).unique_items = tree_.is_true(value);
      return {};
    }
    if (keyword == "pattern") {
      SEAM_ASSIGN_OR_RETURN(node(self).pattern, read_pattern(value, here));
      return {};
    }
    if (keyword == "required") return read_required(self, value, here);
    if (keyword == "properties" || keyword == "patternProperties" ||
        keyword == "dependentSchemas" || keyword == "dependentRequired" || keyword == "$defs" ||
        keyword == "definitions")
      return read_by_name(self, keyword, value, here);
    return read_identity(where, keyword, value, here);
  }

  // The keywords that say what a schema is called and what it is for.
  Result<void> read_identity(std::uint32_t where, std::string_view keyword, std::uint32_t value,
                             const std::string& here) const {
    if (keyword == "$schema") {
      constexpr std::string_view kDialect = "https://json-schema.org/draft/2020-12/schema";
      if (tree_[value].kind != Kind::kString ||
          (tree_.string(value) != kDialect && tree_.string(value) != std::string(kDialect) + "#"))
        return must_be(here, value, fmt::format("\"{}\", or left out", kDialect));
      return {};
    }
    if (keyword == "$id") {
      if (where != 0) return wrong(here, "is not supported below the root: use $anchor or $defs");
      if (tree_[value].kind != Kind::kString) return must_be(here, value, "a string");
      return {};
    }
    if (keyword == "$anchor") {
      if (tree_[value].kind != Kind::kString) return must_be(here, value, "a string");
      return {};
    }
    if (keyword == "dependencies")
      return wrong(here, "is not of 2020-12: use dependentRequired or dependentSchemas");
    if (keyword.starts_with("x-") ||
        std::ranges::find(kOnlyDescribe, keyword) != kOnlyDescribe.end())
      return {};
    return wrong(
        here,
        "is not a keyword that is supported here: mend it, or let it begin with x- if it is "
        "a note of your own");
  }

  Result<std::uint64_t> read_count(std::uint32_t value, const std::string& here) const {
    constexpr std::string_view kRight = "a whole number from 0";
    if (tree_[value].kind != Kind::kNumber) return must_be(here, value, kRight);
    const JsonNumber number = tree_.number(value);
    if (number.negative || !number.is_integer()) return must_be(here, value, kRight);
    constexpr std::int64_t kDigitsMax = 18;
    if (static_cast<std::int64_t>(number.digits.size()) + number.exponent > kDigitsMax)
      return kUnbounded - 1;  // more than there can be
    std::uint64_t count = 0;
    for (const char c : number.digits) count = count * 10 + static_cast<std::uint64_t>(c - '0');
    for (std::int64_t i = 0; i < number.exponent; ++i) count *= 10;
    return count;
  }

  Result<void> read_number(SchemaIndex self, std::uint32_t value, const std::string& here,
                           std::optional<JsonNumber> NumberRange::* bound) {
    if (tree_[value].kind != Kind::kNumber) return must_be(here, value, "a number");
    numbers(self).*bound = tree_.number(value);
    return {};
  }

  Result<void> read_divisor(SchemaIndex self, std::uint32_t value, const std::string& here) {
    const JsonNumber divisor =
        tree_[value].kind == Kind::kNumber ? tree_.number(value) : JsonNumber{};
    if (divisor.digits.empty() || divisor.negative || divisor.digits.size() > kDivisorDigitsMax) {
      return must_be(here, value,
                     fmt::format("a number above 0 of at most {} digits", kDivisorDigitsMax));
    }
    numbers(self).multiple_of = divisor;
    return {};
  }

  NumberRange& numbers(SchemaIndex self) {
    SchemaNode& schema = node(self);
    auto range = schema.numbers ? std::make_unique<NumberRange>(*schema.numbers)
                                : std::make_unique<NumberRange>();
    NumberRange& written = *range;
    schema.numbers = std::move(range);
    return written;
  }

  Result<void> read_type(SchemaIndex self, std::uint32_t value, const std::string& here) {
    constexpr std::string_view kRight =
        "null, boolean, integer, number, string, array or object, or an array of these";
    const auto add = [&](std::uint32_t name) {
      if (tree_[name].kind != Kind::kString) return false;
      const std::string spelled = tree_.string(name);
      const auto* const found = std::ranges::find_if(
          kTypeNames, [&](const TypeName& type) { return type.name == spelled; });
      if (found == std::end(kTypeNames)) return false;
      node(self).types = static_cast<std::uint8_t>(node(self).types | found->bit);
      return true;
    };
    if (tree_[value].kind != Kind::kArray) {
      if (!add(value)) return must_be(here, value, kRight);
      return {};
    }
    if (tree_[value].count == 0) return must_be(here, value, kRight);
    for (std::uint32_t i = value + 1; i < tree_[value].end; i = tree_[i].end) {
      if (!add(i)) return must_be(here, value, kRight);
    }
    return {};
  }

  Result<void> read_enum(SchemaIndex self, std::uint32_t value, const std::string& here,
                         bool is_const) {
    // `const` beside `enum`: a schema of its own that must hold as well.
    if (node(self).has_enum) {
      const auto index = static_cast<SchemaIndex>(compiled_->nodes.size());
      compiled_->nodes.emplace_back().at = node(self).at;
      pending_.push_back(kComplete);
      node(self).in_place.push_back(index);
      self = index;
    }
    std::vector<std::string> all;
    const auto add = [&](std::uint32_t allowed) {
      std::string canonical;
      tree_.append_canonical(allowed, canonical);
      node(self).enumerated.insert(std::move(canonical));
      node(self).enum_kinds = static_cast<std::uint8_t>(
          node(self).enum_kinds | (1U << static_cast<unsigned>(tree_[allowed].kind)));
      if (all.size() < 8) all.push_back(shown(tree_.text(allowed), kSchemaShownMax));
    };
    if (is_const) {
      add(value);
    } else {
      if (tree_[value].kind != Kind::kArray) return must_be(here, value, "an array");
      for (std::uint32_t i = value + 1; i < tree_[value].end; i = tree_[i].end) add(i);
      if (all.size() < tree_[value].count) all.emplace_back("…");
    }
    node(self).has_enum = true;
    node(self).is_const = is_const;
    node(self).enumerated_shown = fmt::format("{}", fmt::join(all, ", "));
    return {};
  }

  Result<const RE2*> read_pattern(std::uint32_t value, const std::string& here) {
    if (tree_[value].kind != Kind::kString) return must_be(here, value, "a regular expression");
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1U << 20U);
    auto pattern = std::make_unique<const RE2>(tree_.string(value), options);
    if (!pattern->ok()) {
      return wrong(here, fmt::format("is {}, which is not a regular expression of RE2: {}",
                                     shown(tree_.text(value), kSchemaShownMax), pattern->error()));
    }
    if (compiled_->patterns.size() >= SchemaLimits::kPatternsMax)
      return wrong(here, fmt::format("this is more than {} patterns", SchemaLimits::kPatternsMax));
    compiled_->patterns.push_back(std::move(pattern));
    return compiled_->patterns.back().get();
  }

  Result<std::vector<std::string>> read_strings(std::uint32_t value,
                                                const std::string& here) const {
    std::vector<std::string> strings;
    if (tree_[value].kind != Kind::kArray) return must_be(here, value, "an array of names");
    for (std::uint32_t i = value + 1; i < tree_[value].end; i = tree_[i].end) {
      if (tree_[i].kind != Kind::kString) return must_be(here, value, "an array of names");
      strings.push_back(tree_.string(i));
    }
    return strings;
  }

  Result<void> read_required(SchemaIndex self, std::uint32_t value, const std::string& here) {
    SEAM_ASSIGN_OR_RETURN(const std::vector<std::string> names, read_strings(value, here));
    for (const std::string& name : names) {
      NamedProperty& property = node(self).names[name];
      if (property.required) continue;
      property.required = node(self).required.size();
      node(self).required.push_back(name);
    }
    return {};
  }

  // The keywords whose value is an object of names, or of patterns.
  Result<void> read_by_name(SchemaIndex self, std::string_view keyword, std::uint32_t value,
                            const std::string& here) {
    if (tree_[value].kind != Kind::kObject) return must_be(here, value, "an object");
    for (std::uint32_t i = value + 1; i < tree_[value].end; i = tree_[i + 1].end) {
      const std::string name = tree_.string(i);
      std::string below = here;
      append_pointer(below, name);
      if (keyword == "dependentRequired") {
        SEAM_ASSIGN_OR_RETURN(std::vector<std::string> names, read_strings(i + 1, below));
        node(self).dependent_required.emplace_back(name, std::move(names));
        continue;
      }
      const RE2* pattern = nullptr;
      if (keyword == "patternProperties") {
        SEAM_ASSIGN_OR_RETURN(pattern, read_pattern(i, below));
      }
      SEAM_ASSIGN_OR_RETURN(const SchemaIndex index, schema_at(i + 1, below));
      if (keyword == "properties") {
        node(self).names[name].schema = index;
      } else if (keyword == "patternProperties") {
        node(self).pattern_properties.emplace_back(pattern, index);
      } else if (keyword == "dependentSchemas") {
        node(self).dependent_schemas.emplace_back(name, index);
      }
    }
    return {};
  }

  void find_anchors() {
    if (tree_[0].kind != Kind::kObject) return;
    for (std::uint32_t i = 0; i < tree_.size(); ++i) {
      if (tree_[i].kind != Kind::kObject) continue;
      for (std::uint32_t name = i + 1; name < tree_[i].end; name = tree_[name + 1].end) {
        if (tree_.text(name) != R"("$anchor")" || tree_[name + 1].kind != Kind::kString) continue;
        anchors_.emplace(tree_.string(name + 1), i);
      }
    }
  }

  Result<void> read_reference(SchemaIndex self, std::uint32_t value, const std::string& here) {
    if (tree_[value].kind != Kind::kString) return must_be(here, value, "a string");
    std::string reference = tree_.string(value);
    if (const auto id = tree_.member(0, "$id"); id && tree_[*id].kind == Kind::kString) {
      if (const std::string base = tree_.string(*id); reference.starts_with(base) && !base.empty())
        reference.erase(0, base.size());
    }
    if (!reference.empty() && !reference.starts_with('#')) {
      return must_be(here, value,
                     "a place in this schema, such as \"#/$defs/point\": others are never fetched");
    }
    SEAM_ASSIGN_OR_RETURN(const std::uint32_t target, resolve(reference, value, here));
    std::string at;
    if (reference.size() > 1 && reference[1] == '/')
      at = fmt::format("{}{}", at_, reference.substr(1));
    SEAM_ASSIGN_OR_RETURN(
        const SchemaIndex index,
        schema_at(target, at.empty() ? fmt::format("{}/{}", at_, reference) : at));
    node(self).in_place.push_back(index);
    return {};
  }

  // "#", "#anchor" or "#/json/pointer", percent-encoded.
  Result<std::uint32_t> resolve(std::string_view reference, std::uint32_t value,
                                const std::string& here) const {
    if (reference.empty() || reference == "#") return 0;
    std::string pointer;
    for (std::size_t i = 1; i < reference.size(); ++i) {
      unsigned byte = 0;
      if (reference[i] == '%' && i + 2 < reference.size() &&
          std::from_chars(&reference[i + 1], &reference[i + 1] + 2, byte, 16).ptr ==
              &reference[i + 1] + 2) {
        pointer.push_back(static_cast<char>(byte));
        i += 2;
      } else {
        pointer.push_back(reference[i]);
      }
    }
    if (!pointer.starts_with('/')) {
      const auto anchor = anchors_.find(pointer);
      if (anchor == anchors_.end()) return must_be(here, value, "an $anchor that is there");
      return anchor->second;
    }
    std::uint32_t at = 0;
    for (std::size_t begin = 1; begin <= pointer.size();) {
      const std::size_t end = std::min(pointer.find('/', begin), pointer.size());
      std::string token = pointer.substr(begin, end - begin);
      for (std::size_t i = token.find('~'); i != std::string::npos; i = token.find('~', i + 1))
        token.replace(i, 2, token.substr(i, 2) == "~1" ? "/" : "~");
      begin = end + 1;
      const std::optional<std::uint32_t> next = step(at, token);
      if (!next) return must_be(here, value, "a place that is there");
      at = *next;
    }
    return at;
  }

  [[nodiscard]] std::optional<std::uint32_t> step(std::uint32_t at,
                                                  const std::string& token) const {
    if (tree_[at].kind != Kind::kArray) return tree_.member(at, token);
    std::size_t position = 0;
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), position);
    if (error != std::errc() || end != token.data() + token.size() || position >= tree_[at].count)
      return std::nullopt;
    std::uint32_t element = at + 1;
    for (; position > 0; --position) element = tree_[element].end;
    return element;
  }

  // A schema that leads back to itself without going down into the value would never end.
  [[nodiscard]] Result<void> refuse_endless() const {
    enum class State : std::uint8_t { kNew, kOpen, kDone };
    std::vector<State> states(compiled_->nodes.size(), State::kNew);
    std::vector<std::pair<SchemaIndex, std::vector<SchemaIndex>>> path;
    for (SchemaIndex start = 0; start < states.size(); ++start) {
      if (states[start] != State::kNew) continue;
      states[start] = State::kOpen;
      path.emplace_back(start, on_same_value(start));
      while (!path.empty()) {
        auto& [schema, left] = path.back();
        if (left.empty()) {
          states[schema] = State::kDone;
          path.pop_back();
          continue;
        }
        const SchemaIndex next = left.back();
        left.pop_back();
        if (states[next] == State::kOpen)
          return wrong(compiled_->nodes[next].at,
                       "leads back to itself by $ref: it would never end");
        if (states[next] == State::kDone) continue;
        states[next] = State::kOpen;
        path.emplace_back(next, on_same_value(next));
      }
    }
    return {};
  }

  [[nodiscard]] std::vector<SchemaIndex> on_same_value(SchemaIndex index) const {
    const SchemaNode& schema = compiled_->nodes[index];
    std::vector<SchemaIndex> all = schema.in_place;
    all.insert(all.end(), schema.any_of.begin(), schema.any_of.end());
    all.insert(all.end(), schema.one_of.begin(), schema.one_of.end());
    for (const SchemaIndex one :
         {schema.not_schema, schema.if_schema, schema.then_schema, schema.else_schema}) {
      if (one != kNoSchema) all.push_back(one);
    }
    for (const auto& [name, dependent] : schema.dependent_schemas) all.push_back(dependent);
    return all;
  }

  const JsonTree& tree_;
  std::string_view at_;
  std::shared_ptr<JsonSchema::Compiled> compiled_ = std::make_shared<JsonSchema::Compiled>();
  std::vector<std::uint32_t>
      pending_;  // where the nodes stand in the tree, in their order, or kComplete
  std::unordered_map<std::uint32_t, SchemaIndex> indices_;
  std::map<std::string, std::uint32_t, std::less<>> anchors_;
};

}  // namespace

Result<JsonSchema> JsonSchema::compile(std::string_view text, std::string_view at) {
  if (text.size() > SchemaLimits::kBytesMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: the schema is {} bytes: at most {} are taken", at, text.size(),
                            SchemaLimits::kBytesMax));
  }
  Result<JsonTree> tree = JsonTree::parse(text, {.depth_max = SchemaLimits::kDepthMax});
  if (!tree) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}", at.empty() ? "the schema" : at, tree.error().message));
  }
  SEAM_ASSIGN_OR_RETURN(std::shared_ptr<const Compiled> compiled, Compiler(*tree, at).compile());
  return JsonSchema(std::move(compiled));
}

}  // namespace seam::functions
