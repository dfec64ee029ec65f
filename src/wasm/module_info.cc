#include "wasm/module_info.h"

#include <fmt/format.h>

#include <algorithm>

namespace seam::wasm {
namespace {

constexpr std::string_view kMagic("\0asm", 4);
constexpr std::string_view kCoreVersion("\1\0\0\0", 4);
constexpr std::string_view kComponentVersion("\x0d\0\1\0", 4);

// Past white space and comments of the text format.
std::string_view skip_space(std::string_view text) {
  while (true) {
    const std::size_t at = text.find_first_not_of(" \t\r\n");
    if (at == std::string_view::npos) return {};
    text.remove_prefix(at);
    if (text.starts_with(";;")) {
      text.remove_prefix(std::min(text.find('\n'), text.size()));
    } else if (text.starts_with("(;")) {
      std::size_t depth = 0;
      std::size_t i = 0;
      for (; i + 1 < text.size(); i += 2) {
        if (text.substr(i, 2) == "(;") {
          ++depth;
        } else if (text.substr(i, 2) == ";)") {
          if (--depth == 0) break;
        } else {
          --i;  // one character on
        }
      }
      text.remove_prefix(std::min(i + 2, text.size()));
    } else {
      return text;
    }
  }
}

}  // namespace

FileKind file_kind_of(std::string_view bytes) {
  if (bytes.starts_with(kMagic)) {
    const std::string_view version = bytes.substr(kMagic.size(), kCoreVersion.size());
    if (version == kCoreVersion) return FileKind::kCoreModule;
    return version == kComponentVersion ? FileKind::kComponent : FileKind::kOtherVersion;
  }
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (bytes.starts_with(kByteOrderMark)) bytes.remove_prefix(kByteOrderMark.size());
  return skip_space(bytes).starts_with('(') ? FileKind::kText : FileKind::kOther;
}

std::string_view to_string(FileKind kind) {
  switch (kind) {
    case FileKind::kCoreModule:
      return "a core module";
    case FileKind::kComponent:
      return "a component";
    case FileKind::kText:
      return "a module in the text format";
    case FileKind::kOtherVersion:
      return "WebAssembly of an unknown version";
    case FileKind::kOther:
      return "no WebAssembly";
  }
  return "";
}

std::string_view to_string(ExternKind kind) {
  switch (kind) {
    case ExternKind::kFunction:
      return "function";
    case ExternKind::kGlobal:
      return "global";
    case ExternKind::kTable:
      return "table";
    case ExternKind::kMemory:
      return "memory";
    case ExternKind::kTag:
      return "tag";
  }
  return "";
}

std::string to_string(const ModuleLimits& limits) {
  if (!limits.max) return fmt::format("{} or more", limits.min);
  if (*limits.max == limits.min) return fmt::format("{}", limits.min);
  return fmt::format("{} to {}", limits.min, *limits.max);
}

std::string ModuleInfo::type_text(const ModuleExtern& each) const {
  const auto function = [this](std::uint32_t type) {
    return type < types.size() ? types[type] : std::string();
  };
  switch (each.kind) {
    case ExternKind::kFunction:
      return each.index < function_types.size() ? function(function_types[each.index]) : "";
    case ExternKind::kTag:
      return each.index < tag_types.size() ? function(tag_types[each.index]) : "";
    case ExternKind::kTable:
      if (each.index >= tables.size()) return {};
      return fmt::format("{} of {}", to_string(tables[each.index].elements),
                         tables[each.index].element);
    case ExternKind::kMemory:
      if (each.index >= memories.size()) return {};
      return to_string(memories[each.index].pages) + " pages";
    case ExternKind::kGlobal:
      if (each.index >= globals.size()) return {};
      return (globals[each.index].mutable_ ? "mutable " : "") + globals[each.index].type;
  }
  return {};
}

const ModuleExtern* ModuleInfo::find_export(std::string_view export_name) const {
  const auto found = std::ranges::find(exports, export_name, &ModuleExtern::name);
  return found == exports.end() ? nullptr : &*found;
}

std::string_view ModuleInfo::wasi() const {
  for (const std::string_view wasi : {"wasi_snapshot_preview1", "wasi_unstable"}) {
    if (std::ranges::find(imports, wasi, &ModuleExtern::module) != imports.end()) return wasi;
  }
  return {};
}

}  // namespace seam::wasm
