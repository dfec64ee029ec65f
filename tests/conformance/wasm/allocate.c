#include "guest.h"

// Volatile, so that memory which nothing reads is taken all the same.
static char* volatile kept;

HANDLE(params, size) {
  (void)size;
  const size_t block = 1 << 20;
  for (long i = number_of(params, "\"mib\""); i > 0; --i) {
    char* taken = malloc(block);
    if (taken == NULL) {
      fputs("no more memory\n", stderr);
      exit(1);
    }
    memset(taken, 7, block);
    kept = taken;
  }
  return result_text("true");
}
