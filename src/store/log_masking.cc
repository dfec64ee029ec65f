#include "store/log_masking.h"

#include <limits>

#include "store/masking.h"

namespace seam::store {
namespace {

constexpr std::string_view kMasked = "***";

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}
bool ends_value(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',' || c == ';' || c == '&' ||
         c == '"' || c == '\'' || c == ')' || c == '}' || c == ']';
}

bool is_scheme(std::string_view word) {
  constexpr std::string_view kSchemes[] = {"bearer", "basic"};
  for (const std::string_view scheme : kSchemes) {
    bool same = word.size() == scheme.size();
    for (std::size_t i = 0; same && i < word.size(); ++i)
      same = (static_cast<unsigned char>(word[i]) | 0x20U) == static_cast<unsigned char>(scheme[i]);
    if (same) return true;
  }
  return false;
}

std::size_t word_end(std::string_view text, std::size_t at) {
  while (at < text.size() && is_word(text[at])) ++at;
  return at;
}
std::size_t value_end(std::string_view text, std::size_t at) {
  while (at < text.size() && !ends_value(text[at])) ++at;
  return at;
}
std::size_t skip_spaces(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] == ' ') ++at;
  return at;
}

// Where the password of a URL's user begins whose "://" ends at `at`, or npos.
std::size_t password_begin(std::string_view text, std::size_t at) {
  std::size_t colon = std::string_view::npos;
  for (std::size_t i = at; i < text.size() && text[i] != '/' && !ends_value(text[i]); ++i) {
    if (text[i] == ':' && colon == std::string_view::npos) colon = i + 1;
    if (text[i] == '@') return colon;
  }
  return std::string_view::npos;
}

}  // namespace

std::string mask_log_line(std::string_view line) {
  std::string text;
  mask_secrets(line, std::numeric_limits<std::size_t>::max(), text);
  std::string out;
  std::size_t at = 0;
  while (at < text.size()) {
    if (!is_word(text[at])) {
      out += text[at++];
      continue;
    }
    const std::size_t end = word_end(text, at);
    const std::string_view word = std::string_view(text).substr(at, end - at);
    out += word;
    at = end;
    const std::string_view rest = std::string_view(text).substr(at);
    if (rest.starts_with("://")) {
      out += "://";
      at += 3;
      if (const std::size_t begin = password_begin(text, at); begin != std::string_view::npos) {
        out.append(text, at, begin - at).append(kMasked);
        at = text.find('@', begin);
      }
      continue;
    }
    // The value that is to go, or nothing.
    std::size_t value = std::string::npos;
    if (is_scheme(word) && rest.starts_with(' ')) {
      value = skip_spaces(text, at);
    } else if ((rest.starts_with('=') || rest.starts_with(": ")) && is_secret_name(word)) {
      value = skip_spaces(text, at + 1);
      const std::size_t first_end = word_end(text, value);
      // "Authorization: Bearer x": the scheme stays, and what follows goes at the next turn.
      if (is_scheme(std::string_view(text).substr(value, first_end - value))) {
        out.append(text, at, value - at);
        at = value;
        continue;
      }
    }
    if (value == std::string::npos) continue;
    const std::size_t stop = value_end(text, value);
    out.append(text, at, value - at);
    if (stop > value) out += kMasked;
    at = stop;
  }
  return out;
}

}  // namespace seam::store
