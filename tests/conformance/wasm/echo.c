#include "guest.h"

HANDLE(params, size) { return result_at(params, size); }
