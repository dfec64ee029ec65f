#include "guest.h"

HANDLE(params, size) {
  for (volatile uint32_t rounds = 0;; ++rounds) {
  }
  return result_at(params, size);
}
