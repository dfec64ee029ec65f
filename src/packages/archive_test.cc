// Archives that tar itself writes, and some that it never would, made of headers by hand.
#include "packages/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "packages/utf8_locale.h"

namespace seam::packages {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/seam-packages-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::string& text) const {
    const fs::path file = fs::path(path_) / name;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
    return file;
  }

 private:
  std::string path_;
};

struct Entry {
  std::string path;
  std::string content = {};
  std::string link = {};  // a symbolic link's target
  std::string hard = {};  // a hard link's
  unsigned type = AE_IFREG;
  unsigned mode = 0644;
};

std::string tar_gz(const std::vector<Entry>& entries) {
  const Utf8Locale utf8;
  std::string out(1U << 20U, '\0');
  archive* writer = ::archive_write_new();
  ::archive_write_set_format_pax(writer);
  ::archive_write_add_filter_gzip(writer);
  size_t used = 0;
  std::size_t content = 0;
  for (const Entry& each : entries) content += each.content.size() + 4096;
  out.resize(content + (1U << 16U));
  EXPECT_EQ(::archive_write_open_memory(writer, out.data(), out.size(), &used), ARCHIVE_OK);
  for (const Entry& each : entries) {
    archive_entry* entry = ::archive_entry_new();
    ::archive_entry_set_pathname_utf8(entry, each.path.c_str());
    ::archive_entry_set_filetype(entry, each.link.empty() ? each.type : AE_IFLNK);
    ::archive_entry_set_perm(entry, each.mode);
    ::archive_entry_set_size(entry, static_cast<la_int64_t>(each.content.size()));
    if (!each.link.empty()) ::archive_entry_set_symlink(entry, each.link.c_str());
    if (!each.hard.empty()) ::archive_entry_set_hardlink_utf8(entry, each.hard.c_str());
    EXPECT_GE(::archive_write_header(writer, entry), ARCHIVE_WARN)
        << ::archive_error_string(writer);
    ::archive_write_data(writer, each.content.data(), each.content.size());
    ::archive_entry_free(entry);
  }
  ::archive_write_close(writer);
  ::archive_write_free(writer);
  out.resize(used);
  return out;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Error refusal_of(const std::vector<Entry>& entries, const ArchiveLimits& limits = {}) {
  const Folder outer;
  const std::string folder = outer.path() + "/in";
  ::mkdir(folder.c_str(), 0755);
  const Result<ArchiveSize> size = unpack_archive(tar_gz(entries), folder, limits);
  EXPECT_FALSE(size.has_value());
  // Whatever was wrong, nothing came to lie beside the folder.
  EXPECT_EQ(std::distance(fs::directory_iterator(outer.path()), fs::directory_iterator()), 1);
  return size ? Error{} : size.error();
}

TEST(Archive, FilesFoldersAndLinksWithinAreUnpackedWithPlainModes) {
  const Folder folder;
  const std::string packed = tar_gz({{.path = "./", .type = AE_IFDIR, .mode = 0700},
                                     {.path = "index.js", .content = "1", .mode = 04600},
                                     {.path = "bin/run", .content = "#!", .mode = 0700},
                                     {.path = "lib/", .type = AE_IFDIR, .mode = 0},
                                     {.path = "lib/na\u00efve.txt", .content = "text"},
                                     {.path = "lib/copy.txt", .hard = "lib/na\u00efve.txt"},
                                     {.path = "node_modules/.bin/run", .link = "../../bin/run"},
                                     {.path = "gone", .link = "not/there"}});
  const Result<ArchiveSize> size = unpack_archive(packed, folder.path(), {});
  ASSERT_TRUE(size.has_value()) << size.error().message;
  EXPECT_EQ(size->bytes, 1U + 2 + 4 + 4);
  const Result<ArchiveSize> measured = measure_folder(folder.path());
  ASSERT_TRUE(measured.has_value());
  EXPECT_EQ(*measured, *size);
  const auto mode = [&](const char* name) {
    struct stat status{};
    EXPECT_EQ(::lstat((folder.path() + "/" + name).c_str(), &status), 0) << name;
    return status.st_mode & 07777U;
  };
  EXPECT_EQ(mode("index.js"), 0644U);
  EXPECT_EQ(mode("bin/run"), 0755U);
  EXPECT_EQ(mode("bin"), 0755U);
  EXPECT_EQ(mode("lib"), 0755U);
  EXPECT_EQ(read(folder.path() + "/lib/na\u00efve.txt"), "text");
  EXPECT_EQ(read(folder.path() + "/lib/copy.txt"), "text");
  EXPECT_EQ(read(folder.path() + "/node_modules/.bin/run"), "#!");
}

TEST(Archive, PathsThatLeadOutAreRefused) {
  EXPECT_EQ(refusal_of({{.path = "../x"}}).message,
            "the archive's '../x' has a path that leads out of the archive");
  EXPECT_EQ(refusal_of({{.path = "a/../../x"}}).message,
            "the archive's 'a/../../x' has a path that leads out of the archive");
  EXPECT_EQ(refusal_of({{.path = "/etc/x"}}).message,
            "the archive's '/etc/x' has an absolute path: pack with paths below the project");
  EXPECT_EQ(refusal_of({{.path = "a//x"}}).message,
            "the archive's 'a//x' has a path with an empty part");
  EXPECT_EQ(refusal_of({{.path = "a\nb"}}).message,
            "the archive's 'a?b' has a control character in its path");
  EXPECT_EQ(refusal_of({{.path = std::string(256, 'n')}}).code, ErrorCode::kInvalidArgument);
  std::string deep;
  for (int i = 0; i < 600; ++i) deep += "d/";
  EXPECT_EQ(refusal_of({{.path = deep + "x"}}).code, ErrorCode::kInvalidArgument);
}

TEST(Archive, LinksThatLeadOutAreRefused) {
  for (const char* target : {"/etc/passwd", "..", "../x", "a/../../x", "a/.."}) {
    EXPECT_EQ(refusal_of({{.path = "l", .link = target}}).message,
              "the archive's 'l' is a link that leads out of the archive")
        << target;
  }
  EXPECT_EQ(refusal_of({{.path = "a/b/l", .link = "../../../x"}}).code,
            ErrorCode::kInvalidArgument);
  // Each for itself stays within; one through the other would not.
  EXPECT_EQ(refusal_of({{.path = "a/b/c/f", .content = "x"},
                        {.path = "d", .link = "a/b/c"},
                        {.path = "x/y/up", .link = "../../d/../../../.."}})
                .code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal_of({{.path = "e", .hard = "../../etc/passwd"}}).code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal_of({{.path = "e", .hard = "not/there"}}).message,
            "the archive's 'e' is a link to a file that does not come before it");
}

TEST(Archive, NothingIsWrittenThroughALink) {
  EXPECT_EQ(refusal_of({{.path = "d", .link = "e"},
                        {.path = "e/f", .content = "1"},
                        {.path = "d/f", .content = "2"}})
                .message,
            "the archive's 'd' is there twice");
  EXPECT_EQ(refusal_of({{.path = "f", .content = "1"}, {.path = "f/g", .content = "2"}}).code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(refusal_of({{.path = "f", .content = "1"}, {.path = "f", .content = "2"}}).message,
            "the archive's 'f' is there twice");
}

TEST(Archive, DevicesAndPipesAreRefused) {
  for (const unsigned type : {AE_IFIFO, AE_IFCHR, AE_IFBLK}) {
    EXPECT_EQ(
        refusal_of({{.path = "d", .type = type}}).message,
        "the archive's 'd' is a device, a pipe or a socket: only files, folders and links are "
        "taken");
  }
}

TEST(Archive, EachLimitHolds) {
  const std::vector<Entry> three{{.path = "a", .content = "12"}, {.path = "b/c", .content = "34"}};
  EXPECT_EQ(refusal_of(three, {.entries_max = 2}).code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(refusal_of(three, {.bytes_max = 3}).code, ErrorCode::kResourceExhausted);
  const Folder folder;
  EXPECT_TRUE(
      unpack_archive(tar_gz(three), folder.path(), {.bytes_max = 4, .entries_max = 3}).has_value());
  // One folder again and again is one entry, and still ends.
  std::vector<Entry> again(9, {.path = "d", .type = AE_IFDIR});
  EXPECT_EQ(refusal_of(again, {.entries_max = 4}).code, ErrorCode::kResourceExhausted);
}

TEST(Archive, ABombIsToldByItsRatioLongBeforeItsSize) {
  const std::vector<Entry> bomb{{.path = "zeros", .content = std::string(48U << 20U, '\0')}};
  const Error error = refusal_of(bomb);
  EXPECT_EQ(error.code, ErrorCode::kResourceExhausted);
  EXPECT_NE(error.message.find("unpacks to more than 200 times"), std::string::npos)
      << error.message;
}

TEST(Archive, WhatIsNoArchiveOrIsCutOffIsRefused) {
  EXPECT_FALSE(is_archive("return 1;"));
  EXPECT_FALSE(is_archive(""));
  const std::string packed = tar_gz({{.path = "a", .content = std::string(100'000, 'x') + "end"}});
  EXPECT_TRUE(is_archive(packed));
  for (const std::size_t kept : {std::size_t{3}, std::size_t{12}, packed.size() / 2}) {
    const Folder folder;
    const auto size = unpack_archive(packed.substr(0, kept), folder.path(), {});
    ASSERT_FALSE(size.has_value()) << kept;
    EXPECT_EQ(size.error().code, ErrorCode::kInvalidArgument);
  }
  const Folder folder;
  EXPECT_EQ(unpack_archive(tar_gz({}), folder.path(), {}).error().message,
            "the archive holds no files");
}

TEST(Archive, PackingIsTheSameForTheSameFilesWhateverTheirTimesAndOrder) {
  const Folder folder;
  std::vector<ArchiveFile> files;
  for (const char* name : {"b.js", "a/na\u00efve.js", "a.js"})
    files.push_back({name, folder.write(name, name)});
  fs::create_symlink("../a.js", folder.path() + "/a/link");
  files.push_back({"a/link", folder.path() + "/a/link"});
  ::chmod((folder.path() + "/b.js").c_str(), 0700);
  const Result<std::string> first = pack_archive(files, 1U << 20U);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  for (const ArchiveFile& file : files) {
    const timespec times[2] = {{1'000'000, 5}, {2'000'000, 7}};
    ::utimensat(AT_FDCWD, file.from.c_str(), times, AT_SYMLINK_NOFOLLOW);
  }
  std::ranges::reverse(files);
  const Result<std::string> second = pack_archive(files, 1U << 20U);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(*first, *second);

  const Folder out;
  const Result<ArchiveSize> size = unpack_archive(*first, out.path(), {});
  ASSERT_TRUE(size.has_value()) << size.error().message;
  EXPECT_EQ(read(out.path() + "/a/link"), "a.js");
  EXPECT_EQ(read(out.path() + "/a/na\u00efve.js"), "a/na\u00efve.js");
  EXPECT_EQ(::access((out.path() + "/b.js").c_str(), X_OK), 0);
}

TEST(Archive, PackingStopsAtItsLimitAndNamesWhatItCannotRead) {
  const Folder folder;
  const std::string file = folder.write("f", std::string(1000, 'x'));
  EXPECT_EQ(pack_archive({{"f", file}}, 20).error().code, ErrorCode::kResourceExhausted);
  const Result<std::string> missing = pack_archive({{"g", folder.path() + "/g"}}, 1000);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace seam::packages
