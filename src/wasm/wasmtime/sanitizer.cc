#include "wasm/wasmtime/sanitizer.h"

#if __has_feature(thread_sanitizer)

#include <sanitizer/tsan_interface.h>

// Of the sanitizer's library, in none of its headers.
extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}

namespace seam::wasm {

void pool_gives(void* pool) { __tsan_release(pool); }
void pool_takes(void* pool) { __tsan_acquire(pool); }

UnseenLocks::UnseenLocks() {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
UnseenLocks::~UnseenLocks() {
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

}  // namespace seam::wasm

// A trap leaves wasmtime's signal handler by changing the context that it returns to, so that
// ThreadSanitizer takes what follows for the handler.
extern "C" const char* __tsan_default_options() { return "report_signal_unsafe=0"; }
// The pool zeroes the memory of an ended instance under its own lock, after pool_gives(): in a
// function that Rust's compiler may inline into the pool's.
extern "C" const char* __tsan_default_suppressions() {
  return "race:reset_with_pagemap\nrace:allocator..pooling\n";
}

#else

namespace seam::wasm {

void pool_gives(void* /*pool*/) {}
void pool_takes(void* /*pool*/) {}
UnseenLocks::UnseenLocks() = default;
UnseenLocks::~UnseenLocks() = default;

}  // namespace seam::wasm

#endif
