#pragma once
// What a module needs of an engine beyond WebAssembly 2.0, read from its bytes.
//
//   for (const std::string& each : proposals_of(bytes)) …   // "gc", "tail-call"

#include <set>
#include <string>
#include <string_view>

namespace seam::wasm {

// By the names of EngineCapabilities::proposals. Bytes that are no module give what was seen before
// they went wrong.
[[nodiscard]] std::set<std::string> proposals_of(std::string_view module_bytes);

}  // namespace seam::wasm
