// Counts what each thread takes from the heap: malloc and its kin stand before libc's in this
// program and in every library that it loads; operator new and Rust's allocator call them.
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "measure.h"

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
}

namespace {
// Of the program itself, so that reading it takes no allocation.
__attribute__((tls_model("initial-exec"))) thread_local std::uint64_t counted = 0;
}  // namespace

extern "C" {
__attribute__((visibility("default"))) void* malloc(std::size_t size) noexcept {
  ++counted;
  return __libc_malloc(size);
}
__attribute__((visibility("default"))) void* calloc(std::size_t count, std::size_t size) noexcept {
  ++counted;
  return __libc_calloc(count, size);
}
__attribute__((visibility("default"))) void* realloc(void* memory, std::size_t size) noexcept {
  ++counted;
  return __libc_realloc(memory, size);
}
__attribute__((visibility("default"))) void* aligned_alloc(std::size_t alignment,
                                                           std::size_t size) noexcept {
  ++counted;
  return __libc_memalign(alignment, size);
}
__attribute__((visibility("default"))) int posix_memalign(void** out, std::size_t alignment,
                                                          std::size_t size) noexcept {
  ++counted;
  *out = __libc_memalign(alignment, size);
  return *out == nullptr ? ENOMEM : 0;
}
}

namespace seam::bench {
std::uint64_t allocations() { return counted; }
}  // namespace seam::bench
