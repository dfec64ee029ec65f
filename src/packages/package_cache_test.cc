#include "packages/package_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "base/identifier.h"

namespace seam::packages {
namespace {

namespace fs = std::filesystem;

class PackageCacheTest : public testing::Test {
 protected:
  PackageCacheTest() : loop_("test") {
    char name[] = "/tmp/seam-packages-XXXXXX";
    path_ = ::mkdtemp(name);
    std::ofstream(path_ + "/index.js") << "module.exports = 1;";
    content_ = *pack_archive({{"lib/index.js", path_ + "/index.js"}}, 1U << 20U);
    hash_ = sha256_hex(content_);
    open();
  }
  ~PackageCacheTest() override {
    cache_.reset();
    fs::remove_all(path_);
  }

  void open() {
    cache_.reset();
    auto cache = PackageCache::open({.folder = path_ + "/packages"});
    ASSERT_TRUE(cache.has_value()) << cache.error().message;
    cache_ = *std::move(cache);
  }
  template <class T>
  T run(Task<T> task) {
    std::optional<T> value;
    start(std::move(task), [&value](T result) { value.emplace(std::move(result)); });
    while (!value) {
      if (!loop_.poll()) ::usleep(200);
    }
    return *std::move(value);
  }
  // Drives `task` on loop_, so that it has a loop to come back to.
  Task<Result<FolderPtr>> unpack_on_loop(std::string content) {
    co_await loop_.yield();
    Result<FolderPtr> folder = co_await cache_->unpack(sha256_hex(content), content);
    co_return folder;
  }
  Result<FolderPtr> unpack(std::string content) { return run(unpack_on_loop(std::move(content))); }
  Task<bool> keep_on_loop(std::vector<std::string> hashes) {
    co_await loop_.yield();
    co_await cache_->keep_only(std::move(hashes));
    co_return true;
  }
  void keep_only(std::vector<std::string> hashes) { run(keep_on_loop(std::move(hashes))); }
  [[nodiscard]] bool there(const std::string& name) const {
    return fs::exists(path_ + "/packages/" + name);
  }

  EventLoop loop_;
  std::string path_;
  std::string content_;
  std::string hash_;
  std::unique_ptr<PackageCache> cache_;
};

TEST_F(PackageCacheTest, AContentIsUnpackedOnceAndGoesWithItsLastHolder) {
  Result<FolderPtr> first = unpack(content_);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  Result<FolderPtr> second = unpack(content_);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(**first, **second);
  EXPECT_TRUE(fs::exists(**first + "/lib/index.js"));
  struct stat status{};
  ASSERT_EQ(::stat((path_ + "/packages/" + hash_).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  first->reset();
  keep_only({hash_});  // after what the first holder's end had the cache do
  EXPECT_TRUE(there(hash_));
  second->reset();
  keep_only({hash_});
  EXPECT_FALSE(there(hash_));
}

TEST_F(PackageCacheTest, ARestartTakesUpWhatIsThereAndMendsWhatIsNot) {
  FolderPtr folder = *unpack(content_);
  const std::string file = *folder + "/lib/index.js";
  cache_->close();
  folder.reset();
  open();
  ASSERT_TRUE(fs::exists(file));
  struct stat before{};
  ASSERT_EQ(::stat(file.c_str(), &before), 0);
  folder = *unpack(content_);
  struct stat after{};
  ASSERT_EQ(::stat(file.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);

  cache_->close();
  folder.reset();
  fs::resize_file(file, 3);
  open();
  folder = *unpack(content_);
  EXPECT_EQ(fs::file_size(file), 19U);

  cache_->close();
  folder.reset();
  fs::remove_all(path_ + "/packages");
  open();
  folder = *unpack(content_);
  EXPECT_EQ(fs::file_size(file), 19U);
}

TEST_F(PackageCacheTest, AStartRemovesWhatNoVersionNamesAndWhatWasNotFinished) {
  FolderPtr folder = *unpack(content_);
  cache_->close();
  folder.reset();
  fs::create_directories(path_ + "/packages/0b8f5c9e-1c2d-4e3f-8a4b-5c6d7e8f9a0b.new/files");
  fs::create_directories(path_ + "/packages/0b8f5c9e-1c2d-4e3f-8a4b-5c6d7e8f9a0b.gone/files");
  open();
  EXPECT_EQ(std::distance(fs::directory_iterator(path_ + "/packages"), fs::directory_iterator()),
            1);
  keep_only({"another"});
  EXPECT_FALSE(there(hash_));
}

TEST_F(PackageCacheTest, ARefusedArchiveLeavesNothing) {
  const Result<FolderPtr> folder = unpack(content_.substr(0, content_.size() / 2));
  ASSERT_FALSE(folder.has_value());
  EXPECT_EQ(folder.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(fs::is_empty(path_ + "/packages"));
}

}  // namespace
}  // namespace seam::packages
