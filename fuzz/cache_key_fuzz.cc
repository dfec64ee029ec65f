// The header X-Cache-Control and the canonical form of params: of any text the header is read or
// refused; of any JSON the canonical form is JSON, is its own, and is no longer than what came.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/json_text.h"
#include "functions/cache_control.h"
#include "functions/canonical_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto control = seam::functions::CacheControl::parse(text);
  if (control) {
    CHECK(!control->max_age || control->max_age->count() >= 0);
    CHECK(control->max_age || control->no_cache || control->no_store ||
          text.find_first_not_of(" \t,") == std::string_view::npos);
  }
  static seam::functions::CanonicalJson canonical;
  if (seam::check_json(text)) {
    std::string out;
    canonical.append(text, out);
    CHECK(seam::check_json(out).has_value());
    CHECK(out.size() <= size);
    std::string again;
    canonical.append(out, again);
    CHECK(again == out);
  }
  return 0;
}
