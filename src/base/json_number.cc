#include "base/json_number.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace seam {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::int64_t kExponentMax = 1'000'000'000'000'000;

// Without its sign.
std::int64_t parse_exponent(std::string_view digits) {
  std::int64_t exponent = 0;
  for (const char c : digits) exponent = std::min(exponent * 10 + (c - '0'), kExponentMax);
  return exponent;
}

// a^n mod m; a is below m.
std::uint64_t power(std::uint64_t a, std::int64_t n, std::uint64_t m) {
  Wide result = 1 % m;
  for (Wide square = a; n > 0; n >>= 1, square = square * square % m) {
    if ((n & 1) != 0) result = result * square % m;
  }
  return static_cast<std::uint64_t>(result);
}

}  // namespace

JsonNumber JsonNumber::parse(std::string_view text) {
  JsonNumber number;
  number.negative = text.starts_with('-');
  if (number.negative) text.remove_prefix(1);
  std::int64_t exponent = 0;
  if (const std::size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view written = text.substr(e + 1);
    const bool below = written.starts_with('-');
    if (below || written.starts_with('+')) written.remove_prefix(1);
    exponent = below ? -parse_exponent(written) : parse_exponent(written);
    text = text.substr(0, e);
  }
  const std::size_t point = text.find('.');
  number.digits = text.substr(0, point);
  if (point != std::string_view::npos) {
    number.digits.append(text.substr(point + 1));
    exponent -= static_cast<std::int64_t>(text.size() - point - 1);
  }
  const std::size_t last = number.digits.find_last_not_of('0');
  if (last == std::string::npos) return {};
  exponent += static_cast<std::int64_t>(number.digits.size() - last - 1);
  number.digits.resize(last + 1);
  number.digits.erase(0, number.digits.find_first_not_of('0'));
  number.exponent = std::clamp(exponent, -kExponentMax, kExponentMax);
  return number;
}

std::string JsonNumber::to_string() const {
  return fmt::format("{}{}e{}", negative ? "-" : "", digits.empty() ? "0" : digits, exponent);
}

std::strong_ordering operator<=>(const JsonNumber& a, const JsonNumber& b) {
  const auto sign = [](const JsonNumber& n) { return n.digits.empty() ? 0 : n.negative ? -1 : 1; };
  if (sign(a) != sign(b)) return sign(a) <=> sign(b);
  // Where the first digit stands, then digit by digit from there.
  const auto height = [](const JsonNumber& n) {
    return n.exponent + static_cast<std::int64_t>(n.digits.size());
  };
  const auto magnitude =
      height(a) != height(b) && !a.digits.empty() ? height(a) <=> height(b) : a.digits <=> b.digits;
  return a.negative ? 0 <=> magnitude : magnitude;
}

// D₁×10^e₁ is a multiple of D₂×10^e₂ where D₂ divides D₁×10^(e₁−e₂). With e₁ < e₂ it would have to
// end in a zero that it does not have.
bool is_multiple_of(const JsonNumber& number, const JsonNumber& divisor) {
  CHECK(!divisor.digits.empty() && !divisor.negative && divisor.digits.size() <= kDivisorDigitsMax);
  if (number.digits.empty()) return true;
  const std::int64_t shift = number.exponent - divisor.exponent;
  if (shift < 0) return false;
  std::uint64_t modulus = 0;
  for (const char c : divisor.digits) modulus = modulus * 10 + static_cast<std::uint64_t>(c - '0');
  std::uint64_t rest = 0;  // below 10^18, so that ten times as much fits
  for (const char c : number.digits)
    rest = (rest * 10 + static_cast<std::uint64_t>(c - '0')) % modulus;
  return static_cast<Wide>(rest) * power(10 % modulus, shift, modulus) % modulus == 0;
}

}  // namespace seam
