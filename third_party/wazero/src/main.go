// Package main is libseam_wazero.so: wazero behind the C interface of seam_wazero.h. It is built inside wazero's own tree,
// changed by the patches beside this file, because it needs what wazero's API does not show.
package main

/*
#include <stdlib.h>
#include "native.h"

#cgo noescape seam_wazero_call_host
static inline int32_t seam_wazero_call_host(seam_wazero_callbacks* callbacks, void* function, uintptr_t caller, uint64_t* stack) {
  return callbacks->call(function, caller, stack);
}
static inline int32_t seam_wazero_look(seam_wazero_callbacks* callbacks, uintptr_t instance) {
  return callbacks->look(instance);
}
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/internal/platform"
	"github.com/tetratelabs/wazero/internal/wasm"
)

// The version is written by build.sh: the module built here is wazero's own, which does not know its version.
var version = "?"

const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

// What C++ holds as handles lives here: Go's collector does not see C++'s memory, and moves nothing.
var (
	heldMutex sync.Mutex
	held      = map[uintptr]any{}
)

func hold[T any](object *T) C.uintptr_t {
	handle := uintptr(unsafe.Pointer(object))
	heldMutex.Lock()
	held[handle] = object
	heldMutex.Unlock()
	return C.uintptr_t(handle)
}

func release[T any](handle C.uintptr_t) *T {
	heldMutex.Lock()
	defer heldMutex.Unlock()
	object := held[uintptr(handle)].(*T)
	delete(held, uintptr(handle))
	return object
}

func at[T any](handle C.uintptr_t) *T {
	return *(**T)(unsafe.Pointer(&handle))
}

type engine struct {
	runtime   wazero.Runtime
	ctx       context.Context
	callbacks *C.seam_wazero_callbacks
	codes     *codes
}

type module struct {
	engine   *engine
	compiled wazero.CompiledModule
	source   *wasm.Module
	start    *wasm.Index
	code     uint64 // where the code section begins in the module's bytes
	id       wasm.ModuleID
}

// link is a module with its imports resolved.
type link struct {
	module  *module
	host    api.Module // exports the host functions that are imported, by their number
	closer  wazero.CompiledModule
	targets map[[2]string]target
	linked  []*instance // are kept with it
}

type target struct {
	instance *wasm.ModuleInstance
	name     string
}

type instance struct {
	link     *link
	instance *wasm.ModuleInstance
	memory   *memory
	ctx      *callContext
}

type function struct {
	native   C.seam_wazero_native // first, where C looks for it
	function api.Function
	ctx      *callContext
	slots    int
	instance *instance
}

// callContext is the context of each call into one instance.
type callContext struct {
	context.Context
	callbacks *C.seam_wazero_callbacks
	tag       uintptr
}

var (
	errHost        = errors.New("ended by a host function")
	errInterrupted = errors.New("interrupted")
)

// Look implements wasm.Looker.
func (c *callContext) Look() error {
	if C.seam_wazero_look(c.callbacks, C.uintptr_t(c.tag)) != 0 {
		return errInterrupted
	}
	return nil
}

// hostFunction is seam_wazero_host to C.
type hostFunction struct {
	callbacks *C.seam_wazero_callbacks
	function  unsafe.Pointer
}

// Call implements api.GoModuleFunction.
func (h *hostFunction) Call(ctx context.Context, caller api.Module, stack []uint64) {
	tag := caller.(*wasm.ModuleInstance).Tag
	if tag == 0 { // an export that is an import: the host calls itself
		tag = ctx.(*callContext).tag
	}
	if C.seam_wazero_call_host(h.callbacks, h.function, C.uintptr_t(tag), (*C.uint64_t)(unsafe.SliceData(stack))) != 0 {
		panic(errHost)
	}
}

//export seam_wazero_abi
func seam_wazero_abi() C.uint32_t { return C.SEAM_WAZERO_ABI }

//export seam_wazero_version
func seam_wazero_version(out *C.seam_wazero_buffer) { give(out, []byte(version)) }

//export seam_wazero_runtime_new
func seam_wazero_runtime_new(interpreter, workers C.int32_t, callbacks *C.seam_wazero_callbacks, out *C.seam_wazero_buffer) (handle C.uintptr_t) {
	defer failOnPanic(C.SEAM_WAZERO_UNSUPPORTED, out, &handle)
	var config wazero.RuntimeConfig
	made := &engine{}
	if interpreter != 0 {
		config = wazero.NewRuntimeConfigInterpreter()
	} else {
		if !platform.CompilerSupports(features) {
			fail(out, C.SEAM_WAZERO_UNSUPPORTED, errors.New("wazero generates no code for this processor: use its interpreter"), nil)
			return 0
		}
		made.codes = &codes{}
		config = wazero.NewRuntimeConfigCompiler().WithCompilationCache(wazero.NewCompilationCacheOf(made.codes))
	}
	// Means, with our patch, that guests look up when they are told to.
	config = config.WithCoreFeatures(features).WithCloseOnContextDone(true).WithDebugInfoEnabled(false)
	made.ctx = experimental.WithCompilationWorkers(context.Background(), int(workers))
	made.callbacks = (*C.seam_wazero_callbacks)(C.malloc(C.size_t(unsafe.Sizeof(C.seam_wazero_callbacks{}))))
	*made.callbacks = *callbacks
	made.runtime = wazero.NewRuntimeWithConfig(made.ctx, config)
	return hold(made)
}

//export seam_wazero_runtime_delete
func seam_wazero_runtime_delete(handle C.uintptr_t) {
	gone := release[engine](handle)
	_ = gone.runtime.Close(gone.ctx)
	C.free(unsafe.Pointer(gone.callbacks))
}

//export seam_wazero_compile
func seam_wazero_compile(handle C.uintptr_t, bytes *C.uint8_t, size C.size_t, out *C.seam_wazero_buffer) (made C.uintptr_t) {
	defer failOnPanic(C.SEAM_WAZERO_COMPILE_FAILED, out, &made)
	// Nothing keeps a part of it: see wasm/binary.
	return compile(at[engine](handle), unsafe.Slice((*byte)(bytes), int(size)), out)
}

func compile(engine *engine, bytes []byte, out *C.seam_wazero_buffer) C.uintptr_t {
	compiled, err := engine.runtime.CompileModule(engine.ctx, bytes)
	if err != nil {
		fail(out, C.SEAM_WAZERO_COMPILE_FAILED, err, nil)
		return 0
	}
	source := wazero.SourceOf(compiled)
	made := &module{engine: engine, compiled: compiled, source: source, start: source.StartSection, code: codeSection(bytes), id: source.ID}
	source.StartSection = nil // run by the caller
	give(out, describe(made))
	return hold(made)
}

//export seam_wazero_module_delete
func seam_wazero_module_delete(handle C.uintptr_t) {
	gone := release[module](handle)
	_ = gone.compiled.Close(gone.engine.ctx)
}

//export seam_wazero_link
func seam_wazero_link(engineHandle, moduleHandle C.uintptr_t, imports *C.seam_wazero_import, count C.size_t, out *C.seam_wazero_buffer) (made C.uintptr_t) {
	defer failOnPanic(C.SEAM_WAZERO_INSTANTIATE_FAILED, out, &made)
	engine := at[engine](engineHandle)
	linked := &link{module: at[module](moduleHandle), targets: map[[2]string]target{}}
	var hosts [][2]string
	var builder wazero.HostModuleBuilder
	for i, imported := range unsafe.Slice(imports, int(count)) {
		key := [2]string{text(imported.module, imported.module_size), text(imported.name, imported.name_size)}
		if imported.instance != 0 {
			other := at[instance](imported.instance)
			linked.targets[key] = target{other.instance, key[1]}
			linked.linked = append(linked.linked, other)
			continue
		}
		if builder == nil {
			builder = engine.runtime.NewHostModuleBuilder(key[0])
		}
		types := append([]byte(nil), unsafe.Slice((*byte)(imported.types), int(imported.params+imported.results))...)
		name := strconv.Itoa(i)
		builder.NewFunctionBuilder().WithGoModuleFunction(&hostFunction{engine.callbacks, unsafe.Pointer(imported.function)},
			types[:imported.params], types[imported.params:]).WithName(key[0] + "." + key[1]).Export(name)
		linked.targets[key] = target{nil, name}
		hosts = append(hosts, key)
	}
	if builder != nil {
		compiled, err := builder.Compile(engine.ctx)
		if err == nil {
			linked.closer = compiled
			linked.host, err = engine.runtime.InstantiateModule(engine.ctx, compiled, wazero.NewModuleConfig().WithName(""))
		}
		if err != nil {
			fail(out, C.SEAM_WAZERO_INSTANTIATE_FAILED, err, nil)
			return 0
		}
		for _, key := range hosts {
			linked.targets[key] = target{linked.host.(*wasm.ModuleInstance), linked.targets[key].name}
		}
	}
	return hold(linked)
}

//export seam_wazero_link_delete
func seam_wazero_link_delete(handle C.uintptr_t) {
	gone := release[link](handle)
	if gone.host != nil {
		_ = gone.host.Close(gone.module.engine.ctx)
		_ = gone.closer.Close(gone.module.engine.ctx)
	}
}

var anonymous = wazero.NewModuleConfig().WithName("").WithStartFunctions()

//export seam_wazero_instantiate
func seam_wazero_instantiate(linkHandle C.uintptr_t, memoryCell *C.seam_wazero_memory, tableElementsMax C.uint32_t, tag C.uintptr_t, out *C.seam_wazero_buffer) (handle C.uintptr_t) {
	defer failOnPanic(C.SEAM_WAZERO_NO_ROOM, out, &handle)
	link := at[link](linkHandle)
	engine := link.module.engine
	made := &instance{link: link, memory: &memory{cell: memoryCell},
		ctx: &callContext{context.Background(), engine.callbacks, uintptr(tag)}}
	ctx := wasm.WithInstantiation(engine.ctx, &wasm.Instantiation{
		Resolve: func(module, name string) (*wasm.ModuleInstance, string) {
			target := link.targets[[2]string{module, name}]
			return target.instance, target.name
		},
		TableElementsMax: uint32(tableElementsMax),
		Tag:              uintptr(tag),
	})
	if link.module.source.MemorySection != nil {
		ctx = experimental.WithMemoryAllocator(ctx, made.memory)
	}
	instantiated, err := engine.runtime.InstantiateModule(ctx, link.module.compiled, anonymous)
	if err != nil {
		kind := C.seam_wazero_error(C.SEAM_WAZERO_INSTANTIATE_FAILED)
		var segment *wasm.SegmentError
		if errors.As(err, &segment) {
			kind = trapKind(err)
		}
		fail(out, kind, err, nil)
		if instantiated == nil {
			return 0
		}
	}
	made.instance = instantiated.(*wasm.ModuleInstance)
	return hold(made)
}

//export seam_wazero_instance_delete
func seam_wazero_instance_delete(handle C.uintptr_t) {
	gone := release[instance](handle)
	_ = gone.instance.Close(gone.ctx)
}

//export seam_wazero_function
func seam_wazero_function(handle C.uintptr_t, name *C.char, size C.size_t, look **C.uint32_t) C.uintptr_t {
	instance := at[instance](handle)
	var index wasm.Index
	if name != nil {
		exported, ok := instance.instance.Exports[text(name, size)]
		if !ok || exported.Type != wasm.ExternTypeFunc {
			return 0
		}
		index = exported.Index
	} else if instance.link.module.start != nil {
		index = *instance.link.module.start
	} else {
		return 0
	}
	made := &function{function: instance.instance.Engine.NewFunction(index), ctx: instance.ctx, instance: instance}
	made.native = nativeOf(made.function, made.ctx)
	kind := typeOf(instance.link.module.source, index)
	made.slots = max(kind.ParamNumInUint64, kind.ResultNumInUint64)
	*look = nil
	if lookable, ok := made.function.(wasm.Lookable); ok {
		*look = (*C.uint32_t)(lookable.LookFlag())
	}
	return hold(made)
}

//export seam_wazero_function_delete
func seam_wazero_function_delete(handle C.uintptr_t) { release[function](handle) }

// seam_wazero_call where C cannot do it: see call.c.
//
//export seam_wazero_call_in_go
func seam_wazero_call_in_go(handle C.uintptr_t, stack *C.uint64_t, out *C.seam_wazero_buffer) (failed C.int32_t) {
	f := at[function](handle)
	if err := f.function.CallWithStack(f.ctx, unsafe.Slice((*uint64)(stack), f.slots)); err != nil {
		failCall(out, err, f.instance.link.module.code)
		return 1
	}
	return 0
}

//export seam_wazero_global
func seam_wazero_global(handle C.uintptr_t, name *C.char, size C.size_t, value *C.uint64_t) C.uint32_t {
	instance := at[instance](handle).instance
	exported, ok := instance.Exports[text(name, size)]
	if !ok || exported.Type != wasm.ExternTypeGlobal {
		return 0
	}
	global := instance.Globals[exported.Index]
	low, high := global.Value()
	values := unsafe.Slice((*uint64)(value), 2)
	values[0], values[1] = low, high
	return C.uint32_t(global.Type.ValType.Kind())
}

//export seam_wazero_collect
func seam_wazero_collect() {
	runtime.GC()
	runtime.GC() // frees what the finalizers of the first have let go
}

func text(data *C.char, size C.size_t) string { return C.GoStringN(data, C.int(size)) }

// failOnPanic is deferred where a fault of wazero's own must not end the process.
func failOnPanic(kind C.seam_wazero_error, out *C.seam_wazero_buffer, handle *C.uintptr_t) {
	if fault := recover(); fault != nil {
		*handle = 0
		fail(out, kind, fmt.Errorf("%v", fault), nil)
	}
}

func main() {}
