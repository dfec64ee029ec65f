package main

/*
#include "native.h"

// What native.h and enter_amd64.S say of wazero's execution context.
enum {
  seam_exit_code = offsetof(seam_wazero_context, exit_code),
  seam_caller = offsetof(seam_wazero_context, caller),
  seam_go_on = offsetof(seam_wazero_context, go_on),
  seam_guest_stack = offsetof(seam_wazero_context, guest_stack),
  seam_callee = offsetof(seam_wazero_context, callee),
  seam_guest_frame = offsetof(seam_wazero_context, guest_frame),
  seam_look = offsetof(seam_wazero_context, look),
  seam_host_function = offsetof(seam_wazero_host, function),
};
_Static_assert(offsetof(seam_wazero_native, preamble) == 0 && offsetof(seam_wazero_native, executable) == 8 &&
                   offsetof(seam_wazero_native, module) == 16 && offsetof(seam_wazero_native, context) == 24 &&
                   offsetof(seam_wazero_native, stack_top) == 32,
               "enter_amd64.S");
_Static_assert(seam_exit_code == 0 && seam_go_on == 48 && seam_guest_stack == 56 && seam_guest_frame == 1152,
               "enter_amd64.S");
*/
import "C"

import (
	"unsafe"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/internal/engine/wazevo"
	"github.com/tetratelabs/wazero/internal/engine/wazevo/wazevoapi"
	"github.com/tetratelabs/wazero/internal/wasm"
)

var same [1]struct{}

// Each is an index that does not compile unless C and wazero agree.
var (
	_ = same[C.seam_exit_code-wazevoapi.ExecutionContextOffsetExitCodeOffset]
	_ = same[C.seam_caller-wazevoapi.ExecutionContextOffsetCallerModuleContextPtr]
	_ = same[C.seam_go_on-wazevoapi.ExecutionContextOffsetGoCallReturnAddress]
	_ = same[C.seam_guest_stack-wazevoapi.ExecutionContextOffsetStackPointerBeforeGoCall]
	_ = same[C.seam_callee-wazevoapi.ExecutionContextOffsetGoFunctionCallCalleeModuleContextOpaque]
	_ = same[C.seam_guest_frame-wazevoapi.ExecutionContextOffsetFramePointerBeforeGoCall]
	_ = same[C.seam_look-wazevoapi.ExecutionContextOffsetLook]
	_ = same[C.SEAM_WAZERO_EXIT_OK-wazevoapi.ExitCodeOK]
	_ = same[C.SEAM_WAZERO_EXIT_HOST_CALL-wazevoapi.ExitCodeCallGoModuleFunction]
	_ = same[C.SEAM_WAZERO_EXIT_LOOK-wazevoapi.ExitCodeCheckModuleExitCode]
	_ = same[unsafe.Offsetof(function{}.native)]
	_ = same[C.seam_host_function-unsafe.Offsetof(hostFunction{}.function)]
)

// nativeOf is what C needs to call a function by itself; all zero if it cannot.
func nativeOf(function api.Function, ctx *callContext) (native C.seam_wazero_native) {
	if known, ok := wazevo.NativeOf(function); ok {
		native.preamble = unsafe.Pointer(known.Preamble)
		native.executable = unsafe.Pointer(known.Executable)
		native.module = unsafe.Pointer(known.Module)
		native.context = (*C.seam_wazero_context)(known.Context)
		native.stack_top = (*C.uintptr_t)(unsafe.Pointer(known.StackTop))
		native.callbacks = ctx.callbacks
		native.tag = C.uintptr_t(ctx.tag)
		native.tag_offset = C.uintptr_t(unsafe.Offsetof(wasm.ModuleInstance{}.Tag))
	}
	return
}

//export seam_wazero_greet
func seam_wazero_greet() {}

// Does what a guest that C runs has come out for. Not 0 if the call fails; `ended` if a callback wants that.
//
//export seam_wazero_handle_exit
func seam_wazero_handle_exit(handle C.uintptr_t, ended C.int32_t, out *C.seam_wazero_buffer) C.int32_t {
	f := at[function](handle)
	var reason error
	if ended != 0 {
		reason = errHost
	}
	if err := wazevo.HandleExit(f.ctx, f.function, reason); err != nil {
		failCall(out, err, f.instance.link.module.code)
		return 1
	}
	return 0
}
