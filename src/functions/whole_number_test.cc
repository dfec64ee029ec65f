#include "functions/whole_number.h"

#include <gtest/gtest.h>

namespace seam::functions {
namespace {

TEST(WholeNumber, HoweverItIsWritten) {
  EXPECT_EQ(whole_number("3"), 3);
  EXPECT_EQ(whole_number("753.0"), 753);
  EXPECT_EQ(whole_number("-3.00"), -3);
  EXPECT_EQ(whole_number("75e1"), 750);
  EXPECT_EQ(whole_number("9223372036854775807"), 9223372036854775807);
}

TEST(WholeNumber, NoneOfThese) {
  for (const char* text : {"3.5", "1e-1", "9223372036854775808", "1e300", "1e999", "\"3\"", "true",
                           "null", "{}", "", "3 "})
    EXPECT_EQ(whole_number(text), std::nullopt) << text;
}

}  // namespace
}  // namespace seam::functions
