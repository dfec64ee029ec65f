#include "base/base64.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace seam {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> make_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr std::array<std::int8_t, 256> kValues = make_values();

}  // namespace

Result<std::string> decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  std::uint32_t bits = 0;
  int characters = 0;  // of the present group of four
  std::size_t padding = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n' || c == '\r') continue;
    if (c == '=' && characters + static_cast<int>(padding) < 4 && characters >= 2) {
      ++padding;
      continue;
    }
    const std::int8_t value = kValues[static_cast<unsigned char>(c)];
    if (value < 0 || padding != 0) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("not base64: unexpected character at byte {}", i));
    }
    bits = (bits << 6U) | static_cast<std::uint32_t>(value);
    if (++characters == 4) {
      out.push_back(static_cast<char>(bits >> 16U));
      out.push_back(static_cast<char>(bits >> 8U));
      out.push_back(static_cast<char>(bits));
      bits = 0;
      characters = 0;
    }
  }
  if (characters != 0 || padding != 0) {
    if (characters + static_cast<int>(padding) != 4) {
      return fail(ErrorCode::kInvalidArgument, "not base64: the end is missing");
    }
    bits <<= 6U * static_cast<unsigned>(4 - characters);
    out.push_back(static_cast<char>(bits >> 16U));
    if (characters == 3) out.push_back(static_cast<char>(bits >> 8U));
  }
  return out;
}

std::string encode_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t bits = 0;
    const std::size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = (bits << 8U) | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out.push_back(k <= count ? kAlphabet[(bits >> (18U - 6U * k)) & 63U] : '=');
    }
  }
  return out;
}

}  // namespace seam
