#pragma once
// Cuts a text to a number of bytes without cutting a character in two.
//
//   utf8_cut("aé", 2) == "a"

#include <cstddef>
#include <string_view>

namespace seam {

[[nodiscard]] inline std::string_view utf8_cut(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  // A character has at most three continuation bytes; what has more is not UTF-8 anyway.
  for (int i = 0; i < 3 && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U;
       ++i) {
    --end;
  }
  return text.substr(0, end);
}

}  // namespace seam
