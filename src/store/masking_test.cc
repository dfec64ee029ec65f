#include "store/masking.h"

#include <gtest/gtest.h>

#include <random>

#include "base/json_text.h"

namespace seam::store {
namespace {

std::string mask(std::string_view json, std::size_t bytes_max = 4096) {
  std::string out;
  mask_secrets(json, bytes_max, out);
  return out;
}

TEST(MaskingTest, MasksValuesOfEveryKindAtAnyDepth) {
  EXPECT_EQ(mask(R"({"user":"bob","apiKey":"k1","a":1})"),
            R"({"user":"bob","apiKey":"***","a":1})");
  EXPECT_EQ(mask(R"({"a":[{"password" : 12 , "b":[]},{"X-Auth-Token":{"t":[1,"}"]}}],"c":3.0})"),
            R"({"a":[{"password" : "***" , "b":[]},{"X-Auth-Token":"***"}],"c":3.0})");
  EXPECT_EQ(mask(R"({"cookie":null,"client_secret":true,"x":"\"token\":1"})"),
            R"({"cookie":"***","client_secret":"***","x":"\"token\":1"})");
  EXPECT_EQ(mask(R"({"secret":[1,2],"z":{"private_key":"a\"b"}})"),
            R"({"secret":"***","z":{"private_key":"***"}})");
  EXPECT_EQ(mask(R"({"token":1})"), R"({"token":"***"})");
}

TEST(MaskingTest, NamesAreReadWithoutCaseDashAndEscapes) {
  for (const char* name :
       {"password", "PassWord", "db_pass-word", "passwd", "SECRET", "accessToken", "Authorization",
        "api_key", "API-Key", "apikey", "aws_access_key_id", "privateKey", "credentials",
        "set-cookie", R"(p\u0061ssword)", R"(\u0074oken)", R"(x\ntoken)"}) {
    EXPECT_TRUE(is_secret_name(name)) << name;
  }
  for (const char* name : {"", "pass", "user", "key", "toke", "to ken", "monkey", "author",
                           R"(tok\u00e9n)", R"(\u)", "\\", R"(tok\nen)", R"(\u00zzoken)"}) {
    EXPECT_FALSE(is_secret_name(name)) << name;
  }
}

TEST(MaskingTest, StringsThatAreNoNamesStay) {
  for (const char* text :
       {R"("token")", R"(["token","password"])", R"({"a":"token"})", "", "null", "12"}) {
    EXPECT_EQ(mask(text), text);
  }
}

TEST(MaskingTest, CutTextIsMaskedToItsEnd) {
  EXPECT_EQ(mask(R"({"token":"abc)"), R"({"token":"***")");
  EXPECT_EQ(mask(R"({"token":{"a":"b)"), R"({"token":"***")");
  EXPECT_EQ(mask(R"({"token":)"), R"({"token":)");
  EXPECT_EQ(mask(R"({"tok)"), R"({"tok)");
}

TEST(MaskingTest, StopsAtTheLimitBetweenCharacters) {
  EXPECT_EQ(mask(R"({"a":"éé"})", 7), R"({"a":")"
                                      "");
  EXPECT_EQ(mask(R"({"a":"éé"})", 8), R"({"a":"é)");
  EXPECT_EQ(mask(R"({"token":"abcdef","b":1})", 12), R"({"token":"**)");
  EXPECT_EQ(mask(R"({"token":"abcdef","b":1})", 0), "");
  // A value that is longer than the limit itself hides nothing of what follows it.
  const std::string json = R"({"token":")" + std::string(10'000, 's') + R"(","b":1})";
  EXPECT_EQ(mask(json, 20), R"({"token":"***","b":1)");
}

// Goal: for any limit, the secret is not in the output and the rest is a prefix of the whole.
TEST(MaskingTest, EveryLimitGivesAPrefix) {
  const std::string json = R"({"a":"é€","password":"hunter2","b":[{"token":"hunter2"}],"c":"𝄞"})";
  const std::string whole = mask(json);
  EXPECT_TRUE(check_json(whole).has_value());
  for (std::size_t limit = 0; limit <= json.size(); ++limit) {
    const std::string part = mask(json, limit);
    EXPECT_LE(part.size(), limit);
    EXPECT_TRUE(whole.starts_with(part));
    EXPECT_EQ(part.find("hunter2"), std::string::npos);
    EXPECT_EQ(mask(json.substr(0, limit)).find("hunter"), std::string::npos);
  }
}

}  // namespace
}  // namespace seam::store
