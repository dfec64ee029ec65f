#include "http/exchange.h"

#include <algorithm>
#include <cstring>

namespace seam::http {

void ReceiveBuffer::make_room() {
  if (begin == end) begin = end = 0;
  if (end < capacity) return;
  if (begin > 0) {
    std::memmove(data.get(), data.get() + begin, size());
    end -= begin;
    begin = 0;
    return;
  }
  const std::size_t larger = std::max(kStart, capacity * 2);
  auto grown = std::make_unique_for_overwrite<char[]>(larger);
  if (end > 0) std::memcpy(grown.get(), data.get(), end);
  data = std::move(grown);
  capacity = larger;
}

std::optional<std::string_view> Exchange::header(std::string_view name) const {
  for (const auto& [field, value] : head.fields)
    if (equal_ignoring_case(field, name)) return value;
  return std::nullopt;
}

std::vector<std::pair<std::string_view, std::string_view>> Exchange::headers() const {
  return head.fields;
}

void Exchange::reset() {
  in.begin = in.end = 0;
  if (in.capacity > ReceiveBuffer::kKept) in = {};
  keep_small(decoded_body);
  keep_small(out);
  out_body = {};
  out_sent = 0;
  stream.reset();
  if (stop.stop_requested()) stop = {};
}

void Exchange::keep_small(std::string& text) {
  text.clear();
  if (text.capacity() > kStringKept) text.shrink_to_fit();
}

}  // namespace seam::http
