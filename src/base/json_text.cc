#include "base/json_text.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>

namespace seam {
namespace {

// One pass over the text with one flat loop and a stack of bits (array or object), so that depth
// costs no native stack. Strings are the bulk of real payloads: their plain bytes are skipped eight
// at a time.
class Scanner {
 public:
  Scanner(std::string_view text, JsonTextLimits limits) : text_(text), limits_(limits) {}

  // Checks one value and returns its slice. With `members`, the value must be an object and its
  // members are listed.
  Result<std::string_view> scan(std::vector<JsonObjectText::Member>* members) {
    skip_space();
    const std::size_t begin = at_;
    if (members != nullptr && (at_ >= text_.size() || text_[at_] != '{')) {
      return bad("expected a JSON object");
    }
    if (!value(members)) return std::unexpected(std::move(error_));
    const std::size_t end = at_;
    skip_space();
    if (at_ != text_.size()) return bad("expected nothing after the JSON value");
    return text_.substr(begin, end - begin);
  }

 private:
  enum class Next : std::uint8_t { kValue, kValueOrEnd, kName, kNameOrEnd, kCommaOrEnd };

  std::unexpected<Error> bad(std::string_view what) {
    note(what);
    return std::unexpected(std::move(error_));
  }
  bool note(std::string_view what) {
    error_ = Error{
        ErrorCode::kInvalidArgument, fmt::format("not valid JSON: {} at byte {}", what, at_), {}};
    return false;
  }

  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }

  bool value(std::vector<JsonObjectText::Member>* members) {
    std::vector<bool> objects;  // the containers we are in, outermost first; true for an object
    Next next = Next::kValue;
    std::string_view name;
    std::size_t value_begin = at_;
    const auto value_ended = [&] {
      if (members != nullptr && objects.size() == 1) {
        members->push_back({name, text_.substr(value_begin, at_ - value_begin)});
      }
    };
    while (true) {
      skip_space();
      if (at_ >= text_.size()) return note("unexpected end");
      const char c = text_[at_];
      switch (next) {
        case Next::kValueOrEnd:
          if (c == ']') {
            ++at_;
            objects.pop_back();
            break;
          }
          [[fallthrough]];
        case Next::kValue:
          if (objects.size() == 1) value_begin = at_;
          if (c == '{' || c == '[') {
            if (objects.size() >= limits_.depth_max) {
              return note(fmt::format("nested deeper than {}", limits_.depth_max));
            }
            ++at_;
            objects.push_back(c == '{');
            next = c == '{' ? Next::kNameOrEnd : Next::kValueOrEnd;
            continue;
          }
          if (!scalar(c)) return false;
          break;
        case Next::kNameOrEnd:
          if (c == '}') {
            ++at_;
            objects.pop_back();
            break;
          }
          [[fallthrough]];
        case Next::kName: {
          if (c != '"') return note("expected a member name in double quotes");
          const std::size_t begin = at_ + 1;
          if (!string()) return false;
          if (objects.size() == 1) name = text_.substr(begin, at_ - begin - 1);
          skip_space();
          if (at_ >= text_.size() || text_[at_] != ':') return note("expected ':'");
          ++at_;
          next = Next::kValue;
          continue;
        }
        case Next::kCommaOrEnd:
          if (c == ',') {
            ++at_;
            next = objects.back() ? Next::kName : Next::kValue;
            continue;
          }
          if (c != (objects.back() ? '}' : ']')) {
            return note(objects.back() ? "expected ',' or '}'" : "expected ',' or ']'");
          }
          ++at_;
          objects.pop_back();
          break;
      }
      // A value has just ended.
      if (objects.empty()) return true;
      value_ended();
      next = Next::kCommaOrEnd;
    }
  }

