#pragma once
// What a file of WebAssembly holds, read from its bytes alone: no engine is asked, nothing is
// compiled and little is validated. For tools that show a module to a person.
//
//   if (file_kind_of(bytes) != FileKind::kCoreModule) …
//   SEAM_ASSIGN_OR_RETURN(const ModuleInfo info, read_module_info(bytes));
//   for (const ModuleExtern& each : info.exports) print(each.name, info.type_text(each));

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wasm/error.h"
#include "wasm/value.h"

namespace seam::wasm {

enum class FileKind : std::uint8_t {
  kCoreModule,
  kComponent,     // of the component model, which core engines do not take
  kText,          // the text format, as far as its first character tells
  kOtherVersion,  // begins as a module and is of a version that nobody has yet
  kOther,         // nothing of WebAssembly's
};

[[nodiscard]] FileKind file_kind_of(std::string_view bytes);
// "a core module". Static text.
[[nodiscard]] std::string_view to_string(FileKind kind);

// Least and most of a memory, in pages, or of a table, in elements.
struct ModuleLimits {
  std::uint64_t min = 0;
  std::optional<std::uint64_t> max = {};
  bool is_64 = false;
  bool shared = false;
};

struct ModuleMemory {
  ModuleLimits pages;
  std::uint32_t page_bytes_log2 = 16;  // 64 KiB, where the module does not say otherwise
  bool imported = false;
};

struct ModuleTable {
  std::string element;  // "funcref"
  ModuleLimits elements;
  bool imported = false;
};

struct ModuleGlobal {
  std::string type;  // "i32"
  bool mutable_ = false;
};

struct ModuleExtern {
  std::string module = {};  // of an import
  std::string name;
  ExternKind kind = ExternKind::kFunction;
  std::uint32_t index = 0;  // among those of its kind, imported ones first
};

struct ModuleSection {
  std::uint8_t id = 0;
  std::string name;          // "export", or of a custom section its own
  std::uint64_t offset = 0;  // of its content, in bytes from the module's begin
  std::uint64_t size = 0;    // of its content
};

// One line of the section "producers".
struct ModuleProducer {
  std::string field;    // "processed-by"
  std::string name;     // "clang"
  std::string version;  // "19.1.4"
};

struct ModuleInfo {
  std::vector<ModuleSection> sections;
  std::vector<ModuleExtern> imports;
  std::vector<ModuleExtern> exports;
  std::vector<std::string> types;             // "(i32, i32) -> i64"; long ones cut
  std::vector<std::uint32_t> function_types;  // index into types, of each function
  std::vector<ModuleTable> tables;
  std::vector<ModuleMemory> memories;
  std::vector<ModuleGlobal> globals;
  std::vector<std::uint32_t> tag_types;
  std::size_t imported_functions = 0;
  std::optional<std::uint32_t> start = {};  // the function that runs at instantiation
  std::size_t element_segments = 0;
  std::size_t data_segments = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t code_bytes = 0;

  // Of custom sections, as far as they can be read: a broken one breaks no module.
  std::string name;  // that the module gives itself
  std::size_t function_names = 0;
  std::vector<ModuleProducer> producers;
  std::vector<std::string> target_features;  // "+simd128"

  // "(i32) -> i32", "memory of 2 to 16 pages", "global, mutable i32"; empty for an index that leads
  // nowhere.
  [[nodiscard]] std::string type_text(const ModuleExtern& each) const;
  [[nodiscard]] const ModuleExtern* find_export(std::string_view export_name) const;
  // The module of its imports that is WASI preview 1's, today's name or the one before; or empty.
  [[nodiscard]] std::string_view wasi() const;
};

// "2", "2 to 16", "2 or more".
[[nodiscard]] std::string to_string(const ModuleLimits& limits);
// "function". Static text.
[[nodiscard]] std::string_view to_string(ExternKind kind);

// errors    kModuleCompileFailed   no core module, cut off, or something at a place that the format
//                                  does not allow: the message has the offset
// source    WebAssembly 3.0, section "Binary format"; tool-conventions, ProducersSection.md and
//           Linking.md (target features).
[[nodiscard]] Outcome<ModuleInfo> read_module_info(std::string_view bytes);

}  // namespace seam::wasm
