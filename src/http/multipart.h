#pragma once
// A body of multipart/form-data, cut into its parts where it lies. What could be read in two ways
// is refused: a part without a name, two parts of one name, a line with the boundary in it that is
// no delimiter.
//
//   SEAM_ASSIGN_OR_RETURN(const std::vector<FormPart> parts, parse_form(content_type, body));
//   for (const FormPart& part : parts) take(part.name, part.content);
//
// source    RFC 7578; RFC 2046, section 5.1.1.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace seam::http {

struct FormPart {
  std::string name;
  std::string file_name;  // empty where none was sent
  std::string_view content_type;
  std::string_view content;
};

inline constexpr std::size_t kFormPartsMax = 16;
inline constexpr std::size_t kFormPartHeadBytesMax = 8U << 10U;  // of one part, with its blank line

// Whether a Content-Type is multipart/form-data, whatever its parameters.
[[nodiscard]] bool is_form(std::string_view content_type);

// The views are of `content_type` and `body`.
// errors    kInvalidArgument   not well formed; the message says where
[[nodiscard]] Result<std::vector<FormPart>> parse_form(std::string_view content_type,
                                                       std::string_view body);

}  // namespace seam::http
