// Any bytes as what a worker says of a failure, and as what it writes to its standard output: a
// failure of a known kind or kInvalidArgument; what is written of a failure reads back the same;
// texts for people have no control bytes and are bounded.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/json_text.h"
#include "runtimes/limits.h"
#include "runtimes/worker_messages.h"

namespace {

using namespace seam;
using namespace seam::runtimes;

void check_failure(std::string_view bytes, bool timed) {
  const auto parsed = parse_failure(bytes, timed);
  if (!parsed) {
    CHECK(parsed.error().code == ErrorCode::kInvalidArgument);
    return;
  }
  if (const auto* host = std::get_if<Error>(&*parsed)) {
    CHECK(timed);
    const auto again = parse_failure(format_host_failure(*host), true);
    CHECK(again && std::get<Error>(*again).code == host->code);
    return;
  }
  const auto& error = std::get<FunctionError>(*parsed);
  CHECK((!error.line || *error.line > 0) && (!error.column || *error.column > 0));
  const std::string details = place_details(error);
  CHECK(details.empty() || is_json_object(details));
  const auto again = parse_failure(format_failure(error), true);
  CHECK(again && std::get<FunctionError>(*again).kind == error.kind);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_failure(bytes, false);
  check_failure(bytes, true);
  std::string tail;
  for (std::size_t at = 0; at < size; at += 1 + data[at]) {
    append_tail(tail, bytes.substr(at, 1U + data[at]));
    CHECK(tail.size() <= kOutputTailBytes);
  }
  const std::string text = printable_tail(tail);
  CHECK(!text.empty() &&
        std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < ' '; }));
  return 0;
}
