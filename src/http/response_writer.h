#pragma once
// Writes responses as bytes.
//
//   append_response(out, response, {.date = clock.http_date(), .close = true});

#include <string>
#include <string_view>

#include "http/message.h"

namespace seam::http {

struct ResponseForm {
  std::string_view date;          // as IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT"
  bool without_body = false;      // to HEAD: all but the body
  bool close = false;             // adds Connection: close
  bool chunked = false;           // Transfer-Encoding in the place of Content-Length
  bool until_close = false;       // neither: the end of the connection ends the body
  bool keep_alive_named = false;  // adds Connection: keep-alive, which HTTP/1.0 needs
};

// Appends the head, and the body unless `form` leaves it out or `body_apart` is set. A field with a
// control character in it, which would split the response, is sent with spaces in their place.
// source    RFC 9112, sections 4 to 6.
void append_response(std::string& out, const Response& response, const ResponseForm& form,
                     bool body_apart = false);

// The Date of now, made anew once a second. Used by one thread.
class DateField {
 public:
  [[nodiscard]] std::string_view now();

 private:
  std::int64_t second_ = -1;
  std::string text_;
};

}  // namespace seam::http
