#include "http/request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace seam::http {
namespace {

constexpr std::size_t kExtraBytesMax = 16U << 10U;
constexpr std::size_t kQuotedBytesMax = 64;  // of what came, in a refusal

constexpr std::uint8_t kToken = 1;   // of a method or a field's name
constexpr std::uint8_t kValue = 2;   // of a field's value: no control character but tab
constexpr std::uint8_t kTarget = 4;  // of a request target: visible ASCII but '#'
constexpr std::uint8_t kHost = 8;

constexpr std::array<std::uint8_t, 256> kCharacters = [] {
  std::array<std::uint8_t, 256> table{};
  for (unsigned c = 0; c < 256; ++c) {
    const bool alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (alphanumeric) table[c] |= kToken | kHost;
    if (c == '\t' || (c >= 0x20 && c != 0x7f)) table[c] |= kValue;
    if (c > 0x20 && c < 0x7f && c != '#') table[c] |= kTarget;
  }
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'})
    table[static_cast<unsigned char>(c)] |= kToken;
  for (const char c :
       {'!', '$', '%', '&', '\'', '(', ')', '*', '+', '-', '.', '_', '~', ';', '=', ':', '[', ']'})
    table[static_cast<unsigned char>(c)] |= kHost;
  return table;
}();

bool is(char c, std::uint8_t kind) {
  return (kCharacters[static_cast<unsigned char>(c)] & kind) != 0;
}
bool all(std::string_view text, std::uint8_t kind) {
  return std::ranges::all_of(text, [kind](char c) { return is(c, kind); });
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What came, fit for a message: cut, and only visible ASCII.
std::string quoted(std::string_view text) {
  std::string out(text.substr(0, kQuotedBytesMax));
  for (char& c : out)
    if (c < 0x20 || c == 0x7f) c = '?';
  if (text.size() > kQuotedBytesMax) out += "...";
  return out;
}

Refusal refuse(int status, std::string message) {
  return {.status = status, .message = std::move(message)};
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Cuts the first element off a comma-separated list.
std::string_view next_element(std::string_view& list) {
  const std::size_t comma = std::min(list.find(','), list.size());
  const std::string_view element = trim(list.substr(0, comma));
  list.remove_prefix(std::min(comma + 1, list.size()));
  return element;
}

std::optional<Method> parse_method(std::string_view text) {
  for (const Method method : {Method::kGet, Method::kPost, Method::kPut, Method::kDelete,
                              Method::kPatch, Method::kHead, Method::kOptions})
    if (text == to_string(method)) return method;
  return std::nullopt;
}

// Splits a target into path and query; `authority` is set for the absolute form.
std::optional<Refusal> parse_target(Head& head, std::string_view& authority) {
  std::string_view rest = head.target;
  if (!rest.starts_with('/')) {
    if (rest == "*" && head.method == Method::kOptions) {
      head.path = rest;
      head.query = {};
      return std::nullopt;
    }
    const std::size_t scheme_end = rest.find("://");
    const std::string_view scheme = rest.substr(0, std::min(scheme_end, rest.size()));
    if (scheme_end == std::string_view::npos ||
        !(equal_ignoring_case(scheme, "http") || equal_ignoring_case(scheme, "https")))
      return refuse(400, fmt::format("the request target '{}' is neither a path nor an http:// URL",
                                     quoted(head.target)));
    rest.remove_prefix(scheme_end + 3);
    const std::size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
    authority = rest.substr(0, authority_end);
    if (authority.empty() || !all(authority, kHost))
      return refuse(400, fmt::format("the request target '{}' names no host", quoted(head.target)));
    rest.remove_prefix(authority_end);
  }
  const std::size_t question = std::min(rest.find('?'), rest.size());
  head.path = question == 0 ? std::string_view("/") : rest.substr(0, question);
  head.query = rest.substr(std::min(question + 1, rest.size()));
  return std::nullopt;
}

std::optional<Refusal> parse_request_line(std::string_view line, Head& head,
                                          std::string_view& authority) {
  const std::size_t method_end = line.find(' ');
  const std::string_view method = line.substr(0, std::min(method_end, line.size()));
  if (method_end == std::string_view::npos || method.empty() || !all(method, kToken))
    return refuse(400, fmt::format("malformed request line: '{}' does not begin with a method",
                                   quoted(line)));
  line.remove_prefix(method_end + 1);
  const std::size_t target_end = line.find(' ');
  if (target_end == std::string_view::npos)
    return refuse(400, "malformed request line: no HTTP version after the target");
  head.target = line.substr(0, target_end);
  if (head.target.empty() || !all(head.target, kTarget))
    return refuse(400, fmt::format("malformed request line: '{}' is not a request target",
                                   quoted(head.target)));
  const std::string_view version = line.substr(target_end + 1);
  if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) ||
      version[6] != '.' || !is_digit(version[7]))
    return refuse(
        400, fmt::format("malformed request line: '{}' is not an HTTP version", quoted(version)));
  if (version[5] != '1')
    return refuse(505, fmt::format("{} is not served here: use HTTP/1.1", version));
  head.version_1_0 = version[7] == '0';
  const std::optional<Method> known = parse_method(method);
  if (!known) return refuse(501, fmt::format("the method '{}' is not implemented", quoted(method)));
  head.method = *known;
  return parse_target(head, authority);
}

// What the fields say about framing, gathered while they are read.
struct Framing {
  bool has_host = false;
  bool has_length = false;
  bool has_transfer_encoding = false;
  bool close = false;
  bool keep_alive = false;
};

std::optional<Refusal> read_length(std::string_view value, Framing& framing, Head& head) {
  if (value.empty() || !std::ranges::all_of(value, is_digit))
    return refuse(400, fmt::format("Content-Length: '{}' is not a number", quoted(value)));
  std::uint64_t length = 0;
  for (const char c : value) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (length > (UINT64_MAX - digit) / 10)
      return refuse(400, fmt::format("Content-Length: '{}' is too large", quoted(value)));
    length = length * 10 + digit;
  }
  if (framing.has_length && length != head.content_length)
    return refuse(400, "the request has two Content-Length fields that differ");
  framing.has_length = true;
  head.content_length = length;
  return std::nullopt;
}

