#pragma once
// Takes secrets out of JSON before it is kept with the record of a call: the value of every member
// whose name looks like a secret's becomes "***", at any depth.
//
//   std::string kept;
//   mask_secrets(R"({"user":"bob","apiKey":"k1","a":1})", kPayloadBytesMax, kept);
//   // {"user":"bob","apiKey":"***","a":1}
//
// A name looks like a secret's if it contains password, passwd, secret, token, authorization,
// apikey, accesskey, privatekey, credential or cookie, whatever its case and with - and _ left out.
// So "max_tokens" is masked too: a number lost from a log is better than a token found in one.
// Secrets that stand elsewhere (in a text, an array of pairs, JSON inside a string) are not seen.

#include <cstddef>
#include <string>
#include <string_view>

namespace seam::store {

// Appends `json`, masked, to `out`, and stops once it has appended `bytes_max` bytes, before a
// character that would not fit whole. Everything outside the masked values is as it came. The text
// should be JSON or the beginning of one; of other text, what looks like members is masked. Any
// thread.
void mask_secrets(std::string_view json, std::size_t bytes_max, std::string& out);

// Whether a member of this name, as it stands between its quotes, is masked.
[[nodiscard]] bool is_secret_name(std::string_view name);

}  // namespace seam::store
