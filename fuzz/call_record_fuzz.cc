// Decodes any bytes as the record of a call: an error, or a record that survives being encoded. Its
// log is cut into lines by marks that anyone may have written.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "store/call_log.h"
#include "store/call_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const seam::Result<seam::store::CallRecord> record = seam::store::decode(bytes);
  if (!record.has_value()) return 0;
  std::string again;
  seam::store::encode(*record, again);
  const seam::Result<seam::store::CallRecord> same = seam::store::decode(again);
  CHECK(same.has_value() && *same == *record);
  std::size_t printed = 0;
  seam::store::for_each_line(*record, [&printed](const seam::store::LogLine& line) {
    CHECK(line.text.size() <= seam::store::kLogLineBytesMax);
    printed += line.text.size();
  });
  CHECK(printed <= record->logs.size());
  return 0;
}
