#include <wasm.h>
#include <wasmtime.h>

#include "wasm/wasmtime/engine.h"

namespace seam::wasm {
namespace {

std::vector<Frame> take_frames(wasm_frame_vec_t* vector) {
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < vector->size; ++i) {
    const wasm_frame_t* frame = vector->data[i];
    const wasm_name_t* name = wasmtime_frame_func_name(frame);
    frames.push_back(
        {.function = name == nullptr ? std::string() : std::string(name->data, name->size),
         .function_index = wasm_frame_func_index(frame),
         .module_offset = wasm_frame_module_offset(frame)});
  }
  wasm_frame_vec_delete(vector);
  return frames;
}

TrapKind kind_of(wasmtime_trap_code_t code) {
  switch (code) {
    case WASMTIME_TRAP_CODE_STACK_OVERFLOW:
      return TrapKind::kStackOverflow;
    case WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS:
      return TrapKind::kMemoryOutOfBounds;
    case WASMTIME_TRAP_CODE_HEAP_MISALIGNED:
      return TrapKind::kMisalignedAtomic;
    case WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS:
      return TrapKind::kTableOutOfBounds;
    case WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL:
      return TrapKind::kIndirectCallToNull;
    case WASMTIME_TRAP_CODE_BAD_SIGNATURE:
      return TrapKind::kBadSignature;
    case WASMTIME_TRAP_CODE_INTEGER_OVERFLOW:
      return TrapKind::kIntegerOverflow;
    case WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO:
      return TrapKind::kIntegerDivisionByZero;
    case WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER:
      return TrapKind::kBadConversionToInteger;
    case WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED:
      return TrapKind::kUnreachable;
    case WASMTIME_TRAP_CODE_UNCAUGHT_EXCEPTION:
      return TrapKind::kUncaughtException;
    default:
      return TrapKind::kOther;
  }
}

}  // namespace

Error take_error(wasmtime_error_t* error, ErrorCode code) {
  wasm_byte_vec_t text;
  wasmtime_error_message(error, &text);
  Error result{.code = code, .message = std::string(text.data, text.size)};
  wasm_byte_vec_delete(&text);
  wasm_frame_vec_t frames;
  wasmtime_error_wasm_trace(error, &frames);
  result.backtrace = take_frames(&frames);
  wasmtime_error_delete(error);
  return result;
}

Error take_trap(wasm_trap_t* trap) {
  Error result;
  wasmtime_trap_code_t code = 0;
  const bool has_code = wasmtime_trap_code(trap, &code);
  if (has_code) result.trap = kind_of(code);
  if (has_code && code == WASMTIME_TRAP_CODE_OUT_OF_FUEL) {
    result.code = ErrorCode::kLimitExceeded;
    result.message = "the fuel is used up";
  } else if (const std::string_view words = message_of(result.trap); !words.empty()) {
    result.message = words;
  } else {
    wasm_byte_vec_t text;
    wasm_trap_message(trap, &text);
    result.message = std::string(text.data, text.size == 0 ? 0 : text.size - 1);  // ends in NUL
    wasm_byte_vec_delete(&text);
  }
  wasm_frame_vec_t frames;
  wasm_trap_trace(trap, &frames);
  result.backtrace = take_frames(&frames);
  wasm_trap_delete(trap);
  return result;
}

}  // namespace seam::wasm
