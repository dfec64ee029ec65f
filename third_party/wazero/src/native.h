// What this library's C code knows of wazero: see call.c.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "seam_wazero.h"

// wazevo.executionContext, by which machine code and its caller talk. native.go holds the offsets against wazero's own.
typedef struct {
  uint32_t exit_code;         // what for, in the lowest byte; above it, which host function
  const void* const* caller;  // the instance that calls a host function; its first word is its wasm.ModuleInstance
  uintptr_t of_go[4];
  const void* go_on;      // where the guest goes on
  uint64_t* guest_stack;  // at a host call: the size of the params and results in bytes, then these
  uintptr_t more_of_go[132];
  const uint8_t* callee;  // a host module: from byte 32 on two words for each function, the second a seam_wazero_host*
  uintptr_t addresses[3];
  uintptr_t guest_frame;
  uintptr_t more_addresses[10];
  uint32_t look;
} seam_wazero_context;

// hostFunction of main.go.
typedef struct {
  const seam_wazero_callbacks* callbacks;
  const void* function;
} seam_wazero_host;

// A function, as the first part of what its handle points to.
typedef struct {
  const void* preamble;  // null for one that Go alone can run
  const void* executable;
  const void* module;
  seam_wazero_context* context;
  const uintptr_t* stack_top;
  const seam_wazero_callbacks* callbacks;
  uintptr_t tag;         // of the instance
  uintptr_t tag_offset;  // in any wasm.ModuleInstance
} seam_wazero_native;

// By number in wazevoapi.
enum { SEAM_WAZERO_EXIT_OK = 0, SEAM_WAZERO_EXIT_HOST_CALL = 5, SEAM_WAZERO_EXIT_LOOK = 13 };

// In enter_amd64.S. Runs the function until it ends. Not 0 if it failed.
int32_t seam_wazero_enter(const seam_wazero_native* function, uint64_t* stack, seam_wazero_buffer* out);

// In call.c. Does what the machine code has come out for; 0 for it to go on.
int32_t seam_wazero_came_out(const seam_wazero_native* function, seam_wazero_buffer* out);
