#pragma once
// Base64 as JSON bodies carry it.
//
//   SEAM_ASSIGN_OR_RETURN(const std::string module, decode_base64("AGFzbQEAAAA="));

#include <string>
#include <string_view>

#include "base/result.h"

namespace seam {

// The standard alphabet with padding, and line breaks between, as tools write it.
// errors    kInvalidArgument   another character, or a length that does not fit
// source    RFC 4648, section 4.
[[nodiscard]] Result<std::string> decode_base64(std::string_view text);

[[nodiscard]] std::string encode_base64(std::string_view bytes);

}  // namespace seam
