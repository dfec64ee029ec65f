// Calls a guest's function. What wazero compiles for amd64 needs nothing of Go while it runs: no goroutine, no signals, and
// a stack of its own. So C enters it by itself, and enters Go only for what Go alone can do: memory.grow, a longer stack, a
// trap's backtrace. A call costs some nanoseconds that way, and Go's collector waits for no guest.
//
// All that C reads belongs to Go's heap, whose objects do not move and which the function's handle keeps alive. C writes
// numbers there and no pointer; the machine code writes the same as it does when Go runs it.

#include <signal.h>

#include "_cgo_export.h"
#include "native.h"

#ifdef __x86_64__

// A guest's stack has no room for a signal's handler, so a thread that runs guests needs a stack for those. Go lends one to
// each thread that has called it, until the thread ends. Where there is none all the same, the thread's calls go through Go.
static _Thread_local enum { kUnknown, kHas, kHasNot } signal_stack __attribute__((tls_model("initial-exec")));

__attribute__((noinline, cold)) static void find_signal_stack(void) {
  seam_wazero_greet();
  stack_t stack;
  signal_stack = sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_DISABLE) == 0 ? kHas : kHasNot;
}

static int32_t call_host(const seam_wazero_native* function) {
  const seam_wazero_context* const context = function->context;
  const uint8_t* const host_functions = context->callee + 32;
  const seam_wazero_host* const host = *(const seam_wazero_host**)(host_functions + (context->exit_code >> 8) * 16 + 8);
  const uintptr_t tag = *(const uintptr_t*)((const uint8_t*)context->caller[0] + function->tag_offset);
  return host->callbacks->call(host->function, tag, context->guest_stack + 1);
}

static int32_t look(const seam_wazero_native* function) {
  __atomic_store_n(&function->context->look, 0, __ATOMIC_SEQ_CST);
  return function->callbacks->look(function->tag);
}

int32_t seam_wazero_came_out(const seam_wazero_native* function, seam_wazero_buffer* out) {
  const uint32_t why = function->context->exit_code & 0xff;
  int32_t ended = 0;
  if (why == SEAM_WAZERO_EXIT_HOST_CALL) {
    ended = call_host(function);
  } else if (why == SEAM_WAZERO_EXIT_LOOK) {
    ended = look(function);
  } else {
    return seam_wazero_handle_exit((uintptr_t)function, 0, out);
  }
  if (ended != 0) return seam_wazero_handle_exit((uintptr_t)function, ended, out);
  function->context->exit_code = SEAM_WAZERO_EXIT_OK;
  return 0;
}

int32_t seam_wazero_call(uintptr_t handle, uint64_t* stack, seam_wazero_buffer* out) {
  const seam_wazero_native* const function = (const seam_wazero_native*)handle;
  if (signal_stack == kUnknown) find_signal_stack();
  if (function->preamble == NULL || signal_stack == kHasNot) return seam_wazero_call_in_go(handle, stack, out);
  return seam_wazero_enter(function, stack, out);
}

#else

int32_t seam_wazero_call(uintptr_t handle, uint64_t* stack, seam_wazero_buffer* out) {
  return seam_wazero_call_in_go(handle, stack, out);
}

#endif
