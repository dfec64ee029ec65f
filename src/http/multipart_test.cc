#include "http/multipart.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace seam::http {
namespace {

constexpr const char* kType = "multipart/form-data; boundary=XX";

std::string part(std::string_view head, std::string_view content) {
  return fmt::format("--XX\r\n{}\r\n\r\n{}\r\n", head, content);
}
std::string named(std::string_view name, std::string_view content) {
  return part(fmt::format("Content-Disposition: form-data; name=\"{}\"", name), content);
}
std::string refusal(std::string_view body, std::string_view type = kType) {
  const Result<std::vector<FormPart>> parts = parse_form(type, body);
  if (parts) return "none";
  EXPECT_EQ(parts.error().code, ErrorCode::kInvalidArgument);
  const std::string begin = "the multipart body is not well formed: ";
  EXPECT_TRUE(parts.error().message.starts_with(begin)) << parts.error().message;
  return parts.error().message.substr(std::min(begin.size(), parts.error().message.size()));
}

TEST(Multipart, PartsComeInOrderWithTheirBytesUntouched) {
  const std::string bytes("\r\n--X\0\r\n\x1f\x8b", 10);
  const std::string body =
      "a preamble\r\n" + named("manifest", "{}") +
      part(
          "content-disposition: Form-Data; filename=\"a.tar.gz\"; name=content\r\nContent-Type: "
          "application/gzip",
          bytes) +
      named("empty", "") + "--XX--\r\nan epilogue\r\n--XX\r\n";
  const Result<std::vector<FormPart>> parts = parse_form(kType, body);
  ASSERT_TRUE(parts.has_value()) << parts.error().message;
  ASSERT_EQ(parts->size(), 3U);
  EXPECT_EQ((*parts)[0].name, "manifest");
  EXPECT_EQ((*parts)[0].content, "{}");
  EXPECT_EQ((*parts)[1].name, "content");
  EXPECT_EQ((*parts)[1].file_name, "a.tar.gz");
  EXPECT_EQ((*parts)[1].content_type, "application/gzip");
  EXPECT_EQ((*parts)[1].content, bytes);
  EXPECT_EQ((*parts)[2].content, "");
}

TEST(Multipart, TheBoundaryMayBeQuotedAndItsLinesPadded) {
  const Result<std::vector<FormPart>> parts =
      parse_form("Multipart/Form-Data; charset=utf-8; boundary=\"a b:c\"",
                 "--a b:c \t\r\nContent-Disposition: form-data; name=\"a "
                 "\\\"b\\\\c\\d\"\r\n\r\n1\r\n--a b:c--");
  ASSERT_TRUE(parts.has_value()) << parts.error().message;
  EXPECT_EQ(parts->front().name, "a \"b\\c\\d");
  const Result<std::vector<FormPart>> none = parse_form(kType, "--XX--\r\n");
  ASSERT_TRUE(none.has_value());
  EXPECT_TRUE(none->empty());
}

TEST(Multipart, EachThingThatIsWrongIsNamed) {
  const std::string end = "--XX--\r\n";
  EXPECT_EQ(refusal("", "text/plain"), "its Content-Type is not multipart/form-data");
  EXPECT_EQ(refusal("", "multipart/form-data"), "its Content-Type names no boundary");
  EXPECT_EQ(refusal("", "multipart/form-data; boundary=a; boundary=b"),
            "its Content-Type names two boundaries");
  EXPECT_EQ(refusal("", "multipart/form-data; boundary=\"a"), "its Content-Type cannot be read");
  for (const std::string& boundary :
       {std::string("\"\""), std::string("\"a \""), std::string("\"a\r\""), std::string(71, 'a')}) {
    EXPECT_EQ(refusal("", "multipart/form-data; boundary=" + boundary),
              "its boundary must be 1 to 70 of the characters of RFC 2046")
        << boundary;
  }
  EXPECT_EQ(refusal(""), "it does not begin with its boundary");
  EXPECT_EQ(refusal("x--XX\r\n"), "it does not begin with its boundary");
  EXPECT_EQ(refusal("--XXY\r\n"), "the boundary stands in a line that is no delimiter");
  EXPECT_EQ(refusal(named("a", "1\r\n--XXL\r\n2") + end),
            "the boundary stands in a line that is no delimiter");
  EXPECT_EQ(refusal(named("a", "1")), "its last part is not closed by the boundary");
  EXPECT_EQ(refusal("--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1"),
            "its last part is not closed by the boundary");
  EXPECT_EQ(refusal(named("a", "1") + named("a", "2") + end), "two parts are named 'a'");
  EXPECT_EQ(refusal(named("", "1") + end), "a part has no name");
  EXPECT_EQ(refusal(part("Content-Type: text/plain", "1") + end),
            "a part has no Content-Disposition");
  EXPECT_EQ(refusal(part("Content-Disposition: attachment; name=a", "1") + end),
            "a part's Content-Disposition is not form-data");
  EXPECT_EQ(refusal(part("Content-Disposition: form-data; name=a; name=b", "1") + end),
            "a part has two names");
  EXPECT_EQ(refusal(part("Content-Disposition: form-data; name=\"a", "1") + end),
            "a part's Content-Disposition cannot be read");
  EXPECT_EQ(refusal(part("no colon", "1") + end), "a line of a part's head is not `Name: value`");
  EXPECT_EQ(
      refusal(
          part("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64", "1") +
          end),
      "a part is encoded for transfer: send its bytes as they are");
}

TEST(Multipart, EachLimitHolds) {
  std::string body;
  for (std::size_t i = 0; i < kFormPartsMax; ++i) body += named("p" + std::to_string(i), "1");
  EXPECT_EQ(refusal(body + "--XX--\r\n"), "none");
  EXPECT_EQ(refusal(body + named("more", "1") + "--XX--\r\n"), "it has more than 16 parts");
  EXPECT_EQ(refusal(part("X: " + std::string(kFormPartHeadBytesMax, 'x'), "1") + "--XX--\r\n"),
            "a part's head does not end within 8192 bytes");
}

}  // namespace
}  // namespace seam::http
