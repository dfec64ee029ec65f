// Decodes any bytes as the record of a call: an error, or a record that encodes to the same bytes.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "store/call_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const seam::Result<seam::store::CallRecord> record = seam::store::decode(bytes);
  if (!record.has_value()) return 0;
  std::string again;
  seam::store::encode(*record, again);
  CHECK(again == bytes);
  return 0;
}
