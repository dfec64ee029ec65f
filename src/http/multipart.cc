#include "http/multipart.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace seam::http {

namespace {

constexpr std::string_view kType = "multipart/form-data";

std::unexpected<Error> malformed(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("the multipart body is not well formed: {}", why));
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

bool is_space(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// source    RFC 9110, section 5.6.2.
bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || kMarks.contains(c);
  });
}

// A value with its parameters: `form-data; name="a"; filename="b"`.
class Parameters {
 public:
  explicit Parameters(std::string_view text) : rest_(text) {
    const std::size_t end = std::min(rest_.find(';'), rest_.size());
    value_ = trimmed(rest_.substr(0, end));
    rest_.remove_prefix(end);
  }
  [[nodiscard]] std::string_view value() const { return value_; }

  struct One {
    std::string_view name;
    std::string value;
  };
  // The next parameter; nothing at the end or where the rest is wrong, which wrong() tells.
  std::optional<One> next() {
    rest_ = trimmed(rest_);
    if (rest_.empty()) return std::nullopt;
    wrong_ = true;
    if (rest_.front() != ';') return std::nullopt;
    rest_ = trimmed(rest_.substr(1));
    const std::size_t equals = rest_.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    One one{.name = rest_.substr(0, equals), .value = {}};
    rest_.remove_prefix(equals + 1);
    if (!is_token(one.name)) return std::nullopt;
    if (rest_.starts_with('"')) {
      if (!read_quoted(one.value)) return std::nullopt;
    } else {
      const std::size_t end = std::min(rest_.find_first_of("; \t"), rest_.size());
      one.value = rest_.substr(0, end);
      rest_.remove_prefix(end);
      if (!is_token(one.value)) return std::nullopt;
    }
    wrong_ = false;
    return one;
  }
  [[nodiscard]] bool wrong() const { return wrong_; }

 private:
  bool read_quoted(std::string& value) {
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return true;
      }
      // Only of these two: old browsers send paths with single backslashes.
      if (rest_[i] == '\\' && i + 1 < rest_.size() && (rest_[i + 1] == '"' || rest_[i + 1] == '\\'))
        ++i;
      value.push_back(rest_[i]);
    }
    return false;
  }

  std::string_view value_;
  std::string_view rest_;
  bool wrong_ = false;
};

Result<std::string> boundary_of(std::string_view content_type) {
  Parameters parameters(content_type);
  std::optional<std::string> boundary;
  while (auto one = parameters.next()) {
    if (!same(one->name, "boundary")) continue;
    if (boundary) return malformed("its Content-Type names two boundaries");
    boundary = std::move(one->value);
  }
  if (parameters.wrong()) return malformed("its Content-Type cannot be read");
  if (!boundary) return malformed("its Content-Type names no boundary");
  constexpr std::string_view kMarks = "'()+_,-./:=? ";
  const bool good =
      !boundary->empty() && boundary->size() <= 70 && boundary->back() != ' ' &&
      std::ranges::all_of(*boundary, [&](char c) {
        return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || kMarks.contains(c);
      });
  if (!good) return malformed("its boundary must be 1 to 70 of the characters of RFC 2046");
  return *std::move(boundary);
}

Result<void> read_disposition(std::string_view value, FormPart& part) {
  Parameters parameters(value);
  if (!same(parameters.value(), "form-data"))
    return malformed("a part's Content-Disposition is not form-data");
  bool named = false;
  while (auto one = parameters.next()) {
    if (same(one->name, "name")) {
      if (std::exchange(named, true)) return malformed("a part has two names");
      part.name = std::move(one->value);
    } else if (same(one->name, "filename")) {
      part.file_name = std::move(one->value);
    }
  }
  if (parameters.wrong()) return malformed("a part's Content-Disposition cannot be read");
  if (part.name.empty()) return malformed("a part has no name");
  return {};
}

// The lines of a part's head, without the blank one.
Result<void> read_head(std::string_view head, FormPart& part) {
  bool disposed = false;
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) ||
        std::ranges::any_of(line, [](char c) {
          return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f';
        }))
      return malformed("a line of a part's head is not `Name: value`");
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (same(name, "Content-Disposition")) {
      if (std::exchange(disposed, true)) return malformed("a part has two Content-Dispositions");
      SEAM_RETURN_IF_ERROR(read_disposition(value, part));
    } else if (same(name, "Content-Type")) {
      part.content_type = value;
    } else if (same(name, "Content-Transfer-Encoding")) {
      if (!same(value, "binary") && !same(value, "8bit") && !same(value, "7bit"))
        return malformed("a part is encoded for transfer: send its bytes as they are");
    }
  }
  return disposed ? Result<void>() : malformed("a part has no Content-Disposition");
}

// Takes a delimiter's line end off `body`. `last` tells the one that closes the body.
Result<void> end_delimiter(std::string_view& body, bool& last) {
  last = body.starts_with("--");
  if (last) body.remove_prefix(2);
  while (!body.empty() && is_space(body.front())) body.remove_prefix(1);
  if (body.starts_with("\r\n")) {
    body.remove_prefix(2);
    return {};
  }
  if (last && body.empty()) return {};
  return malformed("the boundary stands in a line that is no delimiter");
}

}  // namespace

bool is_form(std::string_view content_type) {
  return same(trimmed(content_type.substr(0, content_type.find(';'))), kType);
}

Result<std::vector<FormPart>> parse_form(std::string_view content_type, std::string_view body) {
  if (!is_form(content_type)) return malformed("its Content-Type is not multipart/form-data");
  SEAM_ASSIGN_OR_RETURN(const std::string boundary, boundary_of(content_type));
  const std::string delimiter = "\r\n--" + boundary;
  // The first may stand at the very beginning; what is before it is for readers without MIME.
  if (body.starts_with(std::string_view(delimiter).substr(2))) {
    body.remove_prefix(delimiter.size() - 2);
  } else {
    const std::size_t first = body.find(delimiter);
    if (first == std::string_view::npos) return malformed("it does not begin with its boundary");
    body.remove_prefix(first + delimiter.size());
  }
  std::vector<FormPart> parts;
  for (;;) {
    bool last = false;
    SEAM_RETURN_IF_ERROR(end_delimiter(body, last));
    if (last) break;
    if (parts.size() == kFormPartsMax)
      return malformed(fmt::format("it has more than {} parts", kFormPartsMax));
    const std::size_t head = body.substr(0, kFormPartHeadBytesMax).find("\r\n\r\n");
    if (head == std::string_view::npos)
      return malformed(
          fmt::format("a part's head does not end within {} bytes", kFormPartHeadBytesMax));
    FormPart part;
    SEAM_RETURN_IF_ERROR(read_head(body.substr(0, head), part));
    if (std::ranges::find(parts, part.name, &FormPart::name) != parts.end())
      return malformed(fmt::format("two parts are named '{}'", part.name.substr(0, 60)));
    body.remove_prefix(head + 4);
    const std::size_t end = body.find(delimiter);
    if (end == std::string_view::npos)
      return malformed("its last part is not closed by the boundary");
    part.content = body.substr(0, end);
    body.remove_prefix(end + delimiter.size());
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace seam::http
