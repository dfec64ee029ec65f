package main

/*
#include "seam_wazero.h"
*/
import "C"

import (
	"syscall"
	"unsafe"

	"github.com/tetratelabs/wazero/experimental"
)

const pageBytes = 4096

// memory is a linear memory whose address never changes: its whole limit is set aside as addresses, and lent by the machine as
// it grows.
type memory struct {
	cell    *C.seam_wazero_memory // C++'s view of it
	base    uintptr
	reserve uintptr
}

// Allocate implements experimental.MemoryAllocator.
func (m *memory) Allocate(_, bytesMax uint64) experimental.LinearMemory {
	limit := min(bytesMax, uint64(m.cell.bytes_max))
	m.reserve = uintptr(max((limit+pageBytes-1)&^(pageBytes-1), pageBytes))
	base, _, errno := syscall.Syscall6(syscall.SYS_MMAP, 0, m.reserve, syscall.PROT_NONE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE, ^uintptr(0), 0)
	if errno != 0 {
		panic("the machine lends no addresses for a memory: " + errno.Error())
	}
	m.base = base
	m.cell.base = (*C.uint8_t)(at[byte](C.uintptr_t(base)))
	m.cell.bytes = 0
	return m
}

// Reallocate implements experimental.LinearMemory.
func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(m.cell.bytes_max) || size > uint64(m.reserve) {
		return nil
	}
	if size > uint64(m.cell.bytes) {
		if _, _, errno := syscall.Syscall(syscall.SYS_MPROTECT, m.base, uintptr(size), syscall.PROT_READ|syscall.PROT_WRITE); errno != 0 {
			if m.cell.bytes == 0 {
				m.Free()
				panic("the machine lends no memory: " + errno.Error())
			}
			return nil
		}
	}
	m.cell.bytes = C.uint64_t(size)
	return unsafe.Slice(at[byte](C.uintptr_t(m.base)), int(size))
}

// Free implements experimental.LinearMemory.
func (m *memory) Free() {
	if m.reserve != 0 {
		_, _, _ = syscall.Syscall(syscall.SYS_MUNMAP, m.base, m.reserve, 0)
		m.reserve = 0
		m.cell.base, m.cell.bytes = nil, 0
	}
}
