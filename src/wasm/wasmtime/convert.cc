#include "wasm/wasmtime/convert.h"

#include <cstring>

#include "base/check.h"

namespace seam::wasm {
namespace {

// Every type that wasmtime's C API has, and for none does this end the process, as
// wasm_valtype_kind() does.
struct Described {
  ValueType type;
  Parameter parameter;
};

Described describe(const wasm_valtype_t* type) {
  wasmtime_valtype_t whole;
  wasmtime_valtype_new(type, &whole);
  const wasmtime_valtype_kind_t kind = whole.kind;
  const wasmtime_heaptype_kind_t heap =
      kind == WASMTIME_VALTYPE_KIND_REF ? whole.reftype.heaptype.kind : wasmtime_heaptype_kind_t{};
  const bool nullable = kind == WASMTIME_VALTYPE_KIND_REF && whole.reftype.nullable;
  wasmtime_valtype_delete(&whole);
  switch (kind) {
    case WASMTIME_VALTYPE_KIND_I32:
      return {ValueType::kI32, {WASMTIME_I32, false}};
    case WASMTIME_VALTYPE_KIND_I64:
      return {ValueType::kI64, {WASMTIME_I64, false}};
    case WASMTIME_VALTYPE_KIND_F32:
      return {ValueType::kF32, {WASMTIME_F32, false}};
    case WASMTIME_VALTYPE_KIND_F64:
      return {ValueType::kF64, {WASMTIME_F64, false}};
    case WASMTIME_VALTYPE_KIND_V128:
      return {ValueType::kV128, {WASMTIME_V128, false}};
    default:
      break;
  }
  switch (heap) {
    case WASMTIME_HEAPTYPE_KIND_FUNC:
    case WASMTIME_HEAPTYPE_KIND_CONCRETE_FUNC:
    case WASMTIME_HEAPTYPE_KIND_NOFUNC:
      return {ValueType::kFuncref, {WASMTIME_FUNCREF, nullable}};
    case WASMTIME_HEAPTYPE_KIND_EXTERN:
    case WASMTIME_HEAPTYPE_KIND_NOEXTERN:
      return {ValueType::kExternref, {WASMTIME_EXTERNREF, nullable}};
    case WASMTIME_HEAPTYPE_KIND_EXN:
    case WASMTIME_HEAPTYPE_KIND_CONCRETE_EXN:
    case WASMTIME_HEAPTYPE_KIND_NOEXN:
      return {ValueType::kExternref, {WASMTIME_EXNREF, nullable}};
    default:
      return {ValueType::kExternref, {WASMTIME_ANYREF, nullable}};
  }
}

std::vector<ValueType> types_of(const wasm_valtype_vec_t* types) {
  std::vector<ValueType> out;
  out.reserve(types->size);
  for (std::size_t i = 0; i < types->size; ++i) out.push_back(describe(types->data[i]).type);
  return out;
}

constexpr std::size_t kIsReference = 8;  // the byte of a Value that tells a reference from null

}  // namespace

FunctionType function_type(const wasm_functype_t* type) {
  return {.params = types_of(wasm_functype_params(type)),
          .results = types_of(wasm_functype_results(type))};
}

wasm_functype_t* make_type(const FunctionType& type) {
  const auto list = [](const std::vector<ValueType>& types) {
    static constexpr wasm_valkind_t kKinds[] = {WASM_I32, WASM_I64, WASM_F32, WASM_F64};
    wasm_valtype_vec_t vector;
    wasm_valtype_vec_new_uninitialized(&vector, types.size());
    for (std::size_t i = 0; i < types.size(); ++i) {
      CHECK(types[i] <= ValueType::kF64);  // no GuestNumber is another
      vector.data[i] = wasm_valtype_new(kKinds[static_cast<std::size_t>(types[i])]);
    }
    return vector;
  };
  wasm_valtype_vec_t params = list(type.params);
  wasm_valtype_vec_t results = list(type.results);
  return wasm_functype_new(&params, &results);
}

std::vector<Parameter> parameters_of(wasmtime_context_t* context, const wasmtime_func_t& function) {
  wasm_functype_t* type = wasmtime_func_type(context, &function);
  const wasm_valtype_vec_t* params = wasm_functype_params(type);
  std::vector<Parameter> out;
  for (std::size_t i = 0; i < params->size; ++i) out.push_back(describe(params->data[i]).parameter);
  wasm_functype_delete(type);
  return out;
}

wasmtime_valkind_t kind_of(ValueType type) {
  static constexpr wasmtime_valkind_t kKinds[] = {
      WASMTIME_I32,  WASMTIME_I64,     WASMTIME_F32,      WASMTIME_F64,
      WASMTIME_V128, WASMTIME_FUNCREF, WASMTIME_EXTERNREF};
  return kKinds[static_cast<std::size_t>(type)];
}

Outcome<wasmtime_val_t> to_wasmtime(wasmtime_context_t* context, Parameter parameter,
                                    const Value& value) {
  wasmtime_val_t out{};
  out.kind = parameter.kind;
  if (parameter.kind <= WASMTIME_V128) {
    std::memcpy(&out.of, value.bytes, sizeof value.bytes);
    return out;
  }
  if (value.bytes[kIsReference] == 0) {
    if (!parameter.nullable)
      return fail(ErrorCode::kInvalidConfiguration,
                  "null given for a reference that is never null");
    return out;  // all zero is null for each kind
  }
  if (parameter.kind != WASMTIME_EXTERNREF) {
    return fail(ErrorCode::kInvalidConfiguration,
                "only null can be given for a reference to what a guest makes");
  }
  if (!wasmtime_externref_new(context, reinterpret_cast<void*>(value.as<std::uint64_t>()), nullptr,
                              &out.of.externref)) {
    return fail(ErrorCode::kLimitExceeded, "no memory is left for a reference");
  }
  return out;
}

TypedValue from_wasmtime(wasmtime_context_t* context, wasmtime_val_t& from) {
  TypedValue to;
  const auto reference = [&](bool is_null, std::uint64_t number) {
    if (is_null) return;
    to.value = Value::of(number);
    to.value.bytes[kIsReference] = 1;
  };
  switch (from.kind) {
    case WASMTIME_I32:
    case WASMTIME_F32:
      to.type = from.kind == WASMTIME_I32 ? ValueType::kI32 : ValueType::kF32;
      std::memcpy(to.value.bytes, &from.of, 4);
      break;
    case WASMTIME_I64:
    case WASMTIME_F64:
      to.type = from.kind == WASMTIME_I64 ? ValueType::kI64 : ValueType::kF64;
      std::memcpy(to.value.bytes, &from.of, 8);
      break;
    case WASMTIME_V128:
      to.type = ValueType::kV128;
      std::memcpy(to.value.bytes, &from.of, 16);
      break;
    case WASMTIME_FUNCREF:
      to.type = ValueType::kFuncref;
      reference(wasmtime_funcref_is_null(&from.of.funcref), 0);
      break;
    case WASMTIME_EXTERNREF:
      to.type = ValueType::kExternref;
      reference(
          wasmtime_externref_is_null(&from.of.externref),
          reinterpret_cast<std::uint64_t>(wasmtime_externref_data(context, &from.of.externref)));
      break;
    default:  // anyref, exnref
      to.type = ValueType::kExternref;
      reference(from.of.anyref.store_id == 0, 0);
      break;
  }
  wasmtime_val_unroot(&from);
  return to;
}

}  // namespace seam::wasm
