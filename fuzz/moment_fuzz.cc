// Reads any text as a moment: an error, or a time that is written and read again as the same.

#include <cstdint>
#include <string_view>

#include "api/moment.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const seam::WallTime now{seam::seconds(1'700'000'000)};
  const seam::Result<seam::WallTime> moment = seam::api::parse_moment(text, now);
  if (!moment.has_value()) return 0;
  const seam::Result<seam::WallTime> again =
      seam::api::parse_moment(seam::format_rfc3339(*moment), now);
  CHECK(again.has_value() && *again == *moment);
  return 0;
}
