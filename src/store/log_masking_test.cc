#include "store/log_masking.h"

#include <gtest/gtest.h>

namespace seam::store {
namespace {

TEST(LogMaskingTest, SecretsGoAndTheRestStays) {
  const std::pair<const char*, const char*> cases[] = {
      {"", ""},
      {"listening on http://127.0.0.1:8080", "listening on http://127.0.0.1:8080"},
      {"SIGTERM: waiting up to 30 s (again: stop)", "SIGTERM: waiting up to 30 s (again: stop)"},
      {"postgres://bob:hunter2@db/x and http://a:b@c",
       "postgres://bob:***@db/x and http://a:***@c"},
      {"redis://:pw@cache", "redis://:***@cache"},
      {"token=abc&user=bob API_KEY=k1;x", "token=***&user=bob API_KEY=***;x"},
      {"Authorization: Bearer abc.def-g then", "Authorization: Bearer *** then"},
      {"authorization: Basic dXNlcg==, x", "authorization: Basic ***, x"},
      {"sent bearer abc", "sent bearer ***"},
      {"Cookie: a=b", "Cookie: ***"},
      {R"(bad row {"user":"bob","password":"p w"})", R"(bad row {"user":"bob","password":"***"})"},
      {"password=", "password="},
      {"password: ", "password: "},
      {"Bearer ", "Bearer "},
      {"a://", "a://"},
  };
  for (const auto& [line, masked] : cases) EXPECT_EQ(mask_log_line(line), masked) << line;
}

}  // namespace
}  // namespace seam::store
