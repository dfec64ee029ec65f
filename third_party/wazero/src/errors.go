package main

/*
#include <stdlib.h>
#include <string.h>
#include "seam_wazero.h"
*/
import "C"

import (
	"errors"
	"unsafe"

	"github.com/tetratelabs/wazero/internal/wasmdebug"
	"github.com/tetratelabs/wazero/internal/wasmruntime"
)

// How many frames a backtrace has at most, as with the other engines.
const framesMax = 20

var trapKinds = map[*wasmruntime.Error]C.seam_wazero_error{
	wasmruntime.ErrRuntimeUnreachable:                C.SEAM_WAZERO_TRAP_UNREACHABLE,
	wasmruntime.ErrRuntimeOutOfBoundsMemoryAccess:    C.SEAM_WAZERO_TRAP_MEMORY_OUT_OF_BOUNDS,
	wasmruntime.ErrRuntimeInvalidTableAccess:         C.SEAM_WAZERO_TRAP_TABLE_OUT_OF_BOUNDS,
	wasmruntime.ErrRuntimeIndirectCallToNull:         C.SEAM_WAZERO_TRAP_INDIRECT_CALL_TO_NULL,
	wasmruntime.ErrRuntimeIndirectCallTypeMismatch:   C.SEAM_WAZERO_TRAP_BAD_SIGNATURE,
	wasmruntime.ErrRuntimeIntegerOverflow:            C.SEAM_WAZERO_TRAP_INTEGER_OVERFLOW,
	wasmruntime.ErrRuntimeIntegerDivideByZero:        C.SEAM_WAZERO_TRAP_INTEGER_DIVISION_BY_ZERO,
	wasmruntime.ErrRuntimeInvalidConversionToInteger: C.SEAM_WAZERO_TRAP_BAD_CONVERSION_TO_INTEGER,
	wasmruntime.ErrRuntimeStackOverflow:              C.SEAM_WAZERO_TRAP_STACK_OVERFLOW,
	wasmruntime.ErrRuntimeUnalignedAtomic:            C.SEAM_WAZERO_TRAP_MISALIGNED_ATOMIC,
	wasmruntime.ErrRuntimeUncaughtException:          C.SEAM_WAZERO_TRAP_UNCAUGHT_EXCEPTION,
}

func trapKind(err error) C.seam_wazero_error {
	if errors.Is(err, errHost) || errors.Is(err, errInterrupted) {
		return C.SEAM_WAZERO_ENDED
	}
	var trap *wasmruntime.Error
	if errors.As(err, &trap) {
		if kind, ok := trapKinds[trap]; ok {
			return kind
		}
	}
	return C.SEAM_WAZERO_TRAP_OTHER
}

func give(out *C.seam_wazero_buffer, bytes []byte) {
	out.size = C.size_t(len(bytes))
	out.data = (*C.uint8_t)(C.malloc(C.size_t(len(bytes) + 1)))
	copy(unsafe.Slice((*byte)(out.data), len(bytes)), bytes)
}

func fail(out *C.seam_wazero_buffer, kind C.seam_wazero_error, err error, frames []wasmdebug.Frame) {
	w := &writer{}
	w.u8(byte(kind))
	w.text(err.Error())
	w.u32(uint32(len(frames)))
	for _, frame := range frames {
		w.u32(frame.Index)
		w.u64(frame.Offset)
		w.text(frame.Name)
	}
	give(out, w.bytes)
}

// failCall tells why a call has failed. `code` is where the module's code section begins.
func failCall(out *C.seam_wazero_buffer, err error, code uint64) {
	var frames []wasmdebug.Frame
	message := err
	var trace *wasmdebug.TraceError
	if errors.As(err, &trace) {
		frames = trace.Frames[:min(len(trace.Frames), framesMax)]
		for i := range frames {
			frames[i].Offset += code
		}
		var trap *wasmruntime.Error
		if errors.As(err, &trap) {
			message = trap // without the trace as text
		}
	}
	fail(out, trapKind(err), message, frames)
}
