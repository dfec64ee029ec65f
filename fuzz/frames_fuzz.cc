// The decoder of what a worker sends: bytes of a tenant's process, so any bytes. The first byte of
// the input says how the rest is cut; however it is, the frames must be the same.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "process/frames.h"

namespace {

using seam::process::FrameDecoder;

std::optional<std::size_t> limit_of(const void*, std::uint8_t type) {
  if (type < 0x80 || type > 0x84) return std::nullopt;
  return type == 0x82 ? 200'000U : 40'000U;
}

// Everything a decoder said, as text.
std::string decode(std::string_view bytes, std::size_t piece) {
  FrameDecoder decoder;
  std::string said;
  while (!bytes.empty()) {
    const std::span<char> room = decoder.room();
    if (room.empty() || decoder.capacity() > 4 * 200'005U) std::abort();
    const std::size_t count = std::min({room.size(), piece, bytes.size()});
    std::copy_n(bytes.data(), count, room.data());
    decoder.added(count);
    bytes.remove_prefix(count);
    while (true) {
      const auto frame = decoder.next(limit_of, nullptr);
      if (!frame) return said + frame.error().message;
      if (!*frame) break;
      said += static_cast<char>((*frame)->type);
      said += (*frame)->payload;
      said += '|';
    }
  }
  return said + std::to_string(decoder.buffered());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (decode(bytes, 1U + data[0] * 7U) != decode(bytes, 1U << 20U)) std::abort();
  return 0;
}
