// wasm-text_stats: {"text": "…"} in; lines, words, bytes, characters, SHA-256 and CRC-32 of the text out: the numbers of
// `wc -l -w -c -m` in a UTF-8 locale and the digests of `sha256sum` and `crc32`.
//
// A reactor: seam calls alloc() for the params, then handle(). Each call has a fresh instance, so nothing is ever freed
// and the result lies in a static buffer.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "json_string.h"

static char result[512];

__attribute__((export_name("alloc"))) void* allocate(uint32_t size) { return malloc(size == 0 ? 1 : size); }

static _Noreturn void refuse(const char* why) {
  fprintf(stderr, "text_stats: %s\n", why);
  exit(1);
}

struct counts {
  uint64_t lines, words, characters;
};

// What ends a word, as wc sees it: white space, with the no-break ones.
static bool is_space(uint32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
         c == 0x202f || c == 0x205f || c == 0x2060 || c == 0x3000;
}

// What cannot begin one: control characters.
static bool is_control(uint32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

// `text` is valid UTF-8: it came as checked JSON.
static struct counts count(const uint8_t* text, size_t size) {
  struct counts counts = {0, 0, 0};
  bool in_word = false;
  for (size_t i = 0; i < size; ++counts.characters) {
    uint32_t c = text[i++];
    if (c >= 0x80) {
      const unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
      c &= 0x3fU >> more;
      for (unsigned k = 0; k < more && i < size; ++k) c = c << 6 | (text[i++] & 0x3fU);
    }
    counts.lines += c == '\n';
    if (is_space(c)) {
      in_word = false;
    } else if (!in_word && !is_control(c)) {
      in_word = true;
      ++counts.words;
    }
  }
  return counts;
}

__attribute__((export_name("handle"))) uint64_t handle(char* params, uint32_t size) {
  char* text = NULL;
  size_t text_size = 0;
  if (!find_json_string(params, size, "text", &text, &text_size)) {
    refuse("give {\"text\": \"…\"}: there is no string named text");
  }
  const struct counts counts = count((const uint8_t*)text, text_size);
  char sha256[65];
  sha256_hex(text, text_size, sha256);
  const int length = snprintf(
      result, sizeof result,
      "{\"lines\":%llu,\"words\":%llu,\"bytes\":%zu,\"characters\":%llu,\"sha256\":\"%s\",\"crc32\":\"%08x\"}",
      (unsigned long long)counts.lines, (unsigned long long)counts.words, text_size,
      (unsigned long long)counts.characters, sha256, (unsigned)crc32_of(text, text_size));
  return (uint64_t)(uintptr_t)result << 32 | (uint32_t)length;
}
