#pragma once
// Values and their types, between wasm/value.h and wasmtime.

#include <wasm.h>
#include <wasmtime.h>

#include <vector>

#include "wasm/runtime.h"

namespace seam::wasm {

static_assert(sizeof(Value) == sizeof(wasmtime_val_raw_t) &&
              alignof(Value) == alignof(wasmtime_val_raw_t));

// References of the proposals that ValueType has no names for show as an externref or a funcref.
[[nodiscard]] FunctionType function_type(const wasm_functype_t* type);
// The caller's, until an engine's function takes it. Of numbers only, as a host function's is.
[[nodiscard]] wasm_functype_t* make_type(const FunctionType& type);

// What wasmtime knows of a parameter beyond its ValueType.
struct Parameter {
  wasmtime_valkind_t kind;
  bool nullable;  // of a reference
};
[[nodiscard]] std::vector<Parameter> parameters_of(wasmtime_context_t* context,
                                                   const wasmtime_func_t& function);
[[nodiscard]] wasmtime_valkind_t kind_of(ValueType type);

// The caller passes the result to wasmtime_val_unroot().
// errors    kInvalidConfiguration   a reference that no host can give there
//           kLimitExceeded          no memory for a reference is left
[[nodiscard]] Outcome<wasmtime_val_t> to_wasmtime(wasmtime_context_t* context, Parameter parameter,
                                                  const Value& value);
// Unroots `from`.
[[nodiscard]] TypedValue from_wasmtime(wasmtime_context_t* context, wasmtime_val_t& from);

}  // namespace seam::wasm
