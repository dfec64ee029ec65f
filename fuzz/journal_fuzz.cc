// Reads any bytes as a journal segment: whatever they are, records lie inside them, in order, and
// reading ends.

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "journal/segment.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint64_t> words((size + 7) / 8);  // for their alignment
  if (size > 0) std::memcpy(words.data(), data, size);
  const char* const begin = reinterpret_cast<const char*>(words.data());
  for (const bool check_header : {true, false}) {
    seam::journal::SegmentReader reader({begin, size});
    if (check_header) reader.check_header({.writer = 0, .number = 1});
    std::uint64_t sequence = 0;
    while (const auto record = reader.next()) {
      CHECK(record->sequence > sequence);
      CHECK(record->bytes.data() >= begin);
      CHECK(record->bytes.data() + record->bytes.size() <= begin + size);
      sequence = record->sequence;
    }
    CHECK(reader.offset() <= size || size < seam::journal::kSegmentHeaderBytes);
  }
  return 0;
}
