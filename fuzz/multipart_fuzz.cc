// Any bytes as a multipart body, after a line that is its Content-Type: an error, or parts that lie
// within the body, in its order, with the limits kept; and a body built of them reads the same
// again.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "http/multipart.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace seam::http;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = std::min(text.find('\n'), text.size());
  const std::string_view type = text.substr(0, line);
  const std::string_view body = text.substr(std::min(line + 1, text.size()));
  const auto parts = parse_form(type, body);
  if (!parts) return 0;
  CHECK(parts->size() <= kFormPartsMax);
  constexpr std::string_view kBoundary =
      "a boundary of 70 characters that no corpus holds, or so it is hoped--x";
  std::string again;
  const char* after = body.data();
  for (const FormPart& part : *parts) {
    CHECK(!part.name.empty());
    CHECK(part.content.data() >= after &&
          part.content.data() + part.content.size() <= body.data() + body.size());
    after = part.content.data() + part.content.size();
    if (part.content.find(kBoundary) != std::string_view::npos) return 0;
    again.append("--").append(kBoundary).append("\r\nContent-Disposition: form-data; name=\"");
    for (const char c : part.name) {
      if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') return 0;
      if (c == '"' || c == '\\') again.push_back('\\');
      again.push_back(c);
    }
    again.append("\"\r\n\r\n").append(part.content).append("\r\n");
  }
  again.append("--").append(kBoundary).append("--\r\n");
  const auto same =
      parse_form(std::string("multipart/form-data; boundary=\"").append(kBoundary) + "\"", again);
  CHECK(same.has_value() && same->size() == parts->size());
  for (std::size_t i = 0; i < parts->size(); ++i)
    CHECK((*same)[i].name == (*parts)[i].name && (*same)[i].content == (*parts)[i].content);
  return 0;
}
