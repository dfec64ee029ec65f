#pragma once
// Reads HTTP/1.1 requests out of bytes, without sockets: the head, then the body. Strict where
// leniency lets two programs read one stream differently (request smuggling): a bare LF or CR, a
// folded line, space before a colon, two framings of one body are all 400.
//
//   if (std::size_t end = find_head_end(bytes, 0)) {
//     std::optional<Refusal> refusal = parse_head(bytes.substr(0, end), limits, head);
//
// source    RFC 9110, RFC 9112. thread any.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"
#include "http/routes.h"

namespace seam::http {

using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

struct Head {
  Method method = Method::kGet;
  std::string_view target;
  std::string_view path;
  std::string_view query;
  Fields fields;
  bool version_1_0 = false;
  bool keep_alive = true;
  bool chunked = false;
  bool expects_continue = false;
  std::uint64_t content_length = 0;
};

// The length of the head at the front of `bytes` with its blank line, or 0 when it is not complete.
// Looks from `scanned` on, where an earlier call stopped; sets it for the next one. A blank line
// that ends in a bare LF counts, so that such a head is refused at once.
[[nodiscard]] std::size_t find_head_end(std::string_view bytes, std::size_t& scanned);

// Reads a whole head into `head`, whose views are into `bytes`. Returns what to refuse it with:
// 400, 417, 431, 501 or 505; nothing is known about where its body ends then.
[[nodiscard]] std::optional<Refusal> parse_head(std::string_view bytes, std::size_t fields_max,
                                                Head& head);

[[nodiscard]] bool equal_ignoring_case(std::string_view one, std::string_view other);

// Takes a body out of the bytes of a connection, by length or chunked.
class BodyDecoder {
 public:
  enum class State : std::uint8_t { kMore, kDone, kMalformed, kTooLong };

  void start_length(std::uint64_t length);
  void start_chunked();
  // Takes bytes from the front of `bytes`, appends what they carry to `body`, and returns how many
  // it took. kTooLong as soon as the body is known to be longer than `bytes_max`. Extensions and
  // trailers are checked and dropped; more than 16 KiB of them is kMalformed.
  std::size_t feed(std::string_view bytes, std::size_t bytes_max, std::string& body);
  [[nodiscard]] State state() const { return state_; }
  // Bytes still to come of a body by length; 0 for a chunked one.
  [[nodiscard]] std::uint64_t length_left() const { return chunked_ ? 0 : left_; }
  // `count` bytes were put into the body by the caller.
  void took(std::uint64_t count);

 private:
  enum class Part : std::uint8_t {
    kSizeFirst,
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerFirst,
    kTrailer,
    kTrailerLf,
    kLastLf
  };
  bool step(char c);

  State state_ = State::kDone;
  bool chunked_ = false;
  Part part_ = Part::kSizeFirst;
  std::uint64_t left_ = 0;       // of the body or of the chunk
  std::size_t total_ = 0;        // decoded so far, chunked
  std::size_t extra_bytes_ = 0;  // extensions and trailers
};

}  // namespace seam::http
