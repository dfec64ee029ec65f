#pragma once
// For packages/archive_*.cc alone: libarchive converts names by the thread's locale, and a server
// often runs in the one that knows no letters beyond ASCII. Nothing else of the process is touched.
//
//   const Utf8Locale utf8;   // until the end of the block

#include <locale.h>

namespace seam::packages {

class Utf8Locale {
 public:
  Utf8Locale() : locale_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (locale_ != nullptr) before_ = ::uselocale(locale_);
  }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;
  ~Utf8Locale() {
    if (locale_ == nullptr) return;
    ::uselocale(before_);
    ::freelocale(locale_);
  }

 private:
  locale_t locale_;
  locale_t before_ = nullptr;
};

}  // namespace seam::packages
