#include "config/setting.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/utf8_cut.h"

namespace seam::config {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return lower(c); });
  return out;
}

// Flags and variables spell a key in their own alphabet.
std::string spell(std::string_view key, char separator, bool upper) {
  std::string out;
  for (const char c : key) {
    if (c == '.' || c == '_') {
      out += separator;
    } else {
      out += upper && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
  }
  return out;
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

enum class Number : std::uint8_t { kRight, kNotANumber, kTooLarge };

Number read_number(std::string_view text, std::int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size() || text.empty()) return Number::kNotANumber;
  if (error == std::errc::result_out_of_range) return Number::kTooLarge;
  return error == std::errc() ? Number::kRight : Number::kNotANumber;
}

struct ByteUnit {
  std::string_view name;
  int shift;
};
constexpr std::array<ByteUnit, 4> kByteUnits{{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"B", 0}}};

Number read_bytes(std::string_view text, std::int64_t& value) {
  int shift = 0;
  for (const ByteUnit& unit : kByteUnits) {
    if (!lower(text).ends_with(lower(unit.name))) continue;
    text = trim(text.substr(0, text.size() - unit.name.size()));
    shift = unit.shift;
    break;
  }
  const Number number = read_number(text, value);
  if (number != Number::kRight) return number;
  if (__builtin_mul_overflow(value, std::int64_t{1} << shift, &value)) return Number::kTooLarge;
  return Number::kRight;
}

std::unexpected<Error> wrong(const Setting& setting, std::string_view text, std::string_view what) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("\"{}\" is {}. Give {}.", shown(text), what, setting.allowed()));
}

Result<Value> parse_number(const Setting& setting, std::string_view text, std::int64_t scale) {
  std::int64_t value = 0;
  const bool bytes = setting.type == Type::kBytes;
  const Number number = bytes ? read_bytes(text, value) : read_number(text, value);
  if (number == Number::kNotANumber)
    return wrong(setting, text, bytes ? "not a size" : "not a whole number");
  if (number == Number::kTooLarge || __builtin_mul_overflow(value, scale, &value) ||
      value < setting.minimum || value > setting.maximum) {
    return wrong(setting, text, "out of range");
  }
  return value;
}

}  // namespace

std::string shown(std::string_view text) {
  constexpr std::size_t kBytesMax = 80;
  std::string out(utf8_cut(text, kBytesMax));
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return out.size() < text.size() ? out + "…" : out;
}

std::string Setting::flag() const { return "--" + spell(key, '-', false); }
std::string Setting::environment_name() const { return "SEAM_" + spell(key, '_', true); }

std::string Setting::allowed() const {
  const bool bounded = maximum != std::numeric_limits<std::int64_t>::max();
  switch (type) {
    case Type::kInteger:
      return fmt::format(
          "a whole number{} {} {}", unit.empty() ? "" : " of " + unit,
          bounded ? "from" : "of at least",
          bounded ? fmt::format("{} to {}", minimum, maximum) : std::to_string(minimum));
    case Type::kBytes:
      return bounded ? fmt::format("a size from {} to {}, such as 64MiB", format_bytes(minimum),
                                   format_bytes(maximum))
                     : fmt::format("a size of at least {}, such as 64MiB", format_bytes(minimum));
    case Type::kChoice:
      return fmt::format("one of {}", fmt::join(choices, ", "));
    case Type::kText:
      return "a line of text";
    case Type::kEntries:
      return fmt::format("a list of maps with {}", fmt::join(fields, ", "));
  }
  return {};
}

Result<std::int64_t> parse_bytes(std::string_view text) {
  std::int64_t value = 0;
  if (read_bytes(trim(text), value) != Number::kRight || value < 0) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("\"{}\" is not a size. Write one such as 64MiB.", shown(text)));
  }
  return value;
}

std::string format_bytes(std::int64_t bytes) {
  for (const ByteUnit& unit : kByteUnits) {
    const std::int64_t size = std::int64_t{1} << unit.shift;
    if (unit.shift > 0 && bytes >= size && bytes % size == 0)
      return fmt::format("{}{}", bytes / size, unit.name);
  }
  return std::to_string(bytes);
}

Result<Value> parse_value(const Setting& setting, std::string_view text, std::int64_t scale) {
  const std::string_view trimmed = trim(text);
  Result<Value> value;
  switch (setting.type) {
    case Type::kInteger:
    case Type::kBytes:
      value = parse_number(setting, trimmed, scale);
      break;
    case Type::kChoice: {
      const auto choice = std::ranges::find_if(
          setting.choices, [&](const std::string& c) { return lower(c) == lower(trimmed); });
      if (choice == setting.choices.end()) return wrong(setting, text, "not one of the choices");
      value = *choice;
      break;
    }
    case Type::kText:
      if (trimmed.empty()) return wrong(setting, text, "empty");
      if (std::ranges::any_of(
              text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
        return fail(
            ErrorCode::kInvalidArgument,
            fmt::format("the value holds a control character. Give {}.", setting.allowed()));
      }
      value = std::string(trimmed);
      break;
    case Type::kEntries:
      return fail(ErrorCode::kInternal, "a list is read from YAML");
  }
  if (value && setting.check) {
    if (std::string problem = setting.check(*value); !problem.empty()) {
      return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" {}", shown(trimmed), problem));
    }
  }
  return value;
}

std::string format_value(const Setting& setting, const Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    return setting.type == Type::kBytes ? format_bytes(*number) : std::to_string(*number);
  }
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  std::string out = "[";
  for (const Entry& entry : std::get<std::vector<Entry>>(value)) {
    if (out.size() > 1) out += ", ";
    std::string fields;
    for (const auto& [name, field] : entry.fields) {
      fmt::format_to(std::back_inserter(fields), "{}{}: {}", fields.empty() ? "" : ", ", name,
                     field);
    }
    out += "{" + fields + "}";
  }
  return out + "]";
}

}  // namespace seam::config
