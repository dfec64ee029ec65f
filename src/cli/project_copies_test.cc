#include "cli/project_copies.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

namespace seam::cli {
namespace {

namespace fs = std::filesystem;

class ProjectCopiesTest : public testing::Test {
 protected:
  ProjectCopiesTest() {
    char name[] = "/tmp/seam-copies-XXXXXX";
    outer_ = ::mkdtemp(name);
    fs::create_directory(outer_ / "project");
    fs::create_directory(outer_ / "copies");
    copies_ = std::make_unique<ProjectCopies>((outer_ / "copies").string());
  }
  ~ProjectCopiesTest() override { fs::remove_all(outer_); }

  void write(const std::string& name, const std::string& text) {
    const fs::path path = outer_ / "project" / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  [[nodiscard]] Result<packages::FolderPtr> take() {
    std::vector<packages::ArchiveFile> files;
    const fs::path project = outer_ / "project";
    for (const auto& each : fs::recursive_directory_iterator(project)) {
      if (!each.is_directory() || each.is_symlink())
        files.push_back({.path = each.path().lexically_relative(project).string(),
                         .from = each.path().string()});
    }
    return copies_->take(files);
  }
  [[nodiscard]] static std::string text(const packages::FolderPtr& folder,
                                        const std::string& name) {
    std::ifstream file(*folder + "/" + name);
    return file ? std::string(std::istreambuf_iterator<char>(file), {}) : "(missing)";
  }
  [[nodiscard]] static ino_t inode(const packages::FolderPtr& folder, const std::string& name) {
    struct stat status{};
    return ::stat((*folder + "/" + name).c_str(), &status) == 0 ? status.st_ino : 0;
  }
  [[nodiscard]] std::string refusal() {
    const Result<packages::FolderPtr> folder = take();
    return folder ? "none" : folder.error().message;
  }

  fs::path outer_;
  std::unique_ptr<ProjectCopies> copies_;
};

TEST_F(ProjectCopiesTest, ACopyIsWholeAndKeepsWhatItHad) {
  write("index.js", "one");
  write("lib/deep/word.js", "same");
  const auto first = take();
  ASSERT_TRUE(first) << first.error().message;
  write("index.js", "two");
  const auto second = take();
  ASSERT_TRUE(second);
  EXPECT_EQ(text(*first, "index.js"), "one");
  EXPECT_EQ(text(*second, "index.js"), "two");
  EXPECT_EQ(text(*second, "lib/deep/word.js"), "same");
  EXPECT_EQ(inode(*first, "lib/deep/word.js"), inode(*second, "lib/deep/word.js"));  // no copy
  EXPECT_NE(inode(*first, "index.js"), inode(*second, "index.js"));
}

TEST_F(ProjectCopiesTest, WhatIsWrittenIntoAFileDoesNotReachItsCopy) {
  write("index.js", "one");
  const auto first = take();
  std::ofstream(outer_ / "project/index.js", std::ios::app) << " and more";
  EXPECT_EQ(text(*first, "index.js"), "one");
}

TEST_F(ProjectCopiesTest, TheSameFilesAreTheSameFolder) {
  write("index.js", "one");
  const auto first = take();
  EXPECT_EQ(*take(), *first);
  write("index.js", "one");  // new times, the same bytes
  EXPECT_EQ(*take(), *first);
  write("index.js", "two");
  EXPECT_NE(*take(), *first);
}

TEST_F(ProjectCopiesTest, FilesThatComeOrGoAreAChange) {
  write("index.js", "one");
  write("other.js", "x");
  const auto first = take();
  fs::remove(outer_ / "project/other.js");
  const auto second = take();
  EXPECT_NE(*second, *first);
  EXPECT_EQ(text(*second, "other.js"), "(missing)");
  fs::rename(outer_ / "project/index.js", outer_ / "project/main.js");
  const auto third = take();
  EXPECT_EQ(text(*third, "main.js"), "one");
  EXPECT_EQ(text(*third, "index.js"), "(missing)");
}

TEST_F(ProjectCopiesTest, ModesAreThoseOfAnArchive) {
  write("run.sh", "x");
  fs::permissions(outer_ / "project/run.sh", fs::perms(0600));
  const auto first = take();
  EXPECT_EQ(fs::status(**first + "/run.sh").permissions(), fs::perms(0644));
  fs::permissions(outer_ / "project/run.sh", fs::perms(0700));
  const auto second = take();
  EXPECT_NE(*second, *first);
  EXPECT_EQ(fs::status(**second + "/run.sh").permissions(), fs::perms(0755));
  EXPECT_EQ(fs::status(**first + "/run.sh").permissions(), fs::perms(0644));
}

TEST_F(ProjectCopiesTest, LinksStayLinksAndMayNotLeave) {
  write("lib/real.js", "real");
  fs::create_symlink("lib/real.js", outer_ / "project/index.js");
  const auto first = take();
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(fs::read_symlink(**first + "/index.js"), "lib/real.js");
  EXPECT_EQ(*take(), *first);
  fs::create_symlink("../../secret", outer_ / "project/out");
  EXPECT_EQ(refusal(),
            "out is a link to ../../secret, which leaves the project: put the file itself there");
  fs::remove(outer_ / "project/out");
  fs::create_symlink("/etc/passwd", outer_ / "project/out");
  EXPECT_EQ(refusal(),
            "out is a link to /etc/passwd, which leaves the project: put the file itself there");
}

TEST_F(ProjectCopiesTest, WhatIsNoFileIsRefused) {
  ASSERT_EQ(::mkfifo((outer_ / "project/pipe").c_str(), 0600), 0);
  EXPECT_EQ(refusal(), "pipe is neither a file nor a link: leave it out by .seamignore");
}

TEST_F(ProjectCopiesTest, ItHasTheLimitsOfAnArchive) {
  copies_ = std::make_unique<ProjectCopies>(
      (outer_ / "copies").string(), packages::ArchiveLimits{.bytes_max = 10, .entries_max = 2});
  write("a", "12345");
  write("b", "12345");
  EXPECT_EQ(refusal(), "none");
  write("b", "123456");
  EXPECT_EQ(refusal(),
            "the project has 2 files with 11 bytes: at most 2 with 10 are taken. Leave some out by "
            ".seamignore");
  write("b", "");
  write("c", "");
  EXPECT_EQ(refusal(),
            "the project has 3 files with 5 bytes: at most 2 with 10 are taken. Leave some out by "
            ".seamignore");
}

TEST_F(ProjectCopiesTest, WhatNobodyHoldsIsCollected) {
  write("index.js", "one");
  auto first = *take();
  write("index.js", "two");
  auto second = *take();
  copies_->collect();
  EXPECT_EQ(text(first, "index.js"), "one");
  const std::string path = *first;
  first.reset();
  copies_->collect();
  EXPECT_FALSE(fs::exists(path));
  EXPECT_EQ(text(second, "index.js"), "two");
}

}  // namespace
}  // namespace seam::cli
