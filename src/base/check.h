#pragma once
// CHECK(condition): a bug of ours stops the process, with the place and the condition on stderr,
// rather than going on wrong.
//
//   CHECK(loop.is_current());

namespace seam {

[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace seam

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::seam::check_failed(__FILE__, __LINE__, #condition))
