#include "guest.h"

HANDLE(params, size) {
  (void)size;
  const long count = number_of(params, "\"n\"");
  for (long i = 0; i < count; ++i) fprintf(i % 2 == 0 ? stdout : stderr, "line %ld\n", i);
  fflush(stdout);
  return result_text("true");
}