std::optional<Refusal> read_transfer_encoding(std::string_view value, Framing& framing,
                                              Head& head) {
  if (framing.has_transfer_encoding)
    return refuse(400, "the request has two Transfer-Encoding fields");
  framing.has_transfer_encoding = true;
  int codings = 0;
  do {
    const std::string_view coding = next_element(value);
    if (coding.empty()) return refuse(400, "Transfer-Encoding: a coding is missing");
    if (!equal_ignoring_case(coding, "chunked"))
      return refuse(501, fmt::format("the transfer coding '{}' is not implemented: use chunked",
                                     quoted(coding)));
    ++codings;
  } while (!value.empty());
  if (codings > 1) return refuse(400, "Transfer-Encoding: chunked is given twice");
  head.chunked = true;
  return std::nullopt;
}

// Looks at the fields that frame the message; the others are the handler's affair.
std::optional<Refusal> read_field(std::string_view name, std::string_view value, Framing& framing,
                                  Head& head) {
  switch (name.size()) {
    case 4:
      if (!equal_ignoring_case(name, "host")) break;
      if (framing.has_host) return refuse(400, "the request has two Host fields");
      if (!all(value, kHost))
        return refuse(400, fmt::format("Host: '{}' is not a host", quoted(value)));
      framing.has_host = true;
      break;
    case 6:
      if (!equal_ignoring_case(name, "expect")) break;
      if (!equal_ignoring_case(value, "100-continue"))
        return refuse(
            417, fmt::format("Expect: '{}' cannot be met: only 100-continue can", quoted(value)));
      head.expects_continue = true;
      break;
    case 10:
      if (!equal_ignoring_case(name, "connection")) break;
      while (!value.empty()) {
        const std::string_view option = next_element(value);
        if (equal_ignoring_case(option, "close")) framing.close = true;
        if (equal_ignoring_case(option, "keep-alive")) framing.keep_alive = true;
      }
      break;
    case 14:
      if (equal_ignoring_case(name, "content-length")) return read_length(value, framing, head);
      break;
    case 17:
      if (equal_ignoring_case(name, "transfer-encoding"))
        return read_transfer_encoding(value, framing, head);
      break;
    default:
      break;
  }
  return std::nullopt;
}

