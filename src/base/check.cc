#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace seam {

void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "seam: %s:%d: CHECK(%s) failed; this is a bug in Seam, please report it\n",
               file, line, condition);
  std::abort();
}

}  // namespace seam
