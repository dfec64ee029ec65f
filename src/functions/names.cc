#include "functions/names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <re2/re2.h>

#include <algorithm>

namespace seam::functions {
namespace {

constexpr std::size_t kTitleCharactersMax = 64;

bool title_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

}  // namespace

struct RuntimeMap::CompiledRule {
  RuntimeRule rule;
  std::unique_ptr<RE2> pattern;  // null for a prefix
};

RuntimeMap::RuntimeMap() = default;
RuntimeMap::RuntimeMap(RuntimeMap&&) noexcept = default;
RuntimeMap& RuntimeMap::operator=(RuntimeMap&&) noexcept = default;
RuntimeMap::~RuntimeMap() = default;

std::vector<RuntimeRule> RuntimeMap::default_rules() {
  return {
      {.prefix = "nodejs-", .pattern = {}, .runtime = "nodejs"},
      {.prefix = "python-", .pattern = {}, .runtime = "python"},
      {.prefix = "rust-", .pattern = {}, .runtime = "rust"},
      {.prefix = "wasm-", .pattern = {}, .runtime = "wasm"},
      {.prefix = "model-", .pattern = {}, .runtime = "model"},
      {.prefix = {}, .pattern = "^js-", .runtime = "nodejs"},
  };
}

Result<RuntimeMap> RuntimeMap::make(std::vector<RuntimeRule> rules) {
  RuntimeMap map;
  for (RuntimeRule& rule : rules) {
    if (rule.prefix.empty() == rule.pattern.empty() || rule.runtime.empty()) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("runtime_map: a rule has a runtime and either a prefix or a pattern, "
                              "not prefix '{}', pattern "
                              "'{}', runtime '{}'",
                              rule.prefix, rule.pattern, rule.runtime));
    }
    std::unique_ptr<RE2> pattern;
    if (!rule.pattern.empty()) {
      pattern = std::make_unique<RE2>(rule.pattern, RE2::Quiet);
      if (!pattern->ok()) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("runtime_map: the pattern '{}' is not a regular expression: {}",
                                rule.pattern, pattern->error()));
      }
    }
    map.rules_.push_back({std::move(rule), std::move(pattern)});
  }
  return map;
}

Result<ResolvedName> RuntimeMap::resolve(std::string_view language_title) const {
  const std::size_t dash = language_title.find('-');
  const std::string_view title =
      dash == std::string_view::npos ? std::string_view() : language_title.substr(dash + 1);
  if (dash == 0 || title.empty() || title.size() > kTitleCharactersMax ||
      !std::ranges::all_of(language_title, title_character)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is not a function's name: write <language>-<title>, the title of "
                            "1 to {} characters A-Z a-z 0-9 "
                            "_ . -, as in nodejs-calculator",
                            language_title.substr(0, 200), kTitleCharactersMax));
  }
  for (const CompiledRule& rule : rules_) {
    const bool fits =
        rule.pattern == nullptr
            ? language_title.starts_with(rule.rule.prefix)
            : RE2::PartialMatch(re2::StringPiece(language_title.data(), language_title.size()),
                                *rule.pattern);
    if (fits)
      return ResolvedName{std::string(language_title.substr(0, dash)), std::string(title),
                          rule.rule.runtime};
  }
  std::vector<std::string_view> known;
  for (const CompiledRule& rule : rules_) {
    const std::string_view begin = rule.pattern == nullptr ? rule.rule.prefix : rule.rule.pattern;
    known.push_back(begin.starts_with('^') ? begin.substr(1) : begin);
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("unknown language '{}': a name begins with one of {}",
                          language_title.substr(0, dash), fmt::join(known, ", ")));
}

}  // namespace seam::functions
