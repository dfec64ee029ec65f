#include "base/identifier.h"

#include <openssl/evp.h>
#include <sys/random.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/check.h"

namespace seam {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// Random bytes are fetched by the page, so that an identifier costs no system call of its own.
class RandomPool {
 public:
  void take(unsigned char* out, std::size_t size) {
    if (used_ + size > pool_.size()) {
      for (std::size_t got = 0; got < pool_.size();) {
        const ssize_t n = ::getrandom(pool_.data() + got, pool_.size() - got, 0);
        if (n > 0) got += static_cast<std::size_t>(n);
      }
      used_ = 0;
    }
    for (std::size_t i = 0; i < size; ++i) {
      out[i] = std::exchange(pool_[used_++], 0);  // an identifier handed out is not kept here
    }
  }

 private:
  std::array<unsigned char, 1024> pool_{};
  std::size_t used_ = pool_.size();
};

using UuidBytes = std::array<unsigned char, 16>;

UuidBytes random_bytes() {
  thread_local RandomPool pool;
  UuidBytes bytes{};
  pool.take(bytes.data(), bytes.size());
  return bytes;
}

std::string format_uuid(UuidBytes bytes, unsigned version) {
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0FU) | (version << 4U));
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3FU) | 0x80U);
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text.push_back(kHex[bytes[i] >> 4U]);
    text.push_back(kHex[bytes[i] & 15U]);
  }
  return text;
}

}  // namespace

std::string random_uuid() { return format_uuid(random_bytes(), 4); }

std::string time_ordered_uuid(WallTime now) {
  UuidBytes bytes = random_bytes();
  const auto milliseconds_now = static_cast<std::uint64_t>(
      std::chrono::duration_cast<milliseconds>(now.time_since_epoch()).count());
  for (std::size_t i = 0; i < 6; ++i) {
    bytes[i] = static_cast<unsigned char>(milliseconds_now >> (40U - 8U * i));
  }
  return format_uuid(bytes, 7);
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (c != '-') return false;
    } else if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
      return false;
    }
  }
  return true;
}

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  std::string text;
  text.reserve(std::size_t{2} * size);
  for (unsigned int i = 0; i < size; ++i) {
    text.push_back(kHex[digest[i] >> 4]);
    text.push_back(kHex[digest[i] & 15]);
  }
  return text;
}

}  // namespace seam
