#include "store/masking.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/utf8_cut.h"

namespace seam::store {
namespace {

constexpr std::array<std::string_view, 10> kWords = {
    "password", "passwd",    "secret",     "token",      "authorization",
    "apikey",   "accesskey", "privatekey", "credential", "cookie"};
constexpr std::size_t kWordBytesMin = 5;
constexpr std::string_view kMaskedString = R"("***")";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The first letters of kWords, so that most places of most names are passed by at once.
constexpr std::array<bool, 256> kBegins = [] {
  std::array<bool, 256> begins{};
  for (const std::string_view word : kWords) begins[static_cast<unsigned char>(word[0])] = true;
  return begins;
}();

// Whether a word begins at `at`, with case, - and _ left out of account.
bool word_begins(std::string_view name, std::size_t at) {
  for (const std::string_view word : kWords) {
    std::size_t matched = 0;
    for (std::size_t i = at; i < name.size() && matched < word.size(); ++i) {
      const char c = lower(name[i]);
      if (c == '-' || c == '_') continue;
      if (c != word[matched]) break;
      ++matched;
    }
    if (matched == word.size()) return true;
  }
  return false;
}

bool contains_word(std::string_view name) {
  if (name.size() < kWordBytesMin) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (kBegins[static_cast<unsigned char>(lower(name[i]))] && word_begins(name, i)) return true;
  }
  return false;
}

// What a name spells when its \uXXXX escapes of ASCII are undone; other escapes are no letters.
std::string unescape(std::string_view name) {
  std::string plain;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '\\' || i + 1 == name.size()) {
      plain += name[i];
      continue;
    }
    if (name[i + 1] != 'u' || i + 6 > name.size()) {
      plain += '\\';
      ++i;
      continue;
    }
    unsigned value = 0;
    for (const char c : name.substr(i + 2, 4)) {
      const char digit = lower(c);
      const bool decimal = digit >= '0' && digit <= '9';
      const bool letter = digit >= 'a' && digit <= 'f';
      if (!decimal && !letter) {
        value = 0x80;
        break;
      }
      value = value * 16 + static_cast<unsigned>(decimal ? digit - '0' : digit - 'a' + 10);
    }
    plain += value < 0x80 ? static_cast<char>(value) : '\\';
    i += 5;
  }
  return plain;
}

// The place after the closing quote of the string that opens at `at`, or the end of the text.
std::size_t after_string(std::string_view text, std::size_t at) {
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return text.size();
}

std::size_t after_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

// The place after the value that begins at `at`.
std::size_t after_value(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  std::size_t i = at;
  while (i < text.size()) {
    const char c = text[i];
    if (c == '"') {
      i = after_string(text, i);
      if (depth == 0) return i;
      continue;
    }
    if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return i;
      if (--depth == 0) return i + 1;
    } else if (depth == 0 && (c == ',' || is_space(c))) {
      return i;
    }
    ++i;
  }
  return i;
}

}  // namespace

bool is_secret_name(std::string_view name) {
  if (name.find('\\') == std::string_view::npos) return contains_word(name);
  return contains_word(unescape(name));
}

void mask_secrets(std::string_view json, std::size_t bytes_max, std::string& out) {
  std::size_t left = bytes_max;
  // Returns false once the limit is reached.
  const auto append = [&](std::string_view text) {
    const std::string_view fits = utf8_cut(text, left);
    out.append(fits);
    left -= fits.size();
    return fits.size() == text.size();
  };
  std::size_t copied = 0;  // of json
  std::size_t at = 0;
  // What lies wholly after the limit need not be looked at: masking changes no byte before it.
  while (at < json.size() && at - copied <= left) {
    const void* quote = std::memchr(json.data() + at, '"', json.size() - at);
    if (quote == nullptr) break;
    const auto begin = static_cast<std::size_t>(static_cast<const char*>(quote) - json.data());
    const std::size_t end = after_string(json, begin);
    at = end;
    const std::size_t colon = after_space(json, end);
    if (colon >= json.size() || json[colon] != ':') continue;
    at = colon + 1;
    if (!is_secret_name(json.substr(begin + 1, end - begin - 2))) continue;
    const std::size_t value = after_space(json, at);
    if (!append(json.substr(copied, value - copied))) return;
    at = after_value(json, value);
    copied = at;
    if (value < json.size() && !append(kMaskedString)) return;
  }
  (void)append(json.substr(copied));
}

}  // namespace seam::store
