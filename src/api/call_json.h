#pragma once
// Records of calls, and the lines that they printed, as JSON.
//
//   std::string out = render_call(found);

#include <string>
#include <vector>

#include "store/call_query.h"

namespace seam::api {

// What a list says of a call.
[[nodiscard]] std::string render_call_summary(const store::FoundCall& call);
// All that is kept of one: `call` was read whole.
[[nodiscard]] std::string render_call(const store::FoundCall& call);

// The lines of these calls in the order of their times, each a JSON object; for a call whose log
// was too long for the page, one {"call_id", "function", "omitted_bytes"} in its place.
[[nodiscard]] std::vector<std::string> render_lines(const std::vector<store::FoundCall>& calls);

}  // namespace seam::api