  bool scalar(char c) {
    switch (c) {
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  bool word(std::string_view wanted) {
    if (text_.substr(at_, wanted.size()) != wanted) return note("expected a JSON value");
    at_ += wanted.size();
    return true;
  }

  std::size_t digits() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    return at_ - begin;
  }

  bool number() {
    const std::size_t begin = at_;
    if (text_[at_] == '-') ++at_;
    const std::size_t first = at_;
    const std::size_t whole = digits();
    if (whole == 0) {
      if (at_ == begin) return note("expected a JSON value");
      return note("expected a digit");
    }
    if (whole > 1 && text_[first] == '0') return note("a number with a leading zero");
    if (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      if (digits() == 0) return note("expected a digit after '.'");
    }
    if (at_ < text_.size() && (text_[at_] | 0x20) == 'e') {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (digits() == 0) return note("expected a digit in the exponent");
    }
    return true;
  }

  // Eight bytes of which none needs a look: all ASCII, no control, no quote, no backslash.
  static bool plain(std::uint64_t word) {
    constexpr std::uint64_t kOnes = 0x0101010101010101U;
    constexpr std::uint64_t kHigh = 0x8080808080808080U;
    const std::uint64_t quote = word ^ (kOnes * '"');
    const std::uint64_t slash = word ^ (kOnes * '\\');
    const std::uint64_t hit = ((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash) |
                              ((word - kOnes * 0x20) & ~word) | word;
    return (hit & kHigh) == 0;
  }

  bool string() {
    ++at_;
    while (true) {
      while (at_ + 8 <= text_.size()) {
        std::uint64_t word = 0;
        std::memcpy(&word, text_.data() + at_, 8);
        if (!plain(word)) break;
        at_ += 8;
      }
      if (at_ >= text_.size()) return note("a string without its closing quote");
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c == '\\') {
        if (!escape()) return false;
      } else if (c < 0x20) {
        return note("a control character in a string");
      } else if (c < 0x80) {
        ++at_;
      } else if (!multibyte(c)) {
        return note("bytes that are not UTF-8");
      }
    }
  }

  // source: Unicode 15, table 3-7 (well-formed UTF-8 byte sequences).
  bool multibyte(unsigned char lead) {
    const auto tail = [this](std::size_t offset, unsigned low = 0x80, unsigned high = 0xBF) {
      if (at_ + offset >= text_.size()) return false;
      const auto byte = static_cast<unsigned char>(text_[at_ + offset]);
      return byte >= low && byte <= high;
    };
    std::size_t length = 0;
    if (lead >= 0xC2 && lead <= 0xDF && tail(1)) {
      length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF &&
               tail(1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF) && tail(2)) {
      length = 3;
    } else if (lead >= 0xF0 && lead <= 0xF4 &&
               tail(1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF) && tail(2) &&
               tail(3)) {
      length = 4;
    }
    at_ += length;
    return length != 0;
  }

  // Four hexadecimal digits at `at`, or -1.
  int hex4(std::size_t at) const {
    if (at + 4 > text_.size()) return -1;
    int value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const char c = text_[at + i];
      const int lower = c | 0x20;
      if (c >= '0' && c <= '9') {
        value = value * 16 + (c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value * 16 + (lower - 'a' + 10);
      } else {
        return -1;
      }
    }
    return value;
  }

  bool escape() {
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (kind != 'u') {
      if (std::string_view("\"\\/bfnrt").find(kind) == std::string_view::npos || kind == '\0') {
        return note("an unknown escape in a string");
      }
      at_ += 2;
      return true;
    }
    const int unit = hex4(at_ + 2);
    if (unit < 0) return note("expected four hexadecimal digits after \\u");
    if (unit >= 0xDC00 && unit <= 0xDFFF) return note("a lone surrogate in a string");
    if (unit >= 0xD800 && unit <= 0xDBFF) {
      const int low = text_.substr(at_ + 6, 2) == "\\u" ? hex4(at_ + 8) : -1;
      if (low < 0xDC00 || low > 0xDFFF) return note("a lone surrogate in a string");
      at_ += 12;
      return true;
    }
    at_ += 6;
    return true;
  }

  std::string_view text_;
  JsonTextLimits limits_;
  std::size_t at_ = 0;
  Error error_;
};

void append_utf8(std::string& out, std::uint32_t point) {
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | (point >> 6));
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | (point >> 12));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | (point >> 18));
    put(0x80 | ((point >> 12) & 0x3F));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

