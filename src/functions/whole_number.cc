#include "functions/whole_number.h"

#include <charconv>
#include <cmath>

namespace seam::functions {

std::optional<std::int64_t> whole_number(std::string_view text) {
  const char* const last = text.data() + text.size();
  std::int64_t number = 0;
  const auto whole = std::from_chars(text.data(), last, number);
  if (whole.ec == std::errc() && whole.ptr == last) return number;
  double real = 0;
  const auto read = std::from_chars(text.data(), last, real);
  constexpr double kExactMax = 9007199254740992.0;
  if (read.ec != std::errc() || read.ptr != last || !(std::abs(real) <= kExactMax) ||
      real != std::trunc(real))
    return std::nullopt;
  return static_cast<std::int64_t>(real);
}

}  // namespace seam::functions
