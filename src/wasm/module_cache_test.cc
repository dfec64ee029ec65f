#include "wasm/module_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/identifier.h"

namespace seam::wasm {
namespace {

namespace fs = std::filesystem;

class ModuleCacheTest : public testing::Test {
 protected:
  ModuleCacheTest() : folder_(fs::temp_directory_path() / ("seam-cache-" + random_uuid())) {}
  ~ModuleCacheTest() override { fs::remove_all(folder_); }

  ModuleCache open(std::uint64_t bytes_max = 1 << 20) {
    return *ModuleCache::open(folder_, bytes_max);
  }
  fs::path only_file() const { return fs::directory_iterator(folder_)->path(); }

  fs::path folder_;
};

const std::string kHash(64, 'a');

TEST_F(ModuleCacheTest, GivesBackWhatItKept) {
  const std::string code("machine\0code", 12);
  EXPECT_FALSE(open().find("engine-1", kHash));
  EXPECT_TRUE(open().keep("engine-1", kHash, code));
  EXPECT_EQ(open().find("engine-1", kHash), code);
  EXPECT_FALSE(open().find("engine-2", kHash));
  EXPECT_FALSE(open().find("engine-1", std::string(64, 'b')));
  EXPECT_EQ(fs::status(folder_).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(only_file()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(ModuleCacheTest, ATornOrChangedFileIsAsIfItWereNotThere) {
  const std::string code = "some machine code";
  ASSERT_TRUE(open().keep("engine", kHash, code));
  const auto whole = fs::file_size(only_file());
  for (std::uintmax_t size = 0; size < whole; ++size) {
    fs::resize_file(only_file(), size);
    EXPECT_FALSE(open().find("engine", kHash)) << size;
    ASSERT_TRUE(open().keep("engine", kHash, code));
  }
  {
    std::fstream file(only_file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('E');
  }
  EXPECT_FALSE(open().find("engine", kHash));
  ASSERT_TRUE(open().keep("engine", kHash, code));
  EXPECT_EQ(open().find("engine", kHash), code);
}

TEST_F(ModuleCacheTest, AFileOfAnotherEngineUnderThisNameIsNotTaken) {
  ASSERT_TRUE(open().keep("engine-1", kHash, "code"));
  const fs::path first = only_file();
  ASSERT_TRUE(open().keep("engine-2", kHash, "other"));
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (entry.path() != first)
      fs::copy_file(entry.path(), first, fs::copy_options::overwrite_existing);
  }
  EXPECT_FALSE(open().find("engine-1", kHash));
}

TEST_F(ModuleCacheTest, AFileThatOthersMayTouchIsNotTaken) {
  ASSERT_TRUE(open().keep("engine", kHash, "code"));
  fs::permissions(only_file(), fs::perms::group_write, fs::perm_options::add);
  EXPECT_FALSE(open().find("engine", kHash));
}

TEST_F(ModuleCacheTest, ALinkIsNotFollowed) {
  ASSERT_TRUE(open().keep("engine", kHash, "code"));
  const fs::path elsewhere = folder_.string() + ".elsewhere";
  const fs::path file = only_file();
  fs::rename(file, elsewhere);
  fs::create_symlink(elsewhere, file);
  EXPECT_FALSE(open().find("engine", kHash));
  fs::remove(elsewhere);
}

TEST_F(ModuleCacheTest, AFolderThatOthersMayTouchIsRefused) {
  fs::create_directories(folder_);
  fs::permissions(folder_, fs::perms::owner_all | fs::perms::others_write | fs::perms::others_exec);
  const auto cache = ModuleCache::open(folder_, 1000);
  ASSERT_FALSE(cache);
  EXPECT_EQ(cache.error().code, seam::ErrorCode::kFailedPrecondition);
}

TEST_F(ModuleCacheTest, TheOldestFilesGoFirst) {
  const ModuleCache cache = open(1000);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(
        cache.keep("engine", std::string(64, static_cast<char>('a' + i)), std::string(300, 'x')));
  }
  EXPECT_FALSE(cache.find("engine", std::string(64, 'a')));
  EXPECT_TRUE(cache.find("engine", std::string(64, 'e')));
}

}  // namespace
}  // namespace seam::wasm
