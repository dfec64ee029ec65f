// report ROUNDS <text: words, lines and a chained SHA-256 of a text, as one line of JSON. README.md says it exactly.
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kTop = 5;

// FIPS 180-4.
class Sha256 {
 public:
  void add(std::string_view text) {
    for (const char c : text) {
      block_[bytes_++ % 64] = static_cast<std::uint8_t>(c);
      if (bytes_ % 64 == 0) compress();
    }
  }

  std::string hex() {
    const std::uint64_t bits = bytes_ * 8;
    add("\x80");
    while (bytes_ % 64 != 56) add(std::string_view("\0", 1));
    for (int shift = 56; shift >= 0; shift -= 8) {
      const char byte = static_cast<char>(bits >> shift);
      add({&byte, 1});
    }
    std::string text;
    for (const std::uint32_t word : state_)
      for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
    return text;
  }

 private:
  void compress() {
    std::array<std::uint32_t, 64> w{};
    for (std::size_t i = 0; i < 16; ++i)
      for (std::size_t j = 0; j < 4; ++j) w[i] = w[i] << 8 | block_[4 * i + j];
    for (std::size_t i = 16; i < 64; ++i) {
      const std::uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state_;
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t one =
          h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
      const std::uint32_t two =
          (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
    }
    const std::array<std::uint32_t, 8> more = {a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < 8; ++i) state_[i] += more[i];
  }

  static constexpr std::array<std::uint32_t, 64> kRound = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
      0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
      0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
      0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
      0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
      0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
      0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> block_{};
  std::uint64_t bytes_ = 0;
};

std::string read_all() {
  std::string text;
  std::array<char, 1 << 16> piece;
  while (const std::size_t got = std::fread(piece.data(), 1, piece.size(), stdin)) text.append(piece.data(), got);
  return text;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

int main(int argc, char** argv) {
  int rounds = 0;
  const std::string_view given = argc == 2 ? argv[1] : "";
  const auto parsed = std::from_chars(given.data(), given.data() + given.size(), rounds);
  if (given.empty() || parsed.ec != std::errc{} || parsed.ptr != given.data() + given.size() || rounds < 1) {
    std::fputs("usage: report ROUNDS <text\n", stderr);
    return 2;
  }
  const std::string text = read_all();
  std::fprintf(stderr, "report: %zu bytes\n", text.size());

  std::string digest;
  for (int round = 0; round < rounds; ++round) {
    Sha256 sha;
    sha.add(digest);
    sha.add(text);
    digest = sha.hex();
  }

  std::map<std::string, std::uint64_t, std::less<>> words;
  std::uint64_t total = 0;
  std::uint64_t letters = 0;
  for (auto at = text.begin(); at != text.end();) {
    const auto begin = std::find_if(at, text.end(), is_letter);
    at = std::find_if_not(begin, text.end(), is_letter);
    if (begin == at) break;
    std::string word(begin, at);
    for (char& c : word) c = static_cast<char>(c | 0x20);
    letters += word.size();
    ++total;
    ++words[std::move(word)];
  }
  std::vector<std::pair<std::string, std::uint64_t>> top(words.begin(), words.end());
  std::ranges::stable_sort(top, [](const auto& a, const auto& b) { return a.second > b.second; });
  std::printf("{\"bytes\":%zu,\"lines\":%llu,\"words\":%llu,\"distinct\":%zu,\"mean_length\":%.3f,\"sha256\":\"%s\",\"top\":[",
              text.size(), static_cast<unsigned long long>(std::ranges::count(text, '\n')),
              static_cast<unsigned long long>(total), words.size(),
              total == 0 ? 0.0 : static_cast<double>(letters) / static_cast<double>(total), digest.c_str());
  for (std::size_t i = 0; i < std::min(top.size(), kTop); ++i)
    std::printf("%s{\"word\":\"%s\",\"count\":%llu}", i == 0 ? "" : ",", top[i].first.c_str(),
                static_cast<unsigned long long>(top[i].second));
  std::puts("]}");
  return 0;
}
