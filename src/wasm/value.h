#pragma once
// The values that cross between host and guest, and the types of what a module imports and exports.
//
//   Value slots[2] = {Value::of(20), Value::of(22)};
//   SEAM_RETURN_IF_ERROR(add->call(deadline, slots));      // the result is in slots[0]
//   std::int32_t sum = slots[0].as<std::int32_t>();

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace seam::wasm {

enum class ValueType : std::uint8_t { kI32, kI64, kF32, kF64, kV128, kFuncref, kExternref };

// "i32", "funcref": as the text format spells it. Static text.
[[nodiscard]] std::string_view to_string(ValueType type);

// The type of a parameter or result of a typed call.
template <class T>
concept GuestNumber = std::is_same_v<T, std::int32_t> || std::is_same_v<T, std::uint32_t> ||
                      std::is_same_v<T, std::int64_t> || std::is_same_v<T, std::uint64_t> ||
                      std::is_same_v<T, float> || std::is_same_v<T, double>;

template <GuestNumber T>
[[nodiscard]] constexpr ValueType value_type_of() {
  if constexpr (std::is_same_v<T, float>) return ValueType::kF32;
  if constexpr (std::is_same_v<T, double>) return ValueType::kF64;
  return sizeof(T) == 4 ? ValueType::kI32 : ValueType::kI64;
}

// One value without its type, which the function's signature knows: 16 bytes, little endian, a
// number in the first of them. A reference is all zero if it is null. Else byte 8 is 1, and the
// first 8 bytes are, of an externref, the number that the host has made it with, and of a funcref
// 0: a function cannot be passed by a host, only null.
struct alignas(8) Value {
  std::uint8_t bytes[16] = {};

  template <GuestNumber T>
  [[nodiscard]] static Value of(T number) {
    Value value;
    std::memcpy(value.bytes, &number, sizeof(T));
    return value;
  }
  template <GuestNumber T>
  [[nodiscard]] T as() const {
    T number;
    std::memcpy(&number, bytes, sizeof(T));
    return number;
  }
};

struct TypedValue {
  ValueType type = ValueType::kI32;
  Value value;
};

struct FunctionType {
  std::vector<ValueType> params;
  std::vector<ValueType> results;

  // How many Values a call needs: params go in, results come out, in the same slots.
  [[nodiscard]] std::size_t slots() const { return std::max(params.size(), results.size()); }
  friend bool operator==(const FunctionType&, const FunctionType&) = default;
};

// "(i32, i32) -> i64", for messages.
[[nodiscard]] std::string to_string(const FunctionType& type);

enum class ExternKind : std::uint8_t { kFunction, kGlobal, kTable, kMemory, kTag };

// One import or export of a module.
struct ExternType {
  std::string module;  // of an import; empty for an export
  std::string name;
  ExternKind kind = ExternKind::kFunction;
  FunctionType function;               // of a function
  std::uint64_t memory_pages_min = 0;  // of a memory: pages of 64 KiB
};

}  // namespace seam::wasm
