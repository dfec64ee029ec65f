#include "wasm/shared_library.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace seam::wasm {
namespace {

using testing::HasSubstr;

// The file that the C library's own `name` lies in; one that no sanitizer has a version of.
std::filesystem::path file_of(const char* name) {
  Dl_info info{};
  EXPECT_NE(::dladdr(::dlsym(RTLD_DEFAULT, name), &info), 0);
  return std::filesystem::canonical(info.dli_fname);
}

TEST(SharedLibrary, GivesTheFunctionsOfTheFile) {
  const auto library = SharedLibrary::open(file_of("abs"));
  ASSERT_TRUE(library) << library.error().message;
  const auto absolute = library->function<int(int)>("abs");
  ASSERT_TRUE(absolute) << absolute.error().message;
  EXPECT_EQ((*absolute)(-7), 7);
}

TEST(SharedLibrary, AMissingFileIsRuntimeNotFound) {
  const auto library = SharedLibrary::open(engine_library("/nowhere", "wasmi"));
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().code, ErrorCode::kRuntimeNotFound);
  EXPECT_THAT(library.error().message, HasSubstr("/nowhere/libseam_wasmi.so"));
  EXPECT_THAT(library.error().message, HasSubstr("./dev setup"));
}

TEST(SharedLibrary, ARelativeFileIsRuntimeNotFound) {
  const auto library = SharedLibrary::open(engine_library({}, "wasmi"));
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().code, ErrorCode::kRuntimeNotFound);
  EXPECT_THAT(library.error().message, HasSubstr("'libseam_wasmi.so'"));
}

TEST(SharedLibrary, AMissingFunctionIsRuntimeNotFound) {
  const auto library = SharedLibrary::open(file_of("abs"));
  ASSERT_TRUE(library);
  const auto function = library->function<void()>("no_such_function_anywhere");
  ASSERT_FALSE(function);
  EXPECT_EQ(function.error().code, ErrorCode::kRuntimeNotFound);
  EXPECT_THAT(function.error().message, HasSubstr("does not offer no_such_function_anywhere"));
}

}  // namespace
}  // namespace seam::wasm
