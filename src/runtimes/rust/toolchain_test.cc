#include "runtimes/rust/toolchain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "process/spawner_fixture.h"

namespace seam::runtimes {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class ToolchainTest : public testing::Test {
 protected:
  std::string make(const std::string& path, bool program = false) const {
    const fs::path whole = fs::path(folder_.path()) / path;
    fs::create_directories(whole.parent_path());
    std::ofstream(whole) << "#!/bin/sh\n";
    if (program) fs::permissions(whole, fs::perms::owner_all);
    return whole.string();
  }
  [[nodiscard]] Result<RustToolchain> find() const {
    return find_rust_toolchain(std::vector<std::string>{folder_.path()});
  }
  process::TestFolder folder_;
};

TEST_F(ToolchainTest, PrefersTheNewerTargetAndTheToolchainsOwnLinker) {
  make("bin/rustc", true);
  make("lib/rustlib/wasm32-wasi/lib/libstd-1.rlib");
  const std::string linker = make("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld", true);
  ASSERT_TRUE(find().has_value()) << find().error().message;
  EXPECT_EQ(find()->target, "wasm32-wasi");
  EXPECT_EQ(find()->linker, linker);
  make("lib/rustlib/wasm32-wasip1/lib/libstd-2.rlib");
  EXPECT_EQ(find()->target, "wasm32-wasip1");
  EXPECT_EQ(find()->folder, folder_.path());
}

TEST_F(ToolchainTest, SaysWhatIsMissingAndWhatToDo) {
  EXPECT_EQ(find().error().code, ErrorCode::kNotFound);
  EXPECT_THAT(find().error().message, HasSubstr("there is no " + folder_.path() + "/bin/rustc"));
  EXPECT_THAT(find().error().message, HasSubstr("libstd-rust-dev-wasm32"));
  make("bin/rustc", true);
  fs::create_directories(folder_.path() + "/lib/rustlib/wasm32-wasip1/lib");
  EXPECT_THAT(find().error().message, HasSubstr("no standard library for wasm32-wasip1 or"));
}

TEST_F(ToolchainTest, LooksInOneAfterTheOther) {
  const auto found =
      find_rust_toolchain(std::vector<std::string>{folder_.path(), SEAM_RUST_TOOLCHAIN});
  ASSERT_TRUE(found.has_value()) << found.error().message;
  EXPECT_EQ(found->folder, SEAM_RUST_TOOLCHAIN);
}

}  // namespace
}  // namespace seam::runtimes
