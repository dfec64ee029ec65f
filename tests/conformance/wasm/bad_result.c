#include "guest.h"

HANDLE(params, size) {
  (void)params;
  (void)size;
  return result_text("{1, 2}");
}
