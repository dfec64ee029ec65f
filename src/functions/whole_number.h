#pragma once
// Whole numbers in JSON, as JSON Schema means them: 3, 3.0 and 3e0 are one integer.
//
//   if (const std::optional<std::int64_t> version = whole_number("260.0")) …

#include <cstdint>
#include <optional>
#include <string_view>

namespace seam::functions {

// `text` is the text of a checked JSON value; none where it is no whole number of 64 bits. Written
// with a fraction or an exponent, a number is exact up to 2^53.
[[nodiscard]] std::optional<std::int64_t> whole_number(std::string_view text);

}  // namespace seam::functions
