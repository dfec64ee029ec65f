#include <fmt/format.h>

#include <algorithm>

#include "cli/commands.h"

namespace seam::cli {

namespace {

std::string paint(bool color, std::string_view code, std::string_view text) {
  return color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

// Code points, less the escapes of colour: what a terminal gives a column to.
std::size_t width(std::string_view text) {
  std::size_t columns = 0;
  bool escape = false;
  for (const char c : text) {
    if (c == '\x1b') escape = true;
    if (!escape && (static_cast<unsigned char>(c) & 0xc0U) != 0x80U) ++columns;
    if (escape && c == 'm') escape = false;
  }
  return columns;
}

}  // namespace

std::string Style::good(std::string_view text) const { return paint(color, "32", text); }
std::string Style::bad(std::string_view text) const { return paint(color, "31", text); }
std::string Style::faint(std::string_view text) const { return paint(color, "2", text); }
std::string Style::bold(std::string_view text) const { return paint(color, "1", text); }

std::string align(const std::vector<std::vector<std::string>>& rows) {
  constexpr std::size_t kWidthMax = 40;
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (const std::size_t w = width(row[i]); w <= kWidthMax) widths[i] = std::max(widths[i], w);
    }
  }
  std::string out;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 == row.size()) continue;
      const std::size_t w = width(row[i]);
      out.append(w < widths[i] ? widths[i] - w + 2 : 2, ' ');
    }
    out += '\n';
  }
  return out;
}

// `json` is well-formed, so quotes tell strings from the rest and brackets need no matching.
std::string indent_json(std::string_view json) {
  std::string out;
  std::size_t depth = 0;
  bool in_string = false;
  const auto new_line = [&] {
    out += '\n';
    out.append(2 * depth, ' ');
  };
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      out += c;
      if (c == '\\') out += json[++i];
      if (c == '"') in_string = false;
      continue;
    }
    switch (c) {
      case ' ':
      case '\t':
      case '\n':
      case '\r':
        break;
      case '"':
        in_string = true;
        out += c;
        break;
      case '{':
      case '[': {
        out += c;
        const auto next = json.find_first_not_of(" \t\r\n", i + 1);
        if (json[next] == '}' || json[next] == ']') {
          out += json[next];
          i = next;
        } else {
          ++depth;
          new_line();
        }
        break;
      }
      case '}':
      case ']':
        --depth;
        new_line();
        out += c;
        break;
      case ',':
        out += c;
        new_line();
        break;
      case ':':
        out += ": ";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace seam::cli
