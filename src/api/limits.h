#pragma once
// How much a client may send. Above each: 413, code INVALID_REQUEST. docs/limits.md lists them with
// their settings.

#include <cstddef>

namespace seam::api {

struct BodyLimits {
  std::size_t source_bytes_max = 1U << 20U;  // a script or a function's source text
  std::size_t content_bytes_max =
      64U << 20U;  // a function's content that is not source: a WebAssembly module
  std::size_t params_bytes_max = 6U << 20U;  // the params of a call

  // What stands around them in a body: member names, a context, a description.
  static constexpr std::size_t kEnvelopeBytesMax = 64U << 10U;
  // A source text in JSON takes at most six bytes for one (\u0000).
  [[nodiscard]] std::size_t script_body_bytes_max() const {
    return 6 * source_bytes_max + kEnvelopeBytesMax;
  }
  [[nodiscard]] std::size_t call_body_bytes_max() const {
    return params_bytes_max + kEnvelopeBytesMax;
  }
  // Base64 takes four bytes for three; with line breaks a little more.
  [[nodiscard]] std::size_t put_body_bytes_max() const {
    const std::size_t encoded =
        content_bytes_max / 3 * 4 + content_bytes_max / 32 + kEnvelopeBytesMax;
    return encoded > script_body_bytes_max() ? encoded : script_body_bytes_max();
  }
};

}  // namespace seam::api
