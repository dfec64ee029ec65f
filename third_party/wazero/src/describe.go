package main

import (
	"encoding/binary"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/internal/wasm"
)

type writer struct{ bytes []byte }

func (w *writer) u8(value byte)    { w.bytes = append(w.bytes, value) }
func (w *writer) u32(value uint32) { w.bytes = binary.LittleEndian.AppendUint32(w.bytes, value) }
func (w *writer) u64(value uint64) { w.bytes = binary.LittleEndian.AppendUint64(w.bytes, value) }
func (w *writer) text(value string) {
	w.u32(uint32(len(value)))
	w.bytes = append(w.bytes, value...)
}

func (w *writer) flag(value bool) {
	if value {
		w.u8(1)
	} else {
		w.u8(0)
	}
}

func (w *writer) function(kind *wasm.FunctionType) {
	w.u32(uint32(len(kind.Params)))
	w.u32(uint32(len(kind.Results)))
	for _, types := range [][]wasm.ValueType{kind.Params, kind.Results} {
		for _, value := range types {
			w.u8(value.Kind())
		}
	}
}

// typeOf is the type of a function of the module's index space.
func typeOf(source *wasm.Module, index wasm.Index) *wasm.FunctionType {
	if index >= source.ImportFunctionCount {
		return &source.TypeSection[source.FunctionSection[index-source.ImportFunctionCount]]
	}
	for i := range source.ImportSection {
		if imported := &source.ImportSection[i]; imported.Type == wasm.ExternTypeFunc && imported.IndexPerType == index {
			return &source.TypeSection[imported.DescFunc]
		}
	}
	panic("a function index out of range")
}

func memoryOf(source *wasm.Module) *wasm.Memory {
	if source.MemorySection != nil {
		return source.MemorySection
	}
	for i := range source.ImportSection {
		if imported := &source.ImportSection[i]; imported.Type == wasm.ExternTypeMemory {
			return imported.DescMem
		}
	}
	panic("a memory index out of range")
}

// describe writes what seam_wazero_compile gives.
func describe(made *module) []byte {
	w := &writer{}
	source := made.source
	w.u32(uint32(len(source.ImportSection)))
	for i := range source.ImportSection {
		imported := &source.ImportSection[i]
		w.text(imported.Module)
		w.text(imported.Name)
		w.u8(imported.Type)
		switch imported.Type {
		case wasm.ExternTypeFunc:
			w.function(&source.TypeSection[imported.DescFunc])
		case wasm.ExternTypeMemory:
			w.u64(uint64(imported.DescMem.Min))
		}
	}
	w.u32(uint32(len(source.ExportSection)))
	for i := range source.ExportSection {
		exported := &source.ExportSection[i]
		w.text(exported.Name)
		w.u8(exported.Type)
		switch exported.Type {
		case wasm.ExternTypeFunc:
			w.function(typeOf(source, exported.Index))
		case wasm.ExternTypeMemory:
			w.u64(uint64(memoryOf(source).Min))
		}
	}
	w.u64(wazero.EngineOf(made.compiled).(interface{ CodeBytes(*wasm.Module) uint64 }).CodeBytes(source))
	w.flag(made.start != nil)
	w.flag(source.MemorySection != nil)
	if source.MemorySection != nil {
		w.u64(uint64(source.MemorySection.Min))
	} else {
		w.u64(0)
	}
	w.u32(uint32(len(source.TableSection)))
	for i := range source.TableSection {
		w.u32(source.TableSection[i].Min)
	}
	return w.bytes
}

// codeSection is where the code section's content begins in a module that has been found valid, or 0.
func codeSection(bytes []byte) uint64 {
	for at := 8; at < len(bytes); {
		id := bytes[at]
		size, n := binary.Uvarint(bytes[at+1:])
		if n <= 0 {
			return 0
		}
		at += 1 + n
		if id == wasm.SectionIDCode {
			return uint64(at)
		}
		at += int(size)
	}
	return 0
}
