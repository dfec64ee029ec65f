#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "wasm/module_info.h"

namespace seam::wasm {
namespace {

constexpr std::size_t kHeadBytes = 8;  // magic number and version
// What no engine takes more of, in one vector; keeps the memory of the reader in proportion.
constexpr std::uint32_t kCountMax = 1'000'000;
constexpr std::size_t kTypesShown = 16;  // params or results of one function

enum SectionId : std::uint8_t {
  kCustom = 0,
  kType = 1,
  kImport = 2,
  kFunction = 3,
  kTable = 4,
  kMemory = 5,
  kGlobal = 6,
  kExport = 7,
  kStart = 8,
  kElement = 9,
  kCode = 10,
  kData = 11,
  kDataCount = 12,
  kTag = 13,
};

std::string_view section_name(std::uint8_t id) {
  static constexpr std::array<std::string_view, 14> kNames = {
      "custom", "type",  "import",  "function", "table", "memory",     "global",
      "export", "start", "element", "code",     "data",  "data count", "tag"};
  return id < kNames.size() ? kNames[id] : "unknown";
}

// Where reading stopped, thrown through the reader and caught at its door below.
struct Malformed {
  std::uint64_t offset;
  std::string what;
};

// Reads from the begin to the end of one section. Every read is bounded by it.
class Reader {
 public:
  Reader(std::string_view bytes, std::uint64_t offset) : bytes_(bytes), offset_(offset) {}

  [[nodiscard]] bool at_end() const { return bytes_.empty(); }
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size(); }
  [[noreturn]] void refuse(std::string what) const { throw Malformed{offset_, std::move(what)}; }

  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size())
      refuse(
          fmt::format("ends in the middle: {} bytes are wanted, {} are left", size, bytes_.size()));
    const std::string_view taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    offset_ += size;
    return taken;
  }
  std::uint8_t byte() { return static_cast<std::uint8_t>(take(1).front()); }
  [[nodiscard]] std::uint8_t peek() const {
    if (bytes_.empty()) refuse("ends in the middle");
    return static_cast<std::uint8_t>(bytes_.front());
  }

  // LEB128 of at most `bits` bits; the value's low 64.
  std::uint64_t leb(unsigned bits) {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
      const std::uint8_t part = byte();
      value |= static_cast<std::uint64_t>(part & 0x7fU) << shift;
      if ((part & 0x80U) == 0) return value;
    }
    refuse("a number goes on for longer than it may");
  }
  std::uint32_t u32() {
    const std::uint64_t value = leb(32);
    if (value > std::numeric_limits<std::uint32_t>::max()) refuse("a number has over 32 bits");
    return static_cast<std::uint32_t>(value);
  }
  std::uint64_t u64() { return leb(64); }
  // Of a vector whose elements take at least one byte each.
  std::uint32_t count() {
    const std::uint32_t value = u32();
    if (value > kCountMax || value > bytes_.size())
      refuse(fmt::format("{} elements do not fit here", value));
    return value;
  }
  std::string_view name() { return take(u32()); }

 private:
  std::string_view bytes_;
  std::uint64_t offset_;
};

// The abstract heap types, from 0x69 on.
constexpr std::uint8_t kFirstHeapType = 0x69;
constexpr std::array<std::string_view, 12> kHeapTypes = {"exn",  "array",    "struct", "i31",
                                                         "eq",   "any",      "extern", "func",
                                                         "none", "noextern", "nofunc", "noexn"};
// The types of numbers and vectors, from 0x7b on.
constexpr std::uint8_t kFirstNumber = 0x7b;
constexpr std::array<std::string_view, 5> kNumbers = {"v128", "f64", "f32", "i64", "i32"};

bool is_heap_type(std::uint8_t code) {
  return code >= kFirstHeapType && code < kFirstHeapType + kHeapTypes.size();
}

// An abstract one by its name, or the index of a type.
std::string heap_type(Reader& in) {
  if (!is_heap_type(in.peek())) return fmt::format("{}", in.leb(33));
  return std::string(kHeapTypes[in.byte() - kFirstHeapType]);
}

