#pragma once
// CRC-32C, the checksum of the journal's records: one instruction for 8 bytes where the processor
// has it, a table elsewhere.
//
//   std::uint32_t crc = crc32c(header_bytes);
//   crc = crc32c(payload, crc);                  // of both, one after the other
//
// source    RFC 3720, appendix B.4 (test vectors)

#include <cstdint>
#include <string_view>

namespace seam::journal {

[[nodiscard]] std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0);

// The same by table alone; for the test that compares the two.
[[nodiscard]] std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t before = 0);

}  // namespace seam::journal
