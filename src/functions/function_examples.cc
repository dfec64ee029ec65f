#include "functions/function_examples.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/json_tree.h"

namespace seam::functions {
namespace {

using Kind = JsonTree::Kind;

constexpr std::array<std::string_view, 10> kCodes = {
    "INVALID_REQUEST", "INVALID_PARAMS", "UNAUTHORIZED", "FORBIDDEN",      "NOT_FOUND",
    "RATE_LIMITED",    "RUNTIME_ERROR",  "TIMEOUT",      "INTERNAL_ERROR", "UNAVAILABLE"};

std::unexpected<Error> wrong(const std::string& at, std::string_view what) {
  std::string details = R"({"pointer":)";
  append_json_string(details, at);
  details.push_back('}');
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{}: {}", at.empty() ? "examples" : at, what), std::move(details));
}

class Reader {
 public:
  Reader(const JsonTree& tree, const FunctionSchema& schema) : tree_(tree), schema_(schema) {}

  Result<FunctionExample> read(std::uint32_t where, std::size_t position) {
    const std::string at = fmt::format("/{}", position);
    if (tree_[where].kind != Kind::kObject)
      return wrong(at, R"(must be an object, as {"params": {}, "result": 1})");
    FunctionExample example;
    bool has_params = false;
    for (std::uint32_t i = where + 1; i < tree_[where].end; i = tree_[i + 1].end) {
      const std::string key = tree_.string(i);
      const std::string here = fmt::format("{}/{}", at, key);
      if (key == "name") {
        SEAM_ASSIGN_OR_RETURN(example.name, read_string(i + 1, here));
      } else if (key == "description") {
        SEAM_ASSIGN_OR_RETURN(example.description, read_string(i + 1, here));
      } else if (key == "params") {
        example.params = tree_.text(i + 1);
        has_params = true;
      } else if (key == "result") {
        example.result = tree_.text(i + 1);
      } else if (key == "error") {
        SEAM_RETURN_IF_ERROR(read_error(i + 1, here, example));
      } else {
        return wrong(here,
                     "is not a member of an example: it may have name, description, params, "
                     "result and error");
      }
    }
    if (!has_params) return wrong(at, R"(has no "params": what the function is called with)");
    if (example.result && !example.error_code.empty())
      return wrong(at, R"(has "result" and "error": a call answers one of them)");
    if (example.name.empty()) example.name = fmt::format("example {}", position + 1);
    SEAM_RETURN_IF_ERROR(keeps_to_schema(example, at));
    return example;
  }

 private:
  [[nodiscard]] Result<std::string> read_string(std::uint32_t value,
                                                const std::string& here) const {
    if (tree_[value].kind != Kind::kString) return wrong(here, "must be a string");
    return tree_.string(value);
  }

  Result<void> read_error(std::uint32_t value, const std::string& here, FunctionExample& example) {
    const std::string right =
        fmt::format(R"(must be {{"code": …, "message": a part of the message}} with a code of {})",
                    fmt::join(kCodes, ", "));
    if (tree_[value].kind != Kind::kObject) return wrong(here, right);
    for (std::uint32_t i = value + 1; i < tree_[value].end; i = tree_[i + 1].end) {
      const std::string key = tree_.string(i);
      if (key == "code") {
        SEAM_ASSIGN_OR_RETURN(example.error_code, read_string(i + 1, here + "/code"));
      } else if (key == "message") {
        SEAM_ASSIGN_OR_RETURN(example.error_message, read_string(i + 1, here + "/message"));
      } else {
        return wrong(here, right);
      }
    }
    if (std::ranges::find(kCodes, example.error_code) == kCodes.end()) return wrong(here, right);
    return {};
  }

  [[nodiscard]] Result<void> keeps_to_schema(const FunctionExample& example,
                                             const std::string& at) const {
    if (!example.error_code.empty()) return {};
    if (const Result<void> fits = schema_.check_params(example.params); !fits)
      return wrong(at + "/params", fits.error().message);
    if (!example.result) return {};
    if (const Result<void> fits = schema_.check_result(*example.result); !fits)
      return wrong(at + "/result", fits.error().message);
    return {};
  }

  const JsonTree& tree_;
  const FunctionSchema& schema_;
};

}  // namespace

Result<std::vector<FunctionExample>> parse_examples(std::string_view text,
                                                    const FunctionSchema& schema) {
  std::vector<FunctionExample> examples;
  if (text.empty()) return examples;
  if (text.size() > kExamplesBytesMax)
    return wrong("",
                 fmt::format("are {} bytes: at most {} are taken", text.size(), kExamplesBytesMax));
  SEAM_ASSIGN_OR_RETURN(const JsonTree tree, JsonTree::parse(text));
  if (tree[0].kind != Kind::kArray) return wrong("", "must be an array");
  if (tree[0].count > kExamplesMax)
    return wrong("", fmt::format("are {}: at most {} are taken", tree[0].count, kExamplesMax));
  for (std::uint32_t i = 1; i < tree[0].end; i = tree[i].end) {
    SEAM_ASSIGN_OR_RETURN(FunctionExample example, Reader(tree, schema).read(i, examples.size()));
    examples.push_back(std::move(example));
  }
  return examples;
}

}  // namespace seam::functions
