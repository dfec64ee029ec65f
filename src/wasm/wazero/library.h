#pragma once
// libseam_wazero.so as C++ sees it: its functions, its buffers, its errors.

#include <seam_wazero.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "wasm/error.h"
#include "wasm/runtime.h"

namespace seam::wasm {

// The library's functions, for as long as the process lives. Opened once for each file.
// errors    kRuntimeNotFound   as SharedLibrary::open(), or it is of another version
[[nodiscard]] Outcome<seam_wazero_api> open_wazero(const std::filesystem::path& folder);

// A buffer that the library fills and that is freed here.
class WazeroBuffer {
 public:
  WazeroBuffer() = default;
  WazeroBuffer(const WazeroBuffer&) = delete;
  WazeroBuffer& operator=(const WazeroBuffer&) = delete;
  ~WazeroBuffer();

  [[nodiscard]] seam_wazero_buffer* out() { return &buffer_; }
  [[nodiscard]] bool empty() const { return buffer_.data == nullptr; }
  [[nodiscard]] std::string_view bytes() const {
    return {reinterpret_cast<const char*>(buffer_.data), buffer_.size};
  }

 private:
  seam_wazero_buffer buffer_{};
};

// What a failed call has left in the buffer.
[[nodiscard]] Error take_error(const WazeroBuffer& buffer);

// What the library says of a compiled module.
struct WazeroModuleInfo {
  std::vector<ExternType> exports;
  std::vector<ExternType> imports;
  std::size_t code_bytes = 0;
  bool has_start = false;
  bool has_memory = false;  // of its own
  std::uint64_t memory_pages_min = 0;
  std::vector<std::uint32_t> table_elements_min;  // of its own tables
};
[[nodiscard]] WazeroModuleInfo read_info(std::string_view bytes);

// A value type as the binary format writes it.
[[nodiscard]] std::uint8_t type_byte(ValueType type);
[[nodiscard]] ValueType value_type(std::uint8_t byte);

}  // namespace seam::wasm
