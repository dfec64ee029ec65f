#pragma once
// The byte form of what the server, the spawner, zygotes and their children say to each other on
// one machine: fixed-width integers in the machine's own order and strings with their length. Both
// ends are the same build.
//
//   WireWriter out;  out.u32(7);  out.text("node");
//   WireReader in(out.bytes());  in.u32() == 7;  in.text() == "node";  in.done() == true;

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace seam::process {

class WireWriter {
 public:
  void u32(std::uint32_t value) { raw(&value, sizeof value); }
  void u64(std::uint64_t value) { raw(&value, sizeof value); }
  void text(std::string_view value) {
    u32(static_cast<std::uint32_t>(value.size()));
    bytes_.append(value);
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  void raw(const void* from, std::size_t size) {
    bytes_.append(static_cast<const char*>(from), size);
  }
  std::string bytes_;
};

// Reading past the end gives zeros and empty texts, and done() is false from then on.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] std::uint32_t u32() { return number<std::uint32_t>(); }
  [[nodiscard]] std::uint64_t u64() { return number<std::uint64_t>(); }
  [[nodiscard]] std::string text() {
    const std::uint32_t size = u32();
    if (size > rest_.size()) {
      failed_ = true;
      return {};
    }
    std::string value(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return value;
  }
  // Everything was there and nothing is left.
  [[nodiscard]] bool done() const { return !failed_ && rest_.empty(); }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  template <class T>
  T number() {
    T value = 0;
    if (rest_.size() < sizeof value) {
      failed_ = true;
      return 0;
    }
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace seam::process
