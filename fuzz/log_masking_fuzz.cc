// Masks any line: it never grows by more than its masks, and what follows `password=` is gone.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "store/log_masking.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  CHECK(seam::store::mask_log_line(line).size() <= size * 4 + 8);
  const std::string plain = "\n" + std::string(size, 's') + " password=hunter2";
  CHECK(seam::store::mask_log_line(plain).ends_with(" password=***"));
  return 0;
}
