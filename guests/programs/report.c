// report ROUNDS <text: words, lines and a chained SHA-256 of a text, as one line of JSON. README.md says it exactly.
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../wasm/digest.h"

enum { kDigestChars = 64, kTop = 5 };

struct Word {
  const char* text;  // NUL-terminated
  uint64_t count;
};

// Open addressing; doubles when half full.
struct Words {
  struct Word* slots;
  size_t size;  // a power of two
  size_t used;
};

static void* must(void* memory) {
  if (memory == NULL) {
    fputs("report: no memory\n", stderr);
    exit(3);
  }
  return memory;
}

static struct Word* slot_of(const struct Words* words, const char* text) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char* c = text; *c != '\0'; ++c) hash = (hash ^ (uint8_t)*c) * 16777619u;
  size_t at = hash & (words->size - 1);
  while (words->slots[at].text != NULL && strcmp(words->slots[at].text, text) != 0)
    at = (at + 1) & (words->size - 1);
  return &words->slots[at];
}

static void count(struct Words* words, const char* text) {
  struct Word* slot = slot_of(words, text);
  if (slot->text != NULL) {
    ++slot->count;
    return;
  }
  *slot = (struct Word){text, 1};
  if (++words->used * 2 <= words->size) return;
  struct Words larger = {must(calloc(words->size * 2, sizeof(struct Word))), words->size * 2, words->used};
  for (size_t i = 0; i < words->size; ++i)
    if (words->slots[i].text != NULL) *slot_of(&larger, words->slots[i].text) = words->slots[i];
  free(words->slots);
  *words = larger;
}

static int by_count_then_text(const void* left, const void* right) {
  const struct Word *a = left, *b = right;
  if (a->count != b->count) return a->count < b->count ? 1 : -1;
  return strcmp(a->text, b->text);
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

int main(int argc, char** argv) {
  char* end = NULL;
  errno = 0;
  const long rounds = argc == 2 ? strtol(argv[1], &end, 10) : 0;
  if (rounds < 1 || errno != 0 || *end != '\0') {
    fputs("usage: report ROUNDS <text\n", stderr);
    return 2;
  }
  // The digest of each round stands before the text in the next.
  size_t capacity = 1 << 16, size = 0;
  char* buffer = must(malloc(kDigestChars + 1 + capacity));
  for (;;) {
    const size_t got = fread(buffer + kDigestChars + size, 1, capacity - size, stdin);
    if (got == 0) break;
    size += got;
    if (size == capacity) {
      capacity *= 2;
      buffer = must(realloc(buffer, kDigestChars + 1 + capacity));
    }
  }
  char* text = buffer + kDigestChars;
  fprintf(stderr, "report: %zu bytes\n", size);

  char digest[kDigestChars + 1];
  sha256_hex(text, size, digest);
  for (long round = 1; round < rounds; ++round) {
    memcpy(buffer, digest, kDigestChars);
    sha256_hex(buffer, kDigestChars + size, digest);
  }

  uint64_t lines = 0, total = 0, letters = 0;
  struct Words words = {must(calloc(1024, sizeof(struct Word))), 1024, 0};
  text[size] = '\0';
  for (size_t at = 0; at < size;) {
    if (text[at] == '\n') ++lines;
    if (!is_letter(text[at])) {
      ++at;
      continue;
    }
    char* word = text + at;
    for (; at < size && is_letter(text[at]); ++at) {
      text[at] |= 0x20;
      ++letters;
    }
    if (at < size && text[at] == '\n') ++lines;
    text[at++] = '\0';
    ++total;
    count(&words, word);
  }

  size_t kept = 0;
  for (size_t i = 0; i < words.size; ++i)
    if (words.slots[i].text != NULL) words.slots[kept++] = words.slots[i];
  qsort(words.slots, kept, sizeof(struct Word), by_count_then_text);
  printf("{\"bytes\":%zu,\"lines\":%llu,\"words\":%llu,\"distinct\":%zu,\"mean_length\":%.3f,\"sha256\":\"%s\",\"top\":[", size,
         (unsigned long long)lines, (unsigned long long)total, words.used, total == 0 ? 0.0 : (double)letters / (double)total,
         digest);
  for (size_t i = 0; i < words.used && i < kTop; ++i)
    printf("%s{\"word\":\"%s\",\"count\":%llu}", i == 0 ? "" : ",", words.slots[i].text,
           (unsigned long long)words.slots[i].count);
  puts("]}");
  return 0;
}
