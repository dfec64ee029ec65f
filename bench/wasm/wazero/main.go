// The work of subjects.h, as a host in Go would write it on wazero. It is a program of its own that the benchmark talks to:
// two of Go's runtimes do not live in one process.
//
//	wazero_direct MODE SMALL LARGER     MODE is compiled or interpreter
//
// It reads lines: "start", then "finish", then "run OPERATION TIMES" or "keep COUNT"; it answers each with the sum of what
// came out and the nanoseconds of processor time that it took, and "memory" with its own memory in bytes.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

const (
	copyBytes = 64 << 10
	pagesMax  = 256 << 20 >> 16
)

type counter struct{ sum uint64 }

type counterKey struct{}

// memory is set aside with its whole limit, so that it never moves, and lent by the machine as it grows.
type memory struct{ all []byte }

func (m *memory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.all)) {
		return nil
	}
	if size > 0 {
		if err := syscall.Mprotect(m.all[:size], syscall.PROT_READ|syscall.PROT_WRITE); err != nil {
			return nil
		}
	}
	return m.all[:size:size]
}

func (m *memory) Free() { must0(syscall.Munmap(m.all)) }

func allocate(_, bytesMax uint64) experimental.LinearMemory {
	all := must(syscall.Mmap(-1, 0, int(min(bytesMax, 256<<20)), syscall.PROT_NONE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE))
	return &memory{all}
}

func must[T any](value T, err error) T {
	must0(err)
	return value
}

func must0(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "wazero_direct:", err)
		os.Exit(1)
	}
}

func processorNs() int64 {
	var usage syscall.Rusage
	must0(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func ownBytes() int64 {
	runtime.GC()
	debug.FreeOSMemory()
	kib := int64(0)
	for _, line := range strings.Split(string(must(os.ReadFile("/proc/self/smaps_rollup"))), "\n") {
		var value int64
		for _, name := range []string{"Private_Clean:", "Private_Dirty:"} {
			if n, _ := fmt.Sscanf(line, name+" %d", &value); n == 1 {
				kib += value
			}
		}
	}
	return kib << 10
}

type subject struct {
	ctx       context.Context
	runtime   wazero.Runtime
	small     wazero.CompiledModule
	larger    []byte
	counter   counter
	live      api.Module
	add, once api.Function
	kept      []api.Module
}

func (s *subject) start(mode string) {
	config := wazero.NewRuntimeConfigCompiler()
	if mode == "interpreter" {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	s.ctx = experimental.WithMemoryAllocator(context.Background(), experimental.MemoryAllocatorFunc(allocate))
	s.runtime = wazero.NewRuntimeWithConfig(s.ctx, config.WithMemoryLimitPages(pagesMax))
}

func (s *subject) finish(small, larger []byte) {
	s.larger = larger
	count := func(ctx context.Context, _ api.Module, stack []uint64) {
		counter := ctx.Value(counterKey{}).(*counter)
		counter.sum += uint64(uint32(stack[0]))
		stack[0] = uint64(uint32(counter.sum))
	}
	i32 := []api.ValueType{api.ValueTypeI32}
	must(s.runtime.NewHostModuleBuilder("env").NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(count), i32, i32).Export("count").Instantiate(s.ctx))
	s.ctx = context.WithValue(s.ctx, counterKey{}, &s.counter)
	s.small = must(s.runtime.CompileModule(s.ctx, small))
	s.live = s.instantiate()
	s.add, s.once = s.live.ExportedFunction("add"), s.live.ExportedFunction("once")
}

func (s *subject) instantiate() api.Module {
	return must(s.runtime.InstantiateModule(s.ctx, s.small, wazero.NewModuleConfig().WithName("").WithStartFunctions()))
}

func (s *subject) touch(module api.Module, value uint64) uint64 {
	stack := [1]uint64{value}
	must0(module.ExportedFunction("touch").CallWithStack(s.ctx, stack[:]))
	return uint64(uint32(stack[0]))
}

func (s *subject) run(operation int, times uint64) (sum uint64) {
	switch operation {
	case 0:
		for i := range times {
			stack := [2]uint64{uint64(uint32(i)), 1}
			must0(s.add.CallWithStack(s.ctx, stack[:]))
			sum += uint64(uint32(stack[0]))
		}
	case 1:
		deadline := time.Now().Add(time.Hour)
		for i := range times {
			if !time.Now().Before(deadline) {
				must0(context.DeadlineExceeded)
			}
			stack := [2]uint64{uint64(uint32(i)), 1}
			must0(s.add.CallWithStack(s.ctx, stack[:]))
			sum += uint64(uint32(stack[0]))
		}
	case 2:
		for i := range times {
			sum += uint64(uint32(must(s.add.Call(s.ctx, uint64(uint32(i)), 1))[0]))
		}
	case 3:
		s.counter.sum = 0
		for i := range times {
			stack := [1]uint64{uint64(uint32(i))}
			must0(s.once.CallWithStack(s.ctx, stack[:]))
			sum += uint64(uint32(stack[0]))
		}
	case 4:
		for i := range times {
			module := s.instantiate()
			sum += s.touch(module, uint64(uint32(i)))
			must0(module.Close(s.ctx))
		}
	case 5:
		for range times {
			compiled := must(s.runtime.CompileModule(s.ctx, s.larger))
			sum += uint64(len(compiled.ExportedFunctions()) + len(compiled.ExportedMemories()))
			must0(compiled.Close(s.ctx))
		}
	case 7:
		data := make([]byte, copyBytes)
		for i := range times {
			data[i%copyBytes] = byte(i)
			if !s.live.Memory().Write(0, data) {
				must0(fmt.Errorf("write"))
			}
			read, ok := s.live.Memory().Read(0, copyBytes)
			if !ok {
				must0(fmt.Errorf("read"))
			}
			copy(data, read)
			sum += uint64(data[i%copyBytes])
		}
	case 8, 9, 10:
		hot := s.live.ExportedFunction([]string{"loop", "tight", "calls"}[operation-8])
		for range times {
			var stack [1]uint64
			must0(hot.CallWithStack(s.ctx, stack[:]))
			sum += uint64(uint32(stack[0]))
		}
	default:
		must0(fmt.Errorf("no operation %d", operation))
	}
	return sum
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: wazero_direct compiled|interpreter SMALL LARGER")
		os.Exit(2)
	}
	var s subject
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var operation int
		var times, sum uint64
		line := bytes.TrimSpace(lines.Bytes())
		begin := processorNs()
		switch {
		case string(line) == "start":
			begin = 0 // Go's own start is part of it
			s.start(os.Args[1])
		case string(line) == "finish":
			s.finish(must(os.ReadFile(os.Args[2])), must(os.ReadFile(os.Args[3])))
		case string(line) == "memory":
			fmt.Println(ownBytes(), 0)
			continue
		default:
			if n, _ := fmt.Sscanf(string(line), "run %d %d", &operation, &times); n == 2 {
				sum = s.run(operation, times)
			} else if n, _ := fmt.Sscanf(string(line), "keep %d", &times); n == 1 {
				for range times {
					module := s.instantiate()
					s.touch(module, 1)
					s.kept = append(s.kept, module)
				}
			} else {
				must0(fmt.Errorf("what is %q?", line))
			}
		}
		fmt.Println(sum, processorNs()-begin)
	}
}
