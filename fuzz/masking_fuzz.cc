// Masks any text: never crashes, never grows past the limit, keeps valid JSON valid, and a second
// pass changes nothing.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/json_text.h"
#include "store/masking.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string whole;
  seam::store::mask_secrets(text, size * 8 + 8, whole);
  if (seam::check_json(text).has_value()) {
    CHECK(seam::check_json(whole).has_value());
    std::string again;
    seam::store::mask_secrets(whole, whole.size(), again);
    CHECK(again == whole);
  }
  std::string part;
  seam::store::mask_secrets(text, size / 2, part);
  CHECK(part.size() <= size / 2);
  CHECK(whole.starts_with(part));
  return 0;
}