std::string value_type(Reader& in) {
  const std::uint8_t code = in.peek();
  if (code >= kFirstNumber && code < kFirstNumber + kNumbers.size())
    return std::string(kNumbers[in.byte() - kFirstNumber]);
  if (is_heap_type(code)) return heap_type(in) + "ref";
  if (code != 0x63 && code != 0x64) in.refuse(fmt::format("{:#04x} is no type of a value", code));
  in.byte();
  return (code == 0x63 ? "(ref null " : "(ref ") + heap_type(in) + ")";
}

std::string value_types(Reader& in) {
  const std::uint32_t count = in.count();
  std::string text = "(";
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string type = value_type(in);
    if (i < kTypesShown) text += (i > 0 ? ", " : "") + type;
  }
  if (count > kTypesShown) text += fmt::format(", … {} more", count - kTypesShown);
  return text + ")";
}

void field_type(Reader& in) {
  if (in.peek() == 0x78 || in.peek() == 0x77) {
    in.byte();  // i8, i16
  } else {
    value_type(in);
  }
  in.byte();  // mutable
}

std::string composite_type(Reader& in) {
  switch (const std::uint8_t form = in.byte()) {
    case 0x60: {
      const std::string params = value_types(in);
      std::string results = value_types(in);
      if (!results.contains(',') && results.size() > 2)
        results = results.substr(1, results.size() - 2);
      return params + " -> " + results;
    }
    case 0x5f:
      for (std::uint32_t i = in.count(); i > 0; --i) field_type(in);
      return "struct";
    case 0x5e:
      field_type(in);
      return "array";
    default:
      in.refuse(fmt::format("{:#04x} is no form of a type", form));
  }
}

std::string sub_type(Reader& in) {
  if (in.peek() == 0x50 || in.peek() == 0x4f) {
    in.byte();
    for (std::uint32_t i = in.count(); i > 0; --i) in.u32();
  }
  return composite_type(in);
}

// Reads past a constant expression.
void skip_constant(Reader& in) {
  while (true) {
    switch (const std::uint8_t code = in.byte()) {
      case 0x0b:
        return;  // end
      case 0x23:
      case 0xd2:
        in.u32();
        break;  // global.get, ref.func
      case 0x41:
        in.leb(32);
        break;  // i32.const
      case 0x42:
        in.leb(64);
        break;  // i64.const
      case 0x43:
        in.take(4);
        break;  // f32.const
      case 0x44:
        in.take(8);
        break;  // f64.const
      case 0x6a:
      case 0x6b:
      case 0x6c:
      case 0x7c:
      case 0x7d:
      case 0x7e:
        break;  // add, sub, mul
      case 0xd0:
        heap_type(in);
        break;      // ref.null
      case 0xfb: {  // of garbage collection
        const std::uint32_t which = in.u32();
        if (which == 0 || which == 1 || which == 6 || which == 7) {
          in.u32();  // struct.new, array.new
        } else if (which == 8) {
          in.u32(), in.u32();  // array.new_fixed
        } else if (which < 26 || which > 28) {
          in.refuse("an instruction that is not constant");
        }
        break;
      }
      case 0xfd:
        if (in.u32() != 12) in.refuse("an instruction that is not constant");
        in.take(16);  // v128.const
        break;
      default:
        in.refuse(fmt::format("{:#04x} is no constant instruction", code));
    }
  }
}

ModuleLimits limits(Reader& in, std::uint32_t* page_bytes_log2 = nullptr) {
  const std::uint8_t flags = in.byte();
  if (flags > 0x0f) in.refuse(fmt::format("{:#04x} are no flags of limits", flags));
  ModuleLimits result{.is_64 = (flags & 4U) != 0, .shared = (flags & 2U) != 0};
  result.min = in.u64();
  if ((flags & 1U) != 0) result.max = in.u64();
  if ((flags & 8U) != 0) {
    const std::uint32_t log2 = in.u32();
    if (page_bytes_log2 == nullptr || log2 > 16) in.refuse("a page size that there is not");
    *page_bytes_log2 = log2;
  }
  return result;
}