std::uint32_t hex_value(std::string_view four) {
  std::uint32_t value = 0;
  for (const char c : four) {
    value = value * 16 + static_cast<std::uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return value;
}

}  // namespace

Result<std::string_view> check_json(std::string_view text, JsonTextLimits limits) {
  return Scanner(text, limits).scan(nullptr);
}

Result<JsonObjectText> JsonObjectText::parse(std::string_view text, JsonTextLimits limits) {
  JsonObjectText object;
  SEAM_RETURN_IF_ERROR(Scanner(text, limits).scan(&object.members_));
  // Few members at this level in every body we take: comparing each with each beats a table. A body
  // of very many is refused before that costs.
  constexpr std::size_t kMembersMax = 256;
  if (object.members_.size() > kMembersMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("an object of {} members where at most {} are taken",
                            object.members_.size(), kMembersMax));
  }
  for (std::size_t i = 0; i < object.members_.size(); ++i) {
    for (std::size_t j = i + 1; j < object.members_.size(); ++j) {
      if (object.members_[i].name == object.members_[j].name) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("the member \"{}\" appears twice", object.members_[i].name));
      }
    }
  }
  return object;
}

std::optional<std::string_view> JsonObjectText::find(std::string_view name) const {
  for (const Member& member : members_) {
    if (member.name == name) return member.value;
    if (member.name.contains('\\') &&
        decode_json_string(fmt::format("\"{}\"", member.name)) == name)
      return member.value;
  }
  return std::nullopt;
}

std::string decode_json_string(std::string_view text) {
  text = text.substr(1, text.size() - 2);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(text[i]);
      continue;
    }
    switch (text[++i]) {
      case 'b':
        out.push_back('\b');
        break;
      case 'f':
        out.push_back('\f');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 'u': {
        std::uint32_t point = hex_value(text.substr(i + 1, 4));
        i += 4;
        if (point >= 0xD800 && point <= 0xDBFF) {
          point = 0x10000 + ((point - 0xD800) << 10) + (hex_value(text.substr(i + 3, 4)) - 0xDC00);
          i += 6;
        }
        append_utf8(out, point);
        break;
      }
      default:
        out.push_back(text[i]);
    }
  }
  return out;
}

void append_json_string(std::string& out, std::string_view value) {
  static constexpr char kHexDigits[] = "0123456789abcdef";
  out.push_back('"');
  for (std::size_t i = 0; i < value.size();) {
    const auto c = static_cast<unsigned char>(value[i]);
    if (c >= 0x80) {
      // A length of 0 marks bytes that are not UTF-8.
      const std::size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
      const std::string_view slice = value.substr(i, length);
      std::string quoted;
      quoted.reserve(6);
      quoted.append("\"").append(slice).append("\"");
      if (slice.size() == length && check_json(quoted).has_value()) {
        out.append(slice);
        i += length;
      } else {
        out.append("\xEF\xBF\xBD");
        ++i;
      }
      continue;
    }
    ++i;
    switch (c) {
      case '"':
        out.append("\\\"");
        break;
      case '\\':
        out.append("\\\\");
        break;
      case '\n':
        out.append("\\n");
        break;
      case '\r':
        out.append("\\r");
        break;
      case '\t':
        out.append("\\t");
        break;
      default:
        if (c < 0x20) {
          out.append("\\u00").push_back(kHexDigits[c >> 4]);
          out.push_back(kHexDigits[c & 15]);
        } else {
          out.push_back(static_cast<char>(c));
        }
    }
  }
  out.push_back('"');
}

}  // namespace seam
