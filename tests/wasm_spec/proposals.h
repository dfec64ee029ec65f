#pragma once
// What a module needs, read from its bytes; for modules that an engine does not take.
//
//   for (const std::string& each : needs_of(bytes).proposals) …   // "gc", "tail-call"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace seam::wasm {

struct ModuleNeeds {
  std::set<std::string> proposals;  // beyond 2.0, by the names of EngineCapabilities::proposals
  std::set<std::string> modules;    // that it imports from
  std::uint64_t table_elements_min = 0;  // of its largest table
  // A constant expression reads a global that can change: no version of WebAssembly allows it.
  bool constant_reads_mutable_global = false;
  // A function refers to the start function, which does not declare it: likewise.
  bool refers_to_start_function = false;
};

// Bytes that are no module give what was seen before they went wrong.
[[nodiscard]] ModuleNeeds needs_of(std::string_view module_bytes);

}  // namespace seam::wasm
