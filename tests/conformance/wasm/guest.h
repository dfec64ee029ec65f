// What the programs of the suite share: a reactor's `alloc`, and params that are one flat object of
// numbers.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANDLE(params, size) \
  __attribute__((export_name("handle"))) uint64_t handle(char* params, uint32_t size)

// One byte more than asked for, so that params end in NUL.
__attribute__((export_name("alloc"))) void* allocate_params(uint32_t size) {
  return calloc(1, (size_t)size + 1);
}

// Where a result lies. It must stay until the call has ended.
static inline uint64_t result_at(const char* text, size_t size) {
  return (uint64_t)(uintptr_t)text << 32 | (uint32_t)size;
}

static inline uint64_t result_text(const char* text) { return result_at(text, strlen(text)); }

// The number that the member with the quoted name `key` holds; 0 without one.
static inline long number_of(const char* params, const char* key) {
  const char* member = strstr(params, key);
  return member == NULL ? 0 : strtol(member + strlen(key) + 1, NULL, 10);
}
