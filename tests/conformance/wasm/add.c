#include "guest.h"

static char sum[24];

HANDLE(params, size) {
  (void)size;
  const int length =
      snprintf(sum, sizeof sum, "%ld", number_of(params, "\"a\"") + number_of(params, "\"b\""));
  return result_at(sum, (size_t)length);
}