std::optional<Refusal> parse_field(std::string_view line, Framing& framing, Head& head) {
  if (line.front() == ' ' || line.front() == '\t')
    return refuse(400, "a field is folded over two lines, which HTTP/1.1 forbids");
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, std::min(colon, line.size()));
  if (colon == std::string_view::npos || name.empty() || !all(name, kToken))
    return refuse(400, fmt::format("malformed field: '{}'", quoted(line)));
  const std::string_view value = trim(line.substr(colon + 1));
  if (!all(value, kValue))
    return refuse(400, fmt::format("the field {} holds a control character", quoted(name)));
  if (std::optional<Refusal> refusal = read_field(name, value, framing, head)) return refusal;
  head.fields.emplace_back(name, value);
  return std::nullopt;
}

std::optional<Refusal> check_framing(const Framing& framing, Head& head) {
  if (!framing.has_host && !head.version_1_0) return refuse(400, "the request has no Host field");
  if (framing.has_transfer_encoding && framing.has_length)
    return refuse(400, "the request has both Content-Length and Transfer-Encoding");
  if (framing.has_transfer_encoding && head.version_1_0)
    return refuse(400, "HTTP/1.0 has no Transfer-Encoding");
  head.keep_alive = !framing.close && (!head.version_1_0 || framing.keep_alive);
  if (head.version_1_0) head.expects_continue = false;
  return std::nullopt;
}

}  // namespace

bool equal_ignoring_case(std::string_view one, std::string_view other) {
  if (one.size() != other.size()) return false;
  for (std::size_t i = 0; i < one.size(); ++i) {
    const auto a = static_cast<unsigned char>(one[i]);
    const auto b = static_cast<unsigned char>(other[i]);
    if (a == b) continue;
    const unsigned lower = a | 0x20U;
    if (lower != (b | 0x20U) || lower < 'a' || lower > 'z') return false;
  }
  return true;
}

std::size_t find_head_end(std::string_view bytes, std::size_t& scanned) {
  std::size_t at = scanned;
  while (at < bytes.size()) {
    const void* found = std::memchr(bytes.data() + at, '\n', bytes.size() - at);
    if (found == nullptr) break;
    at = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data()) + 1;
    const std::string_view after = bytes.substr(at, 2);
    if (after.starts_with('\n')) return at + 1;
    if (after == "\r\n") return at + 2;
    if (after.size() < 2 && (after.empty() || after == "\r")) {
      scanned = at - 1;
      return 0;
    }
  }
  scanned = bytes.size();
  return 0;
}

std::optional<Refusal> parse_head(std::string_view bytes, std::size_t fields_max, Head& head) {
  head.fields.clear();
  head.chunked = false;
  head.expects_continue = false;
  head.content_length = 0;
  Framing framing;
  std::string_view authority;
  bool first = true;
  while (!bytes.empty()) {
    const std::size_t lf = std::min(bytes.find('\n'), bytes.size());
    std::string_view line = bytes.substr(0, lf);
    bytes.remove_prefix(std::min(lf + 1, bytes.size()));
    if (!line.ends_with('\r')) return refuse(400, "a line of the head does not end in CR LF");
    line.remove_suffix(1);
    if (line.empty()) {
      if (!first) break;
      return refuse(400, "malformed request line: it is empty");
    }
    if (first) {
      if (std::optional<Refusal> refusal = parse_request_line(line, head, authority))
        return refusal;
      first = false;
      continue;
    }
    if (head.fields.size() == fields_max)
      return refuse(431, fmt::format("the request has more than {} fields", fields_max));
    if (std::optional<Refusal> refusal = parse_field(line, framing, head)) return refusal;
  }
  if (std::optional<Refusal> refusal = check_framing(framing, head)) return refusal;
  // RFC 9112, section 3.2.2: the host of an absolute target takes the place of Host.
  if (!authority.empty())
    for (auto& [name, value] : head.fields)
      if (equal_ignoring_case(name, "host")) value = authority;
  return std::nullopt;
}

