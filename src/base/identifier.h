#pragma once
// Random identifiers and content hashes.
//
//   std::string request_id = random_uuid();      // "0b8f5c9e-…", 36 characters
//   std::string hash = sha256_hex(source);       // 64 characters

#include <string>
#include <string_view>

#include "base/clock.h"

namespace seam {

// A version 4 UUID from the kernel's generator, lower case. Any thread.
// source    RFC 9562, section 5.4.
[[nodiscard]] std::string random_uuid();

// A version 7 UUID: its first 48 bits are the time in milliseconds, so that rows keyed by it lie in
// a table in the order in which they were made. The rest is random. Any thread. source    RFC 9562,
// section 5.7.
[[nodiscard]] std::string time_ordered_uuid(WallTime now);

// Whether `text` has the shape of a lower-case UUID: 8-4-4-4-12 hexadecimal digits.
[[nodiscard]] bool is_uuid(std::string_view text);

// SHA-256 in lower-case hexadecimal. Any thread.
// source    FIPS 180-4.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);

}  // namespace seam
