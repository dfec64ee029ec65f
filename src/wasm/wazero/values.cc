#include "wasm/wazero/values.h"

#include <algorithm>
#include <cstring>

namespace seam::wasm {
namespace {

constexpr std::size_t kIsReference = 8;  // the byte of a Value that tells a reference from null

}  // namespace

std::size_t numbers_of(const std::vector<ValueType>& types) {
  return types.size() + static_cast<std::size_t>(std::ranges::count(types, ValueType::kV128));
}

Outcome<> to_stack(const std::vector<ValueType>& types, std::span<const Value> values,
                   std::uint64_t* stack) {
  for (std::size_t i = 0; i < types.size(); ++i) {
    const Value& value = values[i];
    switch (types[i]) {
      case ValueType::kV128:
        std::memcpy(stack, value.bytes, sizeof value.bytes);
        stack += 2;
        continue;
      case ValueType::kFuncref:
        if (value.bytes[kIsReference] != 0) {
          return fail(ErrorCode::kInvalidConfiguration,
                      "only null can be given for a reference to what a guest makes");
        }
        *stack++ = 0;
        continue;
      case ValueType::kExternref:
        if (value.bytes[kIsReference] == 0) {
          *stack++ = 0;
        } else if (const auto number = value.as<std::uint64_t>() + 1; number != 0) {
          *stack++ = number;
        } else {
          return fail(ErrorCode::kInvalidConfiguration,
                      "the number of an external reference is below 2^64 - 1 on wazero");
        }
        continue;
      default:
        *stack++ = to_number(types[i], value);
    }
  }
  return {};
}

Value from_number(ValueType type, std::uint64_t low, std::uint64_t high) {
  Value value;
  if (type == ValueType::kV128) {
    std::memcpy(value.bytes, &low, sizeof low);
    std::memcpy(value.bytes + sizeof low, &high, sizeof high);
  } else if (type == ValueType::kI32 || type == ValueType::kF32) {
    value = Value::of(static_cast<std::uint32_t>(low));
  } else if (type == ValueType::kFuncref || type == ValueType::kExternref) {
    if (low != 0 && type == ValueType::kExternref) value = Value::of(low - 1);
    value.bytes[kIsReference] = low != 0 ? 1 : 0;
  } else {
    value = Value::of(low);
  }
  return value;
}

void from_stack(const std::vector<ValueType>& types, const std::uint64_t* stack,
                std::span<Value> values) {
  for (std::size_t i = 0; i < types.size(); ++i) {
    const bool wide = types[i] == ValueType::kV128;
    values[i] = from_number(types[i], stack[0], wide ? stack[1] : 0);
    stack += wide ? 2 : 1;
  }
}

}  // namespace seam::wasm
