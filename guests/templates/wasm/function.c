// Makes the slug of a title, as it stands in an address.
//
//   {"title": "Hello, World!"}  →  {"slug": "hello-world"}
//
// Each call has a fresh instance, so nothing is ever freed and the result lies in a static buffer.
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "json_string.h"

static char result[4096];

__attribute__((export_name("alloc"))) void* allocate(uint32_t size) { return malloc(size == 0 ? 1 : size); }

// params is the JSON of a call; the answer is the result's address and length.
__attribute__((export_name("handle"))) uint64_t handle(char* params, uint32_t size) {
  char* title = NULL;
  size_t length = 0;
  if (!find_json_string(params, size, "title", &title, &length)) {
    fputs("The title is missing\n", stderr);
    exit(1);
  }
  size_t end = (size_t)snprintf(result, sizeof result, "{\"slug\":\"");
  const size_t begin = end;
  for (size_t i = 0; i < length && end < sizeof result - 4; ++i) {
    const unsigned char c = (unsigned char)title[i];
    if (c < 0x80 && isalnum(c)) {
      result[end++] = (char)tolower(c);
    } else if (end > begin && result[end - 1] != '-') {
      result[end++] = '-';
    }
  }
  if (end > begin && result[end - 1] == '-') --end;
  if (end == begin) {
    fputs("The title has neither letters nor digits\n", stderr);
    exit(1);
  }
  printf("the slug of %.*s is %.*s\n", (int)length, title, (int)(end - begin), result + begin);
  result[end++] = '"';
  result[end++] = '}';
  return (uint64_t)(uintptr_t)result << 32 | end;
}
