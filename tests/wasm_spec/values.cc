#include "values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace seam::wasm {
namespace {

using boost::json::object;

constexpr std::size_t kIsReference = 8;  // the byte of a Value that tells a reference from null

// Numbers stand with or without a sign, as whoever wrote the script saw fit.
std::uint64_t bits_of(std::string_view text) {
  std::uint64_t bits = 0;
  const bool negative = text.starts_with('-');
  const char* const begin = text.data() + (negative ? 1 : 0);
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), bits);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::invalid_argument(fmt::format("'{}' is no number of 64 bits", text));
  return negative ? 0 - bits : bits;
}

struct Lanes {
  std::size_t bytes;  // of one
  bool is_float;
};

Lanes lanes_of(std::string_view type) {
  if (type == "i8") return {1, false};
  if (type == "i16") return {2, false};
  if (type == "i32" || type == "f32") return {4, type.starts_with('f')};
  return {8, type.starts_with('f')};
}

// The lanes of a vector, as many as fill it.
const boost::json::array& lanes_in(const object& vector, Lanes lanes) {
  const boost::json::array& all = vector.at("value").as_array();
  if (all.size() * lanes.bytes != sizeof(Value)) {
    throw std::invalid_argument(
        fmt::format("a vector of {} lanes of {} bytes each", all.size(), lanes.bytes));
  }
  return all;
}

std::optional<ValueType> type_of(std::string_view type) {
  static constexpr std::array<std::pair<std::string_view, ValueType>, 6> kTypes = {{
      {"i32", ValueType::kI32},
      {"i64", ValueType::kI64},
      {"f32", ValueType::kF32},
      {"f64", ValueType::kF64},
      {"v128", ValueType::kV128},
      {"funcref", ValueType::kFuncref},
  }};
  const auto* found = std::ranges::find(kTypes, type, [](const auto& each) { return each.first; });
  return found == kTypes.end() ? std::nullopt : std::optional(found->second);
}

bool is_null(const Value& value) { return value.bytes[kIsReference] == 0; }

// One number of `lanes.bytes` bytes.
bool number_matches(std::string_view expected, const std::uint8_t* at, Lanes lanes) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, at, lanes.bytes);
  const std::uint64_t all = lanes.bytes == 8 ? ~0ULL : (1ULL << (8 * lanes.bytes)) - 1;
  if (!lanes.is_float || !expected.starts_with("nan:")) return (bits_of(expected) & all) == bits;
  // A canonical NaN has only the first bit of its payload; an arithmetic one has at least that.
  const std::uint64_t canonical = lanes.bytes == 4 ? 0x7fc00000ULL : 0x7ff8000000000000ULL;
  const std::uint64_t sign = lanes.bytes == 4 ? 1ULL << 31U : 1ULL << 63U;
  if (expected == "nan:canonical") return (bits & ~sign) == canonical;
  return (bits & canonical) == canonical;
}

bool reference_matches(std::string_view type, std::string_view text, const TypedValue& value) {
  if (value.type < ValueType::kFuncref) return false;
  if (type == "refnull" || type.starts_with("null")) return is_null(value.value);
  const bool of_function = type == "funcref";
  if (of_function != (value.type == ValueType::kFuncref)) return false;
  if (text == "null") return is_null(value.value);
  if (is_null(value.value)) return false;
  return text.empty() || (type == "externref" && value.value.as<std::uint64_t>() == bits_of(text));
}

}  // namespace

std::string_view text_at(const boost::json::object& from, std::string_view key) {
  const boost::json::value* found = from.if_contains(key);
  return found != nullptr && found->is_string() ? std::string_view(found->get_string())
                                                : std::string_view();
}

std::optional<TypedValue> argument_of(const object& text) {
  const std::string_view type = text_at(text, "type");
  const std::string_view value = text_at(text, "value");
  TypedValue out{.type = type_of(type).value_or(ValueType::kExternref), .value = {}};
  if (out.type == ValueType::kV128) {
    const Lanes lanes = lanes_of(text_at(text, "lane_type"));
    std::size_t at = 0;
    for (const boost::json::value& lane : lanes_in(text, lanes)) {
      const std::uint64_t bits = bits_of(lane.as_string());
      std::memcpy(out.value.bytes + at, &bits, lanes.bytes);
      at += lanes.bytes;
    }
    return out;
  }
  if (out.type < ValueType::kFuncref) {
    const std::uint64_t bits = bits_of(value);
    std::memcpy(out.value.bytes, &bits, lanes_of(type).bytes);
    return out;
  }
  if (value == "null" || type == "refnull") return out;
  if (type != "externref") return std::nullopt;
  out.value = Value::of(bits_of(value));
  out.value.bytes[kIsReference] = 1;
  return out;
}

bool matches(const object& expected, const TypedValue& value) {
  const std::string_view type = text_at(expected, "type");
  if (type == "either") {
    return std::ranges::any_of(expected.at("values").as_array(),
                               [&](const auto& each) { return matches(each.as_object(), value); });
  }
  const std::optional<ValueType> number = type_of(type);
  if (!number || *number == ValueType::kFuncref)
    return reference_matches(type, text_at(expected, "value"), value);
  if (*number != value.type) return false;
  if (*number != ValueType::kV128)
    return number_matches(text_at(expected, "value"), value.value.bytes, lanes_of(type));
  const Lanes lanes = lanes_of(text_at(expected, "lane_type"));
  const std::uint8_t* at = value.value.bytes;
  return std::ranges::all_of(lanes_in(expected, lanes), [&](const auto& lane) {
    const bool same = number_matches(lane.as_string(), at, lanes);
    at += lanes.bytes;
    return same;
  });
}

bool can_tell(const object& expected) {
  const std::string_view type = text_at(expected, "type");
  const std::string_view value = text_at(expected, "value");
  return !(type == "anyref" && !value.empty() && value != "null");
}

std::string describe(const TypedValue& value) {
  if (value.type >= ValueType::kFuncref) {
    return fmt::format(
        "{} {}", to_string(value.type),
        is_null(value.value) ? "null" : fmt::to_string(value.value.as<std::uint64_t>()));
  }
  std::string text = fmt::format("{} 0x", to_string(value.type));
  const std::size_t size =
      value.type == ValueType::kV128 ? 16 : lanes_of(to_string(value.type)).bytes;
  for (std::size_t i = size; i-- > 0;) text += fmt::format("{:02x}", value.value.bytes[i]);
  return text;
}

}  // namespace seam::wasm
