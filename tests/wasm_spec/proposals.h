#pragma once
// What a module needs, read from its bytes; for modules that an engine does not take.
//
//   for (const std::string& each : needs_of(bytes).proposals) …   // "gc", "tail-call"

#include <set>
#include <string>
#include <string_view>

namespace seam::wasm {

struct ModuleNeeds {
  std::set<std::string> proposals;  // beyond 2.0, by the names of EngineCapabilities::proposals
  std::set<std::string> modules;    // that it imports from
};

// Bytes that are no module give what was seen before they went wrong.
[[nodiscard]] ModuleNeeds needs_of(std::string_view module_bytes);

}  // namespace seam::wasm
