#pragma once
// JSON as the text that came: checked once, cut into its top-level members without being decoded,
// so that params and results cross Seam as the bytes their author wrote (`3.0` stays `3.0`, 2^64
// stays 18446744073709551616).
//
//   SEAM_ASSIGN_OR_RETURN(const JsonObjectText body, JsonObjectText::parse(request.body,
//   {.depth_max = 512})); std::optional<std::string_view> params = body.find("params");
//
// To read values out, parse the member with Boost.JSON.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace seam {

struct JsonTextLimits {
  std::size_t depth_max =
      512;  // nesting of arrays and objects; 512 is what every runtime's own parser takes
};

// Checks that `text` is one JSON value in UTF-8, with white space around it allowed, and returns
// the value without that space. errors    kInvalidArgument   the message gives what was wrong and
// the byte offset: bad UTF-8, an escape that is a lone
//                              surrogate, nesting deeper than the limit, anything RFC 8259 does not
//                              allow
// source    RFC 8259; RFC 7493 (I-JSON), section 2.1 for the surrogates.
[[nodiscard]] Result<std::string_view> check_json(std::string_view text,
                                                  JsonTextLimits limits = {});

// The members of one JSON object, as slices of the text it was parsed from, which must outlive it.
class JsonObjectText {
 public:
  struct Member {
    std::string_view name;   // between its quotes, escapes as they came; see find()
    std::string_view value;  // without white space around it
  };

  // errors    kInvalidArgument   as check_json(), or the value is not an object, or a name appears
  // twice
  [[nodiscard]] static Result<JsonObjectText> parse(std::string_view text,
                                                    JsonTextLimits limits = {});

  // The value of a member, or nothing. A name written with escapes is found by what it spells.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  [[nodiscard]] const std::vector<Member>& members() const { return members_; }

 private:
  std::vector<Member> members_;
};

// What a checked JSON string spells: `"a\u00e9"` → aé. `text` includes the quotes and has passed
// check_json().
[[nodiscard]] std::string decode_json_string(std::string_view text);

// Appends `value` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view value);

// The kind of a checked value, by its first byte.
[[nodiscard]] inline bool is_json_object(std::string_view value) { return value.starts_with('{'); }
[[nodiscard]] inline bool is_json_string(std::string_view value) { return value.starts_with('"'); }

}  // namespace seam
