#include "api/recorded_headers.h"

#include <array>
#include <string_view>

#include "base/json_text.h"

namespace seam::api {

std::string recorded_headers(const http::Request& request) {
  static constexpr std::array<std::string_view, 4> kKept = {"User-Agent", "Content-Type",
                                                            "X-Request-ID", "traceparent"};
  std::string out = "{";
  for (const std::string_view name : kKept) {
    const auto value = request.header(name);
    if (!value) continue;
    if (out.size() > 1) out.push_back(',');
    out.append("\"").append(name).append("\":");
    append_json_string(out, value->substr(0, 256));
  }
  out.push_back('}');
  return out;
}

}  // namespace seam::api