void BodyDecoder::start_length(std::uint64_t length) {
  *this = {};
  left_ = length;
  state_ = length == 0 ? State::kDone : State::kMore;
}

void BodyDecoder::start_chunked() {
  *this = {};
  chunked_ = true;
  state_ = State::kMore;
}

void BodyDecoder::took(std::uint64_t count) {
  left_ -= count;
  if (left_ == 0) state_ = State::kDone;
}

std::size_t BodyDecoder::feed(std::string_view bytes, std::size_t bytes_max, std::string& body) {
  if (state_ != State::kMore) return 0;
  if (!chunked_) {
    if (left_ > bytes_max) {
      state_ = State::kTooLong;
      return 0;
    }
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
    body.append(bytes.substr(0, count));
    took(count);
    return count;
  }
  std::size_t at = 0;
  while (at < bytes.size() && state_ == State::kMore) {
    if (part_ == Part::kData) {
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size() - at));
      body.append(bytes.substr(at, count));
      at += count;
      total_ += count;
      left_ -= count;
      if (left_ == 0) part_ = Part::kDataCr;
      continue;
    }
    if (!step(bytes[at])) {
      state_ = State::kMalformed;
      return at;
    }
    ++at;
    // total_ never passes bytes_max, so this cannot wrap.
    if (part_ == Part::kData && left_ > bytes_max - total_) state_ = State::kTooLong;
  }
  return at;
}

// Takes one byte of chunked coding outside the data; false where it does not belong.
bool BodyDecoder::step(char c) {
  switch (part_) {
    case Part::kSizeFirst:
    case Part::kSize: {
      int digit = -1;
      if (is_digit(c)) digit = c - '0';
      if (c >= 'a' && c <= 'f') digit = c - 'a' + 10;
      if (c >= 'A' && c <= 'F') digit = c - 'A' + 10;
      if (digit >= 0) {
        if (left_ >> 60U != 0) return false;
        left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
        if (++extra_bytes_ > kExtraBytesMax) return false;
        part_ = Part::kSize;
        return true;
      }
      if (part_ == Part::kSizeFirst) return false;
      if (c == ';') {
        part_ = Part::kExtension;
        return true;
      }
      part_ = Part::kSizeLf;
      return c == '\r';
    }
    case Part::kExtension:
      if (c == '\r') {
        part_ = Part::kSizeLf;
        return true;
      }
      return is(c, kValue) && ++extra_bytes_ <= kExtraBytesMax;
    case Part::kSizeLf:
      part_ = left_ == 0 ? Part::kTrailerFirst : Part::kData;
      if (left_ != 0) extra_bytes_ = std::min(extra_bytes_, kExtraBytesMax / 2);
      return c == '\n';
    case Part::kDataCr:
      part_ = Part::kDataLf;
      return c == '\r';
    case Part::kDataLf:
      part_ = Part::kSizeFirst;
      return c == '\n';
    case Part::kTrailerFirst:
      if (c == '\r') {
        part_ = Part::kLastLf;
        return true;
      }
      part_ = Part::kTrailer;
      return is(c, kToken) && ++extra_bytes_ <= kExtraBytesMax;
    case Part::kTrailer:
      if (c == '\r') {
        part_ = Part::kTrailerLf;
        return true;
      }
      return is(c, kValue) && ++extra_bytes_ <= kExtraBytesMax;
    case Part::kTrailerLf:
      part_ = Part::kTrailerFirst;
      return c == '\n';
    case Part::kLastLf:
      state_ = State::kDone;
      return c == '\n';
    case Part::kData:
      break;
  }
  return false;
}

}  // namespace seam::http
