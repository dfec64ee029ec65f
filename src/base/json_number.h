#pragma once
// A JSON number as the decimal that its text spells, of any size: 2^64, 1e400 and 0.1 are
// themselves, and not their nearest double.
//
//   JsonNumber::parse("3.0") == JsonNumber::parse("30e-1")          // true
//   is_multiple_of(JsonNumber::parse("19.99"), JsonNumber::parse("0.01"))  // true

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace seam {

// ± digits × 10^exponent.
struct JsonNumber {
  bool negative = false;
  std::string digits;         // no zeros at either end; empty for 0
  std::int64_t exponent = 0;  // 0 for 0; beyond ±10^15 it stays there

  // `text` is a number as RFC 8259 has it (base/json_text.h checks).
  [[nodiscard]] static JsonNumber parse(std::string_view text);

  [[nodiscard]] bool is_integer() const { return exponent >= 0; }
  // "-15e-1": the same text for the same number.
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const JsonNumber&, const JsonNumber&) = default;
  friend std::strong_ordering operator<=>(const JsonNumber& a, const JsonNumber& b);
};

inline constexpr std::size_t kDivisorDigitsMax = 18;

// Whether `number` is a whole multiple. `divisor` is above 0 and has at most kDivisorDigitsMax
// digits.
[[nodiscard]] bool is_multiple_of(const JsonNumber& number, const JsonNumber& divisor);

}  // namespace seam
