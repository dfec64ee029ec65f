#include "functions/cache_control.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace seam::functions {
namespace {

constexpr std::int64_t kSecondsMax = std::int64_t{1} << 31;

std::string_view trimmed(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

// `lower` is in lower case.
bool equals(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

// Also in quotes, as RFC 9111 asks of those who read it.
std::optional<seconds> parse_seconds(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  if (text.empty()) return std::nullopt;
  std::int64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = std::min(value * 10 + (c - '0'), kSecondsMax);
  }
  return seconds(value);
}

}  // namespace

Result<CacheControl> CacheControl::parse(std::string_view value) {
  CacheControl control;
  for (std::string_view rest = value; !rest.empty();) {
    const std::size_t comma = rest.find(',');
    const std::string_view directive = trimmed(rest.substr(0, comma));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    if (directive.empty()) continue;
    const std::size_t sign = directive.find('=');
    const std::string_view name = directive.substr(0, sign);
    bool known = false;
    if (sign == std::string_view::npos) {
      if (equals(name, "no-cache")) known = control.no_cache = true;
      if (equals(name, "no-store")) known = control.no_store = true;
    } else if (equals(name, "max-age")) {
      const std::optional<seconds> age = parse_seconds(directive.substr(sign + 1));
      // Where it is said twice, the stricter holds.
      if (age) control.max_age = std::min(*age, control.max_age.value_or(*age));
      known = age.has_value();
    }
    if (!known) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("X-Cache-Control has '{}': it may have max-age=<seconds>, no-cache "
                              "and no-store, separated by commas",
                              directive.substr(0, 80)));
    }
  }
  return control;
}

CacheTerms CacheTerms::of(const CacheControl& control, std::optional<bool> context,
                          std::optional<bool> function, const CachePolicy& policy) {
  const bool wanted =
      control.max_age.has_value() || context.value_or(function.value_or(policy.by_default));
  if (!wanted || control.no_store) return {};
  return {.keep = true,
          .look = !control.no_cache,
          .age_max = control.max_age.value_or(policy.ttl),
          .keep_for = std::max(policy.ttl, control.max_age.value_or(policy.ttl))};
}

}  // namespace seam::functions
