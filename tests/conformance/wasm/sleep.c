// Of the C library, in strict C17.
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "guest.h"

HANDLE(params, size) {
  (void)size;
  const long ms = number_of(params, "\"ms\"");
  const struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  if (nanosleep(&span, NULL) != 0) abort();
  return result_text("\"slept\"");
}
