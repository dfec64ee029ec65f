#include "wasm/wazero/library.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "wasm/shared_library.h"

namespace seam::wasm {
namespace {

// Reads what our own library has written; more than there is would be a bug.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  template <class T>
  T number() {
    T value;
    CHECK(bytes_.size() >= sizeof value);
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  std::string text() {
    const auto size = number<std::uint32_t>();
    CHECK(bytes_.size() >= size);
    std::string value(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
    return value;
  }
  std::vector<ValueType> types(std::uint32_t count) {
    std::vector<ValueType> list;
    for (std::uint32_t i = 0; i < count; ++i) list.push_back(value_type(number<std::uint8_t>()));
    return list;
  }
  void extern_type(ExternType& out) {
    out.kind = kKinds[number<std::uint8_t>()];
    if (out.kind == ExternKind::kFunction) {
      const auto params = number<std::uint32_t>();
      const auto results = number<std::uint32_t>();
      out.function.params = types(params);
      out.function.results = types(results);
    } else if (out.kind == ExternKind::kMemory) {
      out.memory_pages_min = number<std::uint64_t>();
    }
  }

 private:
  // By the binary format's numbers.
  static constexpr ExternKind kKinds[] = {ExternKind::kFunction, ExternKind::kTable,
                                          ExternKind::kMemory, ExternKind::kGlobal,
                                          ExternKind::kTag};

  std::string_view bytes_;
};

// By seam_wazero_error.
constexpr TrapKind kTraps[] = {
    TrapKind::kOther,
    TrapKind::kUnreachable,
    TrapKind::kMemoryOutOfBounds,
    TrapKind::kTableOutOfBounds,
    TrapKind::kIndirectCallToNull,
    TrapKind::kBadSignature,
    TrapKind::kIntegerOverflow,
    TrapKind::kIntegerDivisionByZero,
    TrapKind::kBadConversionToInteger,
    TrapKind::kStackOverflow,
    TrapKind::kMisalignedAtomic,
    TrapKind::kUncaughtException,
};

ErrorCode code_of(std::uint8_t kind) {
  switch (kind) {
    case SEAM_WAZERO_COMPILE_FAILED:
      return ErrorCode::kModuleCompileFailed;
    case SEAM_WAZERO_INSTANTIATE_FAILED:
      return ErrorCode::kModuleInstantiateFailed;
    case SEAM_WAZERO_UNSUPPORTED:
      return ErrorCode::kInvalidConfiguration;
    case SEAM_WAZERO_NO_ROOM:
      return ErrorCode::kNoRoom;
    default:
      return ErrorCode::kTrapped;
  }
}

}  // namespace

WazeroBuffer::~WazeroBuffer() { std::free(buffer_.data); }

Error take_error(const WazeroBuffer& buffer) {
  Reader reader(buffer.bytes());
  Error error;
  const auto kind = reader.number<std::uint8_t>();
  error.code = code_of(kind);
  error.message = reader.text();
  if (kind < std::size(kTraps)) {
    error.trap = kTraps[kind];
    if (error.trap != TrapKind::kOther) error.message = message_of(error.trap);
  }
  const auto frames = reader.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < frames; ++i) {
    Frame& frame = error.backtrace.emplace_back();
    frame.function_index = reader.number<std::uint32_t>();
    frame.module_offset = reader.number<std::uint64_t>();
    frame.function = reader.text();
  }
  return error;
}

WazeroModuleInfo read_info(std::string_view bytes) {
  Reader reader(bytes);
  WazeroModuleInfo info;
  const auto imports = reader.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < imports; ++i) {
    ExternType& out = info.imports.emplace_back();
    out.module = reader.text();
    out.name = reader.text();
    reader.extern_type(out);
  }
  const auto exports = reader.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < exports; ++i) {
    ExternType& out = info.exports.emplace_back();
    out.name = reader.text();
    reader.extern_type(out);
  }
  info.code_bytes = reader.number<std::uint64_t>();
  info.has_start = reader.number<std::uint8_t>() != 0;
  info.has_memory = reader.number<std::uint8_t>() != 0;
  info.memory_pages_min = reader.number<std::uint64_t>();
  const auto tables = reader.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < tables; ++i)
    info.table_elements_min.push_back(reader.number<std::uint32_t>());
  return info;
}

std::uint8_t type_byte(ValueType type) {
  static constexpr std::uint8_t kBytes[] = {0x7f, 0x7e, 0x7d, 0x7c, 0x7b, 0x70, 0x6f};
  return kBytes[static_cast<std::size_t>(type)];
}

ValueType value_type(std::uint8_t byte) {
  if (byte <= 0x7f && byte >= 0x7b) return static_cast<ValueType>(0x7f - byte);
  return byte == 0x6f ? ValueType::kExternref : ValueType::kFuncref;
}

Outcome<seam_wazero_api> open_wazero(const std::filesystem::path& folder) {
  SEAM_ASSIGN_OR_RETURN(const SharedLibrary library,
                        SharedLibrary::open(engine_library(folder, "wazero")));
  seam_wazero_api api{};
  SEAM_ASSIGN_OR_RETURN(api.seam_wazero_abi, library.function<std::uint32_t()>("seam_wazero_abi"));
  if (const std::uint32_t abi = api.seam_wazero_abi(); abi != SEAM_WAZERO_ABI) {
    return fail(
        ErrorCode::kRuntimeNotFound,
        fmt::format("{} speaks version {} of its interface, and {} is wanted: build it with "
                    "./dev setup, or install the package again",
                    engine_library(folder, "wazero").string(), abi, SEAM_WAZERO_ABI));
  }
#define SEAM_WAZERO_FIND(name)    \
  SEAM_ASSIGN_OR_RETURN(api.name, \
                        library.function<std::remove_pointer_t<decltype(api.name)>>(#name))
  SEAM_WAZERO_FIND(seam_wazero_version);
  SEAM_WAZERO_FIND(seam_wazero_runtime_new);
  SEAM_WAZERO_FIND(seam_wazero_runtime_delete);
  SEAM_WAZERO_FIND(seam_wazero_compile);
  SEAM_WAZERO_FIND(seam_wazero_module_delete);
  SEAM_WAZERO_FIND(seam_wazero_serialise);
  SEAM_WAZERO_FIND(seam_wazero_load);
  SEAM_WAZERO_FIND(seam_wazero_link);
  SEAM_WAZERO_FIND(seam_wazero_link_delete);
  SEAM_WAZERO_FIND(seam_wazero_instantiate);
  SEAM_WAZERO_FIND(seam_wazero_instance_delete);
  SEAM_WAZERO_FIND(seam_wazero_function);
  SEAM_WAZERO_FIND(seam_wazero_function_delete);
  SEAM_WAZERO_FIND(seam_wazero_call);
  SEAM_WAZERO_FIND(seam_wazero_global);
  SEAM_WAZERO_FIND(seam_wazero_collect);
#undef SEAM_WAZERO_FIND
  return api;
}

}  // namespace seam::wasm
