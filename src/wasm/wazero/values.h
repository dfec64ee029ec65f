#pragma once
// Values as wazero has them: one number of 64 bits each, a vector two. A number of 32 bits has
// zeros above it; an external reference is the host's number and one, so that null is 0.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "wasm/error.h"
#include "wasm/value.h"

namespace seam::wasm {

// How many numbers these take.
[[nodiscard]] std::size_t numbers_of(const std::vector<ValueType>& types);

// A number that is no vector and no reference.
[[nodiscard]] inline std::uint64_t to_number(ValueType type, const Value& value) {
  return type == ValueType::kI32 || type == ValueType::kF32 ? value.as<std::uint32_t>()
                                                            : value.as<std::uint64_t>();
}

// `stack` has room for numbers_of(types).
// errors    kInvalidConfiguration   a reference that cannot be given to a guest
[[nodiscard]] Outcome<> to_stack(const std::vector<ValueType>& types, std::span<const Value> values,
                                 std::uint64_t* stack);

// `high` counts for a vector alone.
[[nodiscard]] Value from_number(ValueType type, std::uint64_t low, std::uint64_t high);

void from_stack(const std::vector<ValueType>& types, const std::uint64_t* stack,
                std::span<Value> values);

}  // namespace seam::wasm