ModuleTable table(Reader& in) {
  ModuleTable result;
  result.element = value_type(in);
  result.elements = limits(in);
  return result;
}

ModuleMemory memory(Reader& in) {
  ModuleMemory result;
  result.pages = limits(in, &result.page_bytes_log2);
  return result;
}

ModuleGlobal global(Reader& in) {
  ModuleGlobal result;
  result.type = value_type(in);
  result.mutable_ = in.byte() != 0;
  return result;
}

class ModuleReader {
 public:
  ModuleInfo read(std::string_view bytes) {
    Reader in(bytes, 0);
    in.take(kHeadBytes);
    while (!in.at_end()) {
      const std::uint8_t id = in.byte();
      const std::uint32_t size = in.u32();
      const std::uint64_t offset = in.offset();
      Reader section(in.take(size), offset);
      ModuleSection entry{.id = id, .name = {}, .offset = offset, .size = size};
      if (id == kCustom) {
        entry.name = section.name();
        read_custom(entry.name, section);
      } else {
        entry.name = section_name(id);
        if (std::ranges::find(info_.sections, id, &ModuleSection::id) != info_.sections.end())
          section.refuse(fmt::format("is a second {} section", entry.name));
        read_section(id, section);
      }
      if (info_.sections.size() == kCountMax) in.refuse("has too many sections");
      info_.sections.push_back(std::move(entry));
    }
    return std::move(info_);
  }

 private:
  void read_section(std::uint8_t id, Reader& in) {
    switch (id) {
      case kType:
        return read_types(in);
      case kImport:
        return read_imports(in);
      case kExport:
        return read_exports(in);
      case kFunction:
        for (std::uint32_t i = in.count(); i > 0; --i) info_.function_types.push_back(in.u32());
        break;
      case kTable:
        for (std::uint32_t i = in.count(); i > 0; --i) {
          const bool initialised = in.peek() == 0x40;
          if (initialised) in.take(2);
          info_.tables.push_back(table(in));
          if (initialised) skip_constant(in);
        }
        break;
      case kMemory:
        for (std::uint32_t i = in.count(); i > 0; --i) info_.memories.push_back(memory(in));
        break;
      case kGlobal:
        for (std::uint32_t i = in.count(); i > 0; --i) {
          info_.globals.push_back(global(in));
          skip_constant(in);
        }
        break;
      case kTag:
        for (std::uint32_t i = in.count(); i > 0; --i) read_tag(in);
        break;
      case kStart:
        info_.start = in.u32();
        break;
      case kElement:
        info_.element_segments += in.count();
        return;  // what they hold is not shown
      case kCode:
        info_.code_bytes += in.left();
        return;
      case kData:
        return read_data(in);
      default:
        return;
    }
    if (!in.at_end()) in.refuse(fmt::format("{} bytes are left over", in.left()));
  }

  void read_types(Reader& in) {
    for (std::uint32_t i = in.count(); i > 0; --i) {
      std::uint32_t group = 1;
      if (in.peek() == 0x4e) {
        in.byte();
        group = in.count();
      }
      for (; group > 0; --group) {
        if (info_.types.size() == kCountMax) in.refuse("has too many types");
        info_.types.push_back(sub_type(in));
      }
    }
  }

  void read_tag(Reader& in) {
    in.byte();  // its attribute: there is one only
    info_.tag_types.push_back(in.u32());
  }

