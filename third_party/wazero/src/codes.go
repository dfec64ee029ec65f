package main

/*
#include "seam_wazero.h"
*/
import "C"

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"unsafe"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/internal/filecache"
	"github.com/tetratelabs/wazero/internal/wasm"
)

// codes hands machine code that was serialised to the engine while its module is loaded.
type codes struct {
	mutex sync.Mutex
	codes map[filecache.Key][]byte
}

// OnlyWhenAsked tells the engine to keep nothing here by itself.
func (c *codes) OnlyWhenAsked() {}

// Get implements filecache.Cache.
func (c *codes) Get(key filecache.Key) (io.ReadCloser, bool, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	code, ok := c.codes[key]
	if !ok {
		return nil, false, nil
	}
	return io.NopCloser(bytes.NewReader(code)), true, nil
}

// Add implements filecache.Cache.
func (c *codes) Add(filecache.Key, io.Reader) error { return nil }

// Delete implements filecache.Cache.
func (c *codes) Delete(filecache.Key) error {
	return errors.New("machine code of another version of wazero")
}

//export seam_wazero_serialise
func seam_wazero_serialise(handle C.uintptr_t, out *C.seam_wazero_buffer) C.int32_t {
	module := at[module](handle)
	serialiser, ok := wazero.EngineOf(module.compiled).(interface {
		Serialise(*wasm.Module) (filecache.Key, []byte, error)
	})
	if !ok {
		fail(out, C.SEAM_WAZERO_UNSUPPORTED, errors.New("wazero's interpreter has no machine code"), nil)
		return 1
	}
	key, code, err := serialiser.Serialise(module.source)
	if err != nil {
		fail(out, C.SEAM_WAZERO_UNSUPPORTED, err, nil)
		return 1
	}
	give(out, append(key[:], code...))
	return 0
}

//export seam_wazero_load
func seam_wazero_load(handle C.uintptr_t, moduleBytes *C.uint8_t, size C.size_t, code *C.uint8_t, codeSize C.size_t, out *C.seam_wazero_buffer) (made C.uintptr_t) {
	defer failOnPanic(C.SEAM_WAZERO_COMPILE_FAILED, out, &made)
	engine := at[engine](handle)
	keyed := unsafe.Slice((*byte)(code), int(codeSize))
	var key filecache.Key
	if engine.codes == nil || len(keyed) < len(key) {
		fail(out, C.SEAM_WAZERO_COMPILE_FAILED, errors.New("no machine code of this engine"), nil)
		return 0
	}
	copy(key[:], keyed)
	engine.codes.mutex.Lock()
	if engine.codes.codes == nil {
		engine.codes.codes = map[filecache.Key][]byte{}
	}
	engine.codes.codes[key] = keyed[len(key):]
	engine.codes.mutex.Unlock()
	defer func() {
		engine.codes.mutex.Lock()
		delete(engine.codes.codes, key)
		engine.codes.mutex.Unlock()
	}()
	return compile(engine, unsafe.Slice((*byte)(moduleBytes), int(size)), out)
}
