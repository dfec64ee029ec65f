// SHA-256 (FIPS 180-4) and CRC-32 (IEEE 802.3, as zlib's).
#pragma once
#include <stddef.h>
#include <stdint.h>

// Writes 64 hexadecimal digits and a NUL.
void sha256_hex(const char* data, size_t size, char out[65]);
uint32_t crc32_of(const char* data, size_t size);
