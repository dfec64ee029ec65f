// The C interface of libseam_wazero.so: wazero behind functions that C++ can call. Who opens the library asks for each
// function by its name in seam_wazero_api.
//
// A handle is not 0 and is given back once, by its _delete. Whatever a `seam_wazero_buffer* out` receives is malloc'ed, and
// freed by the caller; a call that fails leaves an error there, one that succeeds leaves it alone or writes what it says.
// All numbers in buffers are little endian; a text is its size in 4 bytes and then its bytes.
//
// An error is
//   uint8 kind (seam_wazero_error), text message, uint32 count of frames, and for each, innermost first:
//   uint32 function index, uint64 offset in the module's bytes, text function name
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SEAM_WAZERO_ABI 1

typedef enum {
  SEAM_WAZERO_TRAP_OTHER = 0,
  SEAM_WAZERO_TRAP_UNREACHABLE,
  SEAM_WAZERO_TRAP_MEMORY_OUT_OF_BOUNDS,
  SEAM_WAZERO_TRAP_TABLE_OUT_OF_BOUNDS,
  SEAM_WAZERO_TRAP_INDIRECT_CALL_TO_NULL,
  SEAM_WAZERO_TRAP_BAD_SIGNATURE,
  SEAM_WAZERO_TRAP_INTEGER_OVERFLOW,
  SEAM_WAZERO_TRAP_INTEGER_DIVISION_BY_ZERO,
  SEAM_WAZERO_TRAP_BAD_CONVERSION_TO_INTEGER,
  SEAM_WAZERO_TRAP_STACK_OVERFLOW,
  SEAM_WAZERO_TRAP_MISALIGNED_ATOMIC,
  SEAM_WAZERO_TRAP_UNCAUGHT_EXCEPTION,
  SEAM_WAZERO_ENDED,               // a callback said so
  SEAM_WAZERO_COMPILE_FAILED,      // not a module, or not one that this engine takes
  SEAM_WAZERO_INSTANTIATE_FAILED,  // an import does not fit
  SEAM_WAZERO_UNSUPPORTED,         // this machine cannot run that mode
  SEAM_WAZERO_NO_ROOM              // the machine lends no memory
} seam_wazero_error;

typedef struct {
  uint8_t* data;
  size_t size;
} seam_wazero_buffer;

// A linear memory: written by the library when it is made and when it grows, never moved, read by the caller between and
// during callbacks. Borrowed for as long as its instance.
typedef struct {
  uint8_t* base;
  uint64_t bytes;
  uint64_t bytes_max;  // set by the caller: growing past it fails
} seam_wazero_memory;

typedef struct {
  // Calls a host function: params come and results go in `stack`, a number in each 8 bytes. Not 0 ends the guest.
  int32_t (*call)(const void* function, uintptr_t caller, uint64_t* stack);
  // Called by a guest that was made to look up. Not 0 ends it.
  int32_t (*look)(uintptr_t instance);
} seam_wazero_callbacks;

// What one import is resolved to: an export of another instance, or a host function.
typedef struct {
  const char* module;
  size_t module_size;
  const char* name;
  size_t name_size;
  uintptr_t instance;  // 0 for a host function
  const void* function;
  const uint8_t* types;  // of a host function: params, then results, in the binary format's bytes
  size_t params;
  size_t results;
} seam_wazero_import;

typedef struct {
  // Version of this interface, and wazero's as a text without its size.
  uint32_t (*seam_wazero_abi)(void);
  void (*seam_wazero_version)(seam_wazero_buffer* out);

  // `callbacks` is copied. `workers` compile one module together.
  uintptr_t (*seam_wazero_runtime_new)(int32_t interpreter, int32_t workers, seam_wazero_callbacks* callbacks,
                                       seam_wazero_buffer* out);
  void (*seam_wazero_runtime_delete)(uintptr_t runtime);

  // out: uint32 count of imports, each: text module, text name, extern; uint32 count of exports, each: text name, extern;
  // uint64 bytes of machine code; uint8 has start; uint8 has a memory of its own, uint64 its pages; uint32 count of its own
  // tables, uint32 elements of each. An extern is uint8 kind as in the binary format, then for a function uint32 params,
  // uint32 results, a byte for each; for a memory uint64 pages.
  uintptr_t (*seam_wazero_compile)(uintptr_t runtime, const uint8_t* bytes, size_t size, seam_wazero_buffer* out);
  void (*seam_wazero_module_delete)(uintptr_t module);
  // out: the machine code, for seam_wazero_load of the same version on such a machine.
  int32_t (*seam_wazero_serialise)(uintptr_t module, seam_wazero_buffer* out);
  // As seam_wazero_compile, with machine code instead of compiling.
  uintptr_t (*seam_wazero_load)(uintptr_t runtime, const uint8_t* bytes, size_t size, const uint8_t* code,
                                size_t code_size, seam_wazero_buffer* out);

  uintptr_t (*seam_wazero_link)(uintptr_t runtime, uintptr_t module, const seam_wazero_import* imports, size_t count,
                                seam_wazero_buffer* out);
  void (*seam_wazero_link_delete)(uintptr_t link);

  // An instance whose start function has not run. If a segment fails there may be an instance besides an error: it is kept
  // for as long as those that it is linked with.
  uintptr_t (*seam_wazero_instantiate)(uintptr_t link, seam_wazero_memory* memory, uint32_t table_elements_max,
                                       uintptr_t tag, seam_wazero_buffer* out);
  void (*seam_wazero_instance_delete)(uintptr_t instance);
  // The start function if name is null; 0 if there is none of that name. `look` receives where any thread may write a one to
  // make the function look up while it runs; null for a function that never does.
  uintptr_t (*seam_wazero_function)(uintptr_t instance, const char* name, size_t size, uint32_t** look);
  void (*seam_wazero_function_delete)(uintptr_t function);
  // Params come and results go in `stack`, in as many numbers as the more of the two need. Not 0 if it failed. A function
  // has one stack: it is not called again before it has returned.
  int32_t (*seam_wazero_call)(uintptr_t function, uint64_t* stack, seam_wazero_buffer* out);
  // The type's byte, or 0 if there is no global of that name; its value in value[0] and, of a vector, value[1].
  uint32_t (*seam_wazero_global)(uintptr_t instance, const char* name, size_t size, uint64_t* value);
  // Collects garbage, and frees what ended modules have held.
  void (*seam_wazero_collect)(void);
} seam_wazero_api;
