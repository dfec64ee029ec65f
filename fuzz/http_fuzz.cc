// Any bytes as a connection would read them: heads, then bodies, one request after the other. The
// stream is read twice, whole and in pieces, and both must say the same. A head that is accepted
// must be one that Boost.Beast, a parser of other hands, reads the same way.

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/optional.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/request_parser.h"

namespace {

using namespace seam::http;
namespace beast = boost::beast;

constexpr std::size_t kBodyMax = 4096;
constexpr std::size_t kFieldsMax = 20;

// Whether the head was accepted by Beast too, with the same fields and the same framing.
void compare(std::string_view bytes, const Head& head) {
  beast::http::request_parser<beast::http::string_body> parser;
  parser.header_limit(1U << 20U);
  parser.body_limit(boost::none);
  beast::error_code error;
  parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  // Beast knows no HTTP/1.2 to 1.9, wants its lists of Connection well formed, and takes only
  // targets without bytes that we take.
  if (error == beast::http::error::bad_version || error == beast::http::error::bad_value) return;
  CHECK(!error || error == beast::http::error::need_more);
  CHECK(parser.is_header_done());
  const auto& theirs = parser.get();
  CHECK(theirs.method_string() == to_string(head.method));
  CHECK(theirs.target() == head.target);
  CHECK(parser.chunked() == head.chunked);
  CHECK(parser.content_length().value_or(0) == head.content_length);
  std::size_t count = 0;
  for (const auto& field : theirs) {
    static_cast<void>(field);
    ++count;
  }
  CHECK(count == head.fields.size());
}

// What became of a stream: each request's parts in turn, and how it ended.
std::string read_stream(std::string_view stream, std::size_t piece, bool compared) {
  std::string log;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t scanned = 0;
  Head head;
  for (;;) {
    const std::size_t length = find_head_end(stream.substr(begin, end - begin), scanned);
    if (length == 0) {
      if (end == stream.size()) return log + "|rest";
      end = std::min(stream.size(), end + piece);
      continue;
    }
    scanned = 0;
    const std::string_view bytes = stream.substr(begin, length);
    begin += length;
    if (const auto refusal = parse_head(bytes, kFieldsMax, head))
      return log + "|" + std::to_string(refusal->status) + refusal->message;
    if (compared) compare(bytes, head);
    log += '|';
    log += head.path;
    log += '?';
    log += head.query;
    BodyDecoder decoder;
    if (head.chunked) {
      decoder.start_chunked();
    } else {
      decoder.start_length(head.content_length);
    }
    std::string body;
    for (;;) {
      begin += decoder.feed(stream.substr(begin, end - begin), kBodyMax, body);
      CHECK(body.size() <= kBodyMax);
      if (decoder.state() != BodyDecoder::State::kMore) break;
      CHECK(begin == end);  // all that came was taken
      if (end == stream.size()) return log + "|cut";
      end = std::min(stream.size(), end + piece);
    }
    if (decoder.state() == BodyDecoder::State::kMalformed) return log + "|malformed";
    if (decoder.state() == BodyDecoder::State::kTooLong) return log + "|too long";
    log += '=';
    log += body;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view stream(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string whole = read_stream(stream, stream.size() + 1, true);
  CHECK(whole == read_stream(stream, 1U + data[0] % 16U, false));
  return 0;
}
