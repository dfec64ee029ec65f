#pragma once
// What ThreadSanitizer cannot see of wasmtime, whose Rust code it does not instrument. Nothing in
// other builds.

namespace seam::wasm {

// The pool hands the memory of an ended instance to the next, perhaps on another thread, under a
// lock of its own. These tell of that order: gives before an instance ends, takes once one has
// begun.
void pool_gives(void* pool);
void pool_takes(void* pool);

// While one lives, ThreadSanitizer does not look at what this thread reads and writes: compilations
// hand their buffers on from thread to thread under a lock of wasmtime's.
class UnseenLocks {
 public:
  UnseenLocks();
  ~UnseenLocks();
  UnseenLocks(const UnseenLocks&) = delete;
  UnseenLocks& operator=(const UnseenLocks&) = delete;
};

}  // namespace seam::wasm