  void read_imports(Reader& in) {
    for (std::uint32_t i = in.count(); i > 0; --i) {
      ModuleExtern each;
      each.module = in.name();
      each.name = in.name();
      std::size_t index = 0;
      switch (const std::uint8_t kind = in.byte()) {
        case 0:
          index = info_.function_types.size();
          info_.function_types.push_back(in.u32());
          ++info_.imported_functions;
          break;
        case 1:
          each.kind = ExternKind::kTable;
          index = info_.tables.size();
          info_.tables.push_back(table(in));
          info_.tables.back().imported = true;
          break;
        case 2:
          each.kind = ExternKind::kMemory;
          index = info_.memories.size();
          info_.memories.push_back(memory(in));
          info_.memories.back().imported = true;
          break;
        case 3:
          each.kind = ExternKind::kGlobal;
          index = info_.globals.size();
          info_.globals.push_back(global(in));
          break;
        case 4:
          each.kind = ExternKind::kTag;
          index = info_.tag_types.size();
          read_tag(in);
          break;
        default:
          in.refuse(fmt::format("{} is no kind of an import", kind));
      }
      each.index = static_cast<std::uint32_t>(index);
      info_.imports.push_back(std::move(each));
    }
  }

  void read_exports(Reader& in) {
    static constexpr std::array kKinds = {ExternKind::kFunction, ExternKind::kTable,
                                          ExternKind::kMemory, ExternKind::kGlobal,
                                          ExternKind::kTag};
    for (std::uint32_t i = in.count(); i > 0; --i) {
      ModuleExtern each;
      each.name = in.name();
      const std::uint8_t kind = in.byte();
      if (kind >= kKinds.size()) in.refuse(fmt::format("{} is no kind of an export", kind));
      each.kind = kKinds[kind];
      each.index = in.u32();
      info_.exports.push_back(std::move(each));
    }
  }

  void read_data(Reader& in) {
    const std::uint32_t count = in.count();
    info_.data_segments += count;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t mode = in.u32();
      if (mode > 2) in.refuse(fmt::format("{} is no kind of a data segment", mode));
      if (mode == 2) in.u32();
      if (mode != 1) skip_constant(in);
      info_.data_bytes += in.name().size();
    }
  }

  // A custom section may hold anything: what cannot be read is left out.
  void read_custom(std::string_view name, Reader& in) {
    try {
      if (name == "name") read_names(in);
      if (name == "producers") read_producers(in);
      if (name == "target_features") read_features(in);
    } catch (const Malformed&) {  // NOLINT(bugprone-empty-catch): as said
    }
  }

  void read_names(Reader& in) {
    while (!in.at_end()) {
      const std::uint8_t id = in.byte();
      const std::uint32_t size = in.u32();
      const std::uint64_t offset = in.offset();
      Reader part(in.take(size), offset);
      if (id == 0) info_.name = part.name();
      if (id == 1) info_.function_names = part.count();
    }
  }

  void read_producers(Reader& in) {
    for (std::uint32_t fields = in.count(); fields > 0; --fields) {
      const std::string field(in.name());
      for (std::uint32_t values = in.count(); values > 0; --values) {
        if (info_.producers.size() == kProducersMax) return;
        ModuleProducer producer{.field = field, .name = {}, .version = {}};
        producer.name = in.name();
        producer.version = in.name();
        info_.producers.push_back(std::move(producer));
      }
    }
  }

  void read_features(Reader& in) {
    for (std::uint32_t count = in.count(); count > 0; --count) {
      if (info_.target_features.size() == kProducersMax) return;
      const char prefix = static_cast<char>(in.byte());
      info_.target_features.push_back(prefix + std::string(in.name()));
    }
  }

  static constexpr std::size_t kProducersMax = 1000;
  ModuleInfo info_;
};

}  // namespace

Outcome<ModuleInfo> read_module_info(std::string_view bytes) {
  const FileKind kind = file_kind_of(bytes);
  if (kind != FileKind::kCoreModule)
    return fail(ErrorCode::kModuleCompileFailed, fmt::format("is {}", to_string(kind)));
  try {
    return ModuleReader().read(bytes);
  } catch (const Malformed& malformed) {
    return fail(ErrorCode::kModuleCompileFailed,
                fmt::format("at byte {:#x}: {}", malformed.offset, malformed.what));
  }
}

}  // namespace seam::wasm
