// Files and directories that a guest was given, call by call, with the error number of each way to
// fail. How paths are resolved is wasi_paths_test.cc's.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <set>

#include "wasm/wasi_testing.h"

namespace seam::wasm {
namespace {

using U32 = std::uint32_t;
using U64 = std::uint64_t;
using I64 = std::int64_t;
using E = WasiErrno;
namespace right = wasi_right;

constexpr WasiRights kAll = ~0ULL;
constexpr U32 kBad = ~0U;  // a pointer outside every memory

// Descriptor 3 is a folder for writing, 4 the same for reading.
class WasiFilesTest : public WasiFixture {
 protected:
  WasiFilesTest() {
    folder_.directory("base/sub");
    folder_.directory("outside");
    folder_.file("outside/secret", "secret");
    folder_.file("base/file", "0123456789");
    folder_.link("../outside", "base/up");
    give(true);
    give(false);
  }

  void give(bool writable) {
    const Result<> given = state_.descriptors.give(
        {.host_path = folder_ / "base", .guest_path = "/data", .writable = writable});
    ASSERT_TRUE(given) << given.error().message;
  }
  template <class... Args>
  E wasi(std::string_view name, Args... args) {
    return static_cast<E>(call(name, args...));
  }
  // Where the next path lies; two of them may be in use.
  U32 path(std::string_view text) {
    path_at_ = path_at_ == 1024 ? 8192 : 1024;
    put_text(path_at_, text);
    return path_at_;
  }
  static U32 size(std::string_view text) { return static_cast<U32>(text.size()); }

  E open(std::string_view name, WasiRights base = kAll, U32 oflags = 0, U32 fdflags = 0,
         U32 lookup = 0, U32 directory = 3, WasiRights inheriting = kAll) {
    const E error = wasi("path_open", directory, lookup, path(name), size(name), oflags, U64{base},
                         U64{inheriting}, fdflags, u(0));
    opened_ = error == E::kSuccess ? at<U32>(0) : kBad;
    return error;
  }
  E write(U32 fd, std::string_view bytes) {
    put_text(200, bytes);
    vector(100, 200, size(bytes));
    return wasi("fd_write", fd, u(100), u(1), u(0));
  }
  // What is read, or the error.
  std::string read(U32 fd, U32 most = 100) {
    vector(100, 200, most);
    const E error = wasi("fd_read", fd, u(100), u(1), u(0));
    return error == E::kSuccess ? text(200, at<U32>(0))
                                : "error " + std::to_string(static_cast<int>(error));
  }
  U64 seek(U32 fd, I64 offset, U32 whence = 0) {
    EXPECT_EQ(wasi("fd_seek", fd, offset, whence, u(0)), E::kSuccess);
    return at<U64>(0);
  }
  WasiRights base_rights(U32 fd) {
    EXPECT_EQ(wasi("fd_fdstat_get", fd, u(0)), E::kSuccess);
    return at<U64>(8);
  }

  // Calls that take a directory and a path.
  E make_directory(std::string_view name, U32 fd = 3) {
    return wasi("path_create_directory", fd, path(name), size(name));
  }
  E remove_directory(std::string_view name, U32 fd = 3) {
    return wasi("path_remove_directory", fd, path(name), size(name));
  }
  E unlink(std::string_view name, U32 fd = 3) {
    return wasi("path_unlink_file", fd, path(name), size(name));
  }
  E rename(std::string_view from, std::string_view to, U32 from_fd = 3, U32 to_fd = 3) {
    const U32 from_at = path(from);
    return wasi("path_rename", from_fd, from_at, size(from), to_fd, path(to), size(to));
  }
  E link(std::string_view from, std::string_view to, U32 flags = 0, U32 from_fd = 3,
         U32 to_fd = 3) {
    const U32 from_at = path(from);
    return wasi("path_link", from_fd, flags, from_at, size(from), to_fd, path(to), size(to));
  }
  E symlink(std::string_view target, std::string_view name, U32 fd = 3) {
    const U32 target_at = path(target);
    return wasi("path_symlink", target_at, size(target), fd, path(name), size(name));
  }
  E readlink(std::string_view name, U32 most = 100) {
    return wasi("path_readlink", u(3), path(name), size(name), u(200), most, u(0));
  }
  E stat(std::string_view name, U32 flags = 0, U32 fd = 3) {
    return wasi("path_filestat_get", fd, flags, path(name), size(name), u(200));
  }
  E set_times(std::string_view name, U64 accessed, U64 modified, U32 which, U32 flags = 0,
              U32 fd = 3) {
    return wasi("path_filestat_set_times", fd, flags, path(name), size(name), accessed, modified,
                which);
  }
  // All names of a directory, read in pieces of `piece` bytes.
  std::multiset<std::string> list(U32 fd, U32 piece) {
    std::multiset<std::string> names;
    for (U64 cookie = 0;;) {
      EXPECT_EQ(wasi("fd_readdir", fd, u(20'000), piece, cookie, u(0)), E::kSuccess);
      const U32 used = at<U32>(0);
      U32 offset = 0;
      while (offset + 24 <= used && offset + 24 + at<U32>(20'000 + offset + 16) <= used) {
        const U32 length = at<U32>(20'000 + offset + 16);
        names.insert(text(20'000 + offset + 24, length));
        cookie = at<U64>(20'000 + offset);
        offset += 24 + length;
      }
      if (used < piece || offset == 0) return names;
    }
  }

  ScratchFolder folder_;
  U32 opened_ = kBad;
  U32 path_at_ = 1024;
};

TEST_F(WasiFilesTest, TellsWhichDirectoriesWereGiven) {
  EXPECT_EQ(wasi("fd_prestat_get", u(3), u(0)), E::kSuccess);
  EXPECT_EQ(at<U32>(0), 0U);
  EXPECT_EQ(at<U32>(4), 5U);
  EXPECT_EQ(wasi("fd_prestat_get", u(3), kBad), E::kFault);
  EXPECT_EQ(wasi("fd_prestat_get", u(5), u(0)), E::kBadf);
  EXPECT_EQ(wasi("fd_prestat_dir_name", u(3), u(50), u(5)), E::kSuccess);
  EXPECT_EQ(text(50, 6), std::string("/data\0", 6));
  EXPECT_EQ(wasi("fd_prestat_dir_name", u(3), u(50), u(9)), E::kSuccess);
  EXPECT_EQ(wasi("fd_prestat_dir_name", u(3), u(50), u(4)), E::kNametoolong);
  EXPECT_EQ(wasi("fd_prestat_dir_name", u(3), kBad, u(5)), E::kFault);
  EXPECT_EQ(wasi("fd_prestat_dir_name", u(5), u(50), u(5)), E::kBadf);
  EXPECT_EQ(open("sub", right::kOfDirectories), E::kSuccess);
  EXPECT_EQ(wasi("fd_prestat_get", opened_, u(0)), E::kBadf);
}

TEST_F(WasiFilesTest, ReadsWritesAndSeeks) {
  ASSERT_EQ(open("file"), E::kSuccess);
  EXPECT_EQ(opened_, 5U);
  EXPECT_EQ(read(5, 4), "0123");
  EXPECT_EQ(read(5, 4), "4567");
  EXPECT_EQ(seek(5, -3, 1), 5U);
  EXPECT_EQ(write(5, "ab"), E::kSuccess);
  EXPECT_EQ(at<U32>(0), 2U);
  EXPECT_EQ(seek(5, 0), 0U);
  EXPECT_EQ(read(5), "01234ab789");
  EXPECT_EQ(read(5), "");
  EXPECT_EQ(seek(5, 10, 2), 20U);
  EXPECT_EQ(wasi("fd_tell", u(5), u(0)), E::kSuccess);
  EXPECT_EQ(at<U64>(0), 20U);
  EXPECT_EQ(wasi("fd_seek", u(5), I64{-1}, u(0), u(0)), E::kInval);
  EXPECT_EQ(wasi("fd_seek", u(5), I64{0}, u(3), u(0)), E::kInval);
  EXPECT_EQ(wasi("fd_seek", u(5), I64{0}, u(0), kBad), E::kFault);
  EXPECT_EQ(wasi("fd_tell", u(5), kBad), E::kFault);
  EXPECT_EQ(wasi("fd_tell", u(3), u(0)), E::kNotcapable);
  EXPECT_EQ(wasi("fd_close", u(5)), E::kSuccess);
  EXPECT_EQ(wasi("fd_tell", u(5), u(0)), E::kBadf);
}

TEST_F(WasiFilesTest, ReadsAndWritesAtAPlaceWithoutMoving) {
  ASSERT_EQ(open("file"), E::kSuccess);
  put_text(200, "xyz");
  vector(100, 200, 1);
  vector(108, 201, 0);
  vector(116, 201, 2);
  EXPECT_EQ(wasi("fd_pwrite", u(5), u(100), u(3), U64{4}, u(0)), E::kSuccess);
  EXPECT_EQ(at<U32>(0), 3U);
  EXPECT_EQ(read(5), "0123xyz789");
  vector(100, 300, 3);
  vector(108, 400, 9);
  EXPECT_EQ(wasi("fd_pread", u(5), u(100), u(2), U64{2}, u(0)), E::kSuccess);
  EXPECT_EQ(at<U32>(0), 8U);
  EXPECT_EQ(text(300, 3) + text(400, 5), "23xyz789");
  EXPECT_EQ(wasi("fd_pread", u(5), u(100), u(2), ~U64{0}, u(0)), E::kInval);
  EXPECT_EQ(wasi("fd_pread", u(5), u(100), u(2), U64{0}, kBad), E::kFault);
  EXPECT_EQ(wasi("fd_pread", u(5), kBad, u(2), U64{0}, u(0)), E::kFault);
  EXPECT_EQ(wasi("fd_pread", u(5), u(100), u(1025), U64{0}, u(0)), E::kInval);
  vector(108, kEnd - 1, 2);
  EXPECT_EQ(wasi("fd_pwrite", u(5), u(100), u(2), U64{0}, u(0)), E::kFault);
  EXPECT_EQ(folder_.content("base/file"), "0123xyz789");
  EXPECT_EQ(wasi("fd_pread", u(3), u(100), u(1), U64{0}, u(0)), E::kBadf);
}

TEST_F(WasiFilesTest, ManyVectorsAreAShortWriteAndEmptyOnesAreNone) {
  ASSERT_EQ(open("new", kAll, kWasiCreat), E::kSuccess);
  put_text(300, "a");
  for (U32 i = 0; i < 1024; ++i) vector(20'000 + i * 8, 300, i < 900 ? 0 : 1);
  EXPECT_EQ(wasi("fd_write", u(5), u(20'000), u(1024), u(0)), E::kSuccess);
  EXPECT_EQ(at<U32>(0), 64U);  // the first that hold something
  EXPECT_EQ(folder_.content("base/new"), std::string(64, 'a'));
  EXPECT_EQ(wasi("fd_write", u(5), u(20'000), u(900), u(0)), E::kSuccess);
  EXPECT_EQ(at<U32>(0), 0U);
}

TEST_F(WasiFilesTest, AReadMayLieOverItsOwnVectors) {
  folder_.file("base/evil", std::string(16, '\xff'));
  ASSERT_EQ(open("evil"), E::kSuccess);
  vector(100, 100, 8);
  vector(108, 300, 8);
  EXPECT_EQ(wasi("fd_read", u(5), u(100), u(2), u(0)), E::kSuccess);
  EXPECT_EQ(at<U32>(0), 16U);
  EXPECT_EQ(text(300, 8), std::string(8, '\xff'));
}

TEST_F(WasiFilesTest, AppendsAndStops) {
  ASSERT_EQ(open("file", kAll, 0, kWasiAppend), E::kSuccess);
  EXPECT_EQ(wasi("fd_fdstat_get", u(5), u(50)), E::kSuccess);
  EXPECT_EQ(at<std::uint8_t>(50), 4);
  EXPECT_EQ(at<std::uint16_t>(52), kWasiAppend);
  EXPECT_EQ(write(5, "end"), E::kSuccess);
  EXPECT_EQ(folder_.content("base/file"), "0123456789end");
  EXPECT_EQ(wasi("fd_fdstat_set_flags", u(5), u(32)), E::kInval);
  EXPECT_EQ(wasi("fd_fdstat_set_flags", u(5), u(kWasiSync)), E::kNotsup);
  EXPECT_EQ(wasi("fd_fdstat_set_flags", u(5), u(kWasiNonblock)), E::kSuccess);
  EXPECT_EQ(seek(5, 0), 0U);
  EXPECT_EQ(write(5, "X"), E::kSuccess);
  EXPECT_EQ(folder_.content("base/file"), "X123456789end");
  EXPECT_EQ(wasi("fd_fdstat_set_flags", u(3), u(0)), E::kNotcapable);
  EXPECT_EQ(open("file", kAll, 0, kWasiSync | kWasiDsync | kWasiRsync), E::kSuccess);
  EXPECT_EQ(wasi("fd_fdstat_set_flags", opened_, u(kWasiSync | kWasiDsync | kWasiRsync)),
            E::kSuccess);
  EXPECT_EQ(wasi("fd_fdstat_set_flags", u(9), u(0)), E::kBadf);
}

TEST_F(WasiFilesTest, TellsAndSetsSizeAndTimes) {
  ASSERT_EQ(open("file"), E::kSuccess);
  struct ::stat host = {};
  ASSERT_EQ(::stat((folder_ / "base/file").c_str(), &host), 0);
  EXPECT_EQ(wasi("fd_filestat_get", u(5), u(200)), E::kSuccess);
  EXPECT_EQ(at<U64>(200), host.st_dev);
  EXPECT_EQ(at<U64>(208), host.st_ino);
  EXPECT_EQ(at<std::uint8_t>(216), 4);
  EXPECT_EQ(at<U64>(224), 1U);
  EXPECT_EQ(at<U64>(232), 10U);
  EXPECT_EQ(at<U64>(248), static_cast<U64>(host.st_mtim.tv_sec) * 1'000'000'000 +
                              static_cast<U64>(host.st_mtim.tv_nsec));
  EXPECT_EQ(wasi("fd_filestat_get", u(5), kBad), E::kFault);
  EXPECT_EQ(wasi("fd_filestat_get", u(9), u(200)), E::kBadf);
  EXPECT_EQ(wasi("fd_filestat_set_times", u(5), U64{5'000'000'007}, U64{6'000'000'008},
                 u(kWasiAtim | kWasiMtim)),
            E::kSuccess);
  EXPECT_EQ(wasi("fd_filestat_get", u(5), u(200)), E::kSuccess);
  EXPECT_EQ(at<U64>(240), 5'000'000'007U);
  EXPECT_EQ(at<U64>(248), 6'000'000'008U);
  EXPECT_EQ(wasi("fd_filestat_set_times", u(5), U64{1}, U64{1}, u(kWasiMtimNow)), E::kSuccess);
  EXPECT_EQ(wasi("fd_filestat_get", u(5), u(200)), E::kSuccess);
  EXPECT_EQ(at<U64>(240), 5'000'000'007U);
  EXPECT_GT(at<U64>(248), 1'700'000'000'000'000'000U);
  for (const U32 which : {kWasiAtim | kWasiAtimNow, kWasiMtim | kWasiMtimNow, 16U})
    EXPECT_EQ(wasi("fd_filestat_set_times", u(5), U64{1}, U64{1}, which), E::kInval);
  EXPECT_EQ(wasi("fd_filestat_set_size", u(5), U64{4}), E::kSuccess);
  EXPECT_EQ(folder_.content("base/file"), "0123");
  EXPECT_EQ(wasi("fd_filestat_set_size", u(5), ~U64{0}), E::kInval);
  EXPECT_EQ(wasi("fd_filestat_set_size", u(3), U64{4}), E::kNotcapable);
  EXPECT_EQ(wasi("fd_allocate", u(5), U64{2}, U64{6}), E::kSuccess);
  EXPECT_EQ(folder_.content("base/file"), std::string("0123\0\0\0\0", 8));
  EXPECT_EQ(wasi("fd_allocate", u(5), U64{0}, U64{0}), E::kInval);
  EXPECT_EQ(wasi("fd_allocate", u(5), ~U64{0}, U64{1}), E::kInval);
  EXPECT_EQ(wasi("fd_allocate", u(3), U64{0}, U64{1}), E::kNotcapable);
}

TEST_F(WasiFilesTest, AdvisesAndSynchronises) {
  ASSERT_EQ(open("file"), E::kSuccess);
  for (U32 advice = 0; advice < 6; ++advice)
    EXPECT_EQ(wasi("fd_advise", u(5), U64{0}, U64{4}, advice), E::kSuccess);
  EXPECT_EQ(wasi("fd_advise", u(5), U64{0}, U64{4}, u(6)), E::kInval);
  EXPECT_EQ(wasi("fd_advise", u(5), ~U64{0}, U64{4}, u(0)), E::kInval);
  EXPECT_EQ(wasi("fd_advise", u(5), U64{0}, ~U64{0}, u(0)), E::kInval);
  EXPECT_EQ(wasi("fd_advise", u(3), U64{0}, U64{4}, u(0)), E::kNotcapable);
  EXPECT_EQ(wasi("fd_sync", u(5)), E::kSuccess);
  EXPECT_EQ(wasi("fd_datasync", u(5)), E::kSuccess);
  EXPECT_EQ(wasi("fd_sync", u(3)), E::kSuccess);
  EXPECT_EQ(wasi("fd_datasync", u(3)), E::kNotcapable);
  EXPECT_EQ(wasi("fd_sync", u(9)), E::kBadf);
}

TEST_F(WasiFilesTest, OpensAsItIsAsked) {
  EXPECT_EQ(open("none"), E::kNoent);
  EXPECT_EQ(open("new", kAll, kWasiCreat), E::kSuccess);
  EXPECT_EQ(open("new", kAll, kWasiCreat | kWasiExcl), E::kExist);
  EXPECT_EQ(open("file", kAll, kWasiTrunc), E::kSuccess);
  EXPECT_EQ(folder_.content("base/file"), "");
  EXPECT_EQ(open("file", kAll, kWasiDirectory), E::kNotdir);
  EXPECT_EQ(open("sub", right::kFdRead, kWasiDirectory), E::kSuccess);
  EXPECT_EQ(base_rights(opened_), 0U);
  EXPECT_EQ(open("sub", right::kFdWrite), E::kIsdir);
  EXPECT_EQ(open("sub", 0, kWasiCreat | kWasiDirectory), E::kInval);
  EXPECT_EQ(open("file", 0, 16), E::kInval);
  EXPECT_EQ(open("file", 0, 0, 32), E::kInval);
  EXPECT_EQ(open("file", 0, 0, 0, 2), E::kInval);
  EXPECT_EQ(open("file", 0, 0, 0, 0, 1), E::kNotdir);
  EXPECT_EQ(open("file", 0, 0, 0, 0, 99), E::kBadf);
  EXPECT_EQ(open(std::string_view("file\0", 5)), E::kInval);
  EXPECT_EQ(open(""), E::kNoent);
  EXPECT_EQ(open(std::string(4096, 'a')), E::kNametoolong);
  EXPECT_EQ(wasi("path_open", u(3), u(0), u(kEnd - 3), u(4), u(0), U64{0}, U64{0}, u(0), u(0)),
            E::kFault);
  const auto before = folder_.has("base/torn");
  EXPECT_EQ(wasi("path_open", u(3), u(0), path("torn"), u(4), u(kWasiCreat), U64{0}, U64{0}, u(0),
                 u(kEnd - 3)),
            E::kFault);
  EXPECT_EQ(folder_.has("base/torn"), before);
}

TEST_F(WasiFilesTest, PathsThatLeadOutsideAreRefusedByEveryCall) {
  for (const WasiPathWalk walk : {wasi_path_walk_of_host(), WasiPathWalk::kSteps}) {
    state_.descriptors.path_walk = walk;
    for (const std::string& out : {std::string("../outside/x"), std::string("/outside/x"),
                                   std::string("up/x"), (folder_ / "outside/x").string()}) {
      SCOPED_TRACE(out);
      EXPECT_EQ(open(out, kAll, kWasiCreat), E::kNotcapable);
      EXPECT_EQ(make_directory(out), E::kNotcapable);
      EXPECT_EQ(remove_directory(out), E::kNotcapable);
      EXPECT_EQ(unlink(out), E::kNotcapable);
      EXPECT_EQ(rename("file", out), E::kNotcapable);
      EXPECT_EQ(rename(out, "file"), E::kNotcapable);
      EXPECT_EQ(link("file", out), E::kNotcapable);
      EXPECT_EQ(link(out, "stolen"), E::kNotcapable);
      EXPECT_EQ(symlink("file", out), E::kNotcapable);
      EXPECT_EQ(readlink(out), E::kNotcapable);
      EXPECT_EQ(stat(out), E::kNotcapable);
      EXPECT_EQ(set_times(out, 1, 1, kWasiMtim), E::kNotcapable);
    }
    // Links are not followed by what works on an entry, a slash behind them or not.
    EXPECT_EQ(stat("up"), E::kSuccess);
    EXPECT_EQ(at<std::uint8_t>(216), 7);
    EXPECT_EQ(stat("up", kWasiSymlinkFollow), E::kNotcapable);
    EXPECT_EQ(stat("up/"), E::kNotcapable);
    EXPECT_EQ(open("up", kAll, 0, 0, kWasiSymlinkFollow), E::kNotcapable);
    EXPECT_EQ(link("up/", "stolen"), E::kNotcapable);
    EXPECT_EQ(readlink("up/"), E::kNotcapable);
    EXPECT_EQ(set_times("up/", 1, 1, kWasiMtim), E::kNotcapable);
    EXPECT_EQ(make_directory("up/"), E::kExist);
    EXPECT_EQ(remove_directory("up/"), E::kNotdir);
    EXPECT_EQ(unlink("up/"), E::kNotdir);
    EXPECT_EQ(rename("sub", "up/"), E::kNotdir);
    EXPECT_EQ(rename("up/", "other"), E::kNotdir);
    EXPECT_EQ(symlink("/etc", "absolute"), E::kNotcapable);
  }
  std::multiset<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "outside"))
    names.insert(entry.path().filename());
  EXPECT_EQ(names, std::multiset<std::string>{"secret"});
  EXPECT_EQ(folder_.content("outside/secret"), "secret");
}

TEST_F(WasiFilesTest, MakesAndRemovesDirectories) {
  EXPECT_EQ(make_directory("new"), E::kSuccess);
  EXPECT_EQ(make_directory("new"), E::kExist);
  EXPECT_EQ(make_directory("new/inner/"), E::kSuccess);
  EXPECT_EQ(make_directory("none/inner"), E::kNoent);
  EXPECT_EQ(make_directory("file/inner"), E::kNotdir);
  EXPECT_EQ(make_directory("."), E::kExist);
  EXPECT_EQ(make_directory("sub/.."), E::kExist);
  EXPECT_EQ(make_directory(""), E::kNoent);
  EXPECT_EQ(remove_directory("new"), E::kNotempty);
  EXPECT_EQ(remove_directory("new/inner/"), E::kSuccess);
  EXPECT_EQ(remove_directory("new"), E::kSuccess);
  EXPECT_EQ(remove_directory("new"), E::kNoent);
  EXPECT_EQ(remove_directory("file"), E::kNotdir);
  EXPECT_EQ(remove_directory("."), E::kInval);
  EXPECT_EQ(remove_directory("sub/.."), E::kNotempty);
  EXPECT_EQ(remove_directory(".."), E::kNotcapable);
}

TEST_F(WasiFilesTest, UnlinksRenamesAndLinks) {
  EXPECT_EQ(unlink("sub"), E::kIsdir);
  EXPECT_EQ(unlink("sub/.."), E::kIsdir);
  EXPECT_EQ(unlink("file/"), E::kNotdir);
  EXPECT_EQ(unlink("none"), E::kNoent);
  EXPECT_EQ(link("file", "sub/twin"), E::kSuccess);
  EXPECT_EQ(link("file", "sub/twin"), E::kExist);
  EXPECT_EQ(link("file", "new/"), E::kNoent);
  EXPECT_EQ(link("sub", "other"), E::kPerm);
  EXPECT_EQ(link("sub/", "other"), E::kPerm);
  EXPECT_EQ(link("sub/..", "other"), E::kPerm);
  EXPECT_EQ(link("file/", "other"), E::kNotdir);
  EXPECT_EQ(link("file", "sub/.."), E::kExist);
  EXPECT_EQ(link("file", "other", kWasiSymlinkFollow), E::kInval);
  EXPECT_EQ(stat("file"), E::kSuccess);
  EXPECT_EQ(at<U64>(224), 2U);
  EXPECT_EQ(unlink("file"), E::kSuccess);
  EXPECT_EQ(folder_.content("base/sub/twin"), "0123456789");
  EXPECT_EQ(rename("sub/twin", "file"), E::kSuccess);
  EXPECT_EQ(rename("sub/twin", "file"), E::kNoent);
  EXPECT_EQ(rename("file", "sub"), E::kIsdir);
  EXPECT_EQ(rename("sub", "file"), E::kNotdir);
  EXPECT_EQ(rename("sub", "sub/inner"), E::kInval);
  EXPECT_EQ(rename("sub/..", "other"), E::kBusy);
  EXPECT_EQ(rename("file", "sub/.."), E::kBusy);
  EXPECT_EQ(rename("sub", "other"), E::kSuccess);
  EXPECT_TRUE(folder_.has("base/other"));
}

TEST_F(WasiFilesTest, MakesAndReadsLinks) {
  EXPECT_EQ(symlink("file", "sub/link"), E::kSuccess);
  EXPECT_EQ(symlink("file", "sub/link"), E::kExist);
  EXPECT_EQ(symlink("file", "new/"), E::kNoent);
  EXPECT_EQ(symlink("file", "sub/.."), E::kExist);
  EXPECT_EQ(symlink("", "new"), E::kNoent);
  EXPECT_EQ(readlink("sub/link"), E::kSuccess);
  EXPECT_EQ(text(200, at<U32>(0)), "file");
  EXPECT_EQ(readlink("sub/link", 2), E::kSuccess);
  EXPECT_EQ(at<U32>(0), 2U);
  EXPECT_EQ(readlink("sub/link", 0), E::kInval);
  EXPECT_EQ(readlink("file"), E::kInval);
  EXPECT_EQ(readlink("none"), E::kNoent);
  EXPECT_EQ(wasi("path_readlink", u(3), path("up"), u(2), u(kEnd - 3), u(4), u(0)), E::kFault);
  EXPECT_EQ(wasi("path_readlink", u(3), path("up"), u(2), u(200), u(4), u(kEnd - 3)), E::kFault);
  EXPECT_EQ(wasi("path_symlink", kBad, u(4), u(3), path("new"), u(3)), E::kFault);
  EXPECT_EQ(wasi("path_symlink", path("a"), u(1), u(3), kBad, u(3)), E::kFault);
  EXPECT_EQ(open("sub/link", 0, 0), E::kLoop);
  EXPECT_EQ(open("sub/link", 0, 0, 0, kWasiSymlinkFollow), E::kNoent);  // sub/file
  EXPECT_EQ(stat("sub/link", kWasiSymlinkFollow), E::kNoent);
  EXPECT_EQ(stat("sub/link", 2), E::kInval);
}

TEST_F(WasiFilesTest, SetsTimesByPath) {
  folder_.link("file", "base/link");
  EXPECT_EQ(set_times("link", 7, 8, kWasiMtim), E::kSuccess);
  EXPECT_EQ(stat("link"), E::kSuccess);
  EXPECT_EQ(at<U64>(248), 8U);
  EXPECT_EQ(stat("file"), E::kSuccess);
  EXPECT_NE(at<U64>(248), 8U);
  EXPECT_EQ(set_times("link", 7, 9, kWasiAtim | kWasiMtim, kWasiSymlinkFollow), E::kSuccess);
  EXPECT_EQ(stat("file"), E::kSuccess);
  EXPECT_EQ(at<U64>(240), 7U);
  EXPECT_EQ(at<U64>(248), 9U);
  EXPECT_EQ(set_times("none", 7, 9, kWasiMtim), E::kNoent);
  EXPECT_EQ(set_times("file", 7, 9, kWasiMtim | kWasiMtimNow), E::kInval);
  EXPECT_EQ(set_times("file", 7, 9, kWasiMtim, 2), E::kInval);
}

TEST_F(WasiFilesTest, ListsInPiecesOfAnySize) {
  std::multiset<std::string> wanted = {".", ".."};
  for (int i = 0; i < 300; ++i) {
    wanted.insert("entry-" + std::to_string(i));
    folder_.file("base/sub/entry-" + std::to_string(i));
  }
  ASSERT_EQ(open("sub", right::kOfDirectories), E::kSuccess);
  for (const U32 piece : {u(40), u(100), u(1000), u(40'000)}) EXPECT_EQ(list(5, piece), wanted);
  EXPECT_EQ(wasi("fd_readdir", u(5), u(20'000), u(10), U64{0}, u(0)), E::kSuccess);
  EXPECT_EQ(at<U32>(0), 10U);  // a cut-off entry: ask with more room
  EXPECT_EQ(wasi("fd_readdir", u(5), u(20'000), u(0), U64{0}, u(0)), E::kSuccess);
  EXPECT_EQ(at<U32>(0), 0U);
  EXPECT_EQ(wasi("fd_readdir", u(5), u(kEnd - 3), u(4), U64{0}, u(0)), E::kFault);
  EXPECT_EQ(wasi("fd_readdir", u(5), u(20'000), u(40), U64{0}, u(kEnd - 3)), E::kFault);
  EXPECT_EQ(wasi("fd_readdir", u(5), u(20'000), u(40), ~U64{0}, u(0)), E::kInval);
  ASSERT_EQ(open("file"), E::kSuccess);
  EXPECT_EQ(wasi("fd_readdir", opened_, u(20'000), u(40), U64{0}, u(0)), E::kNotdir);
}

TEST_F(WasiFilesTest, ListsTypesAndNumbers) {
  folder_.link("file", "base/sub/link");
  folder_.directory("base/sub/inner");
  ASSERT_EQ(::mkfifo((folder_ / "base/sub/pipe").c_str(), 0600), 0);
  ASSERT_EQ(open("sub", right::kOfDirectories), E::kSuccess);
  EXPECT_EQ(wasi("fd_readdir", u(5), u(20'000), u(4000), U64{0}, u(0)), E::kSuccess);
  std::set<std::pair<std::string, int>> found;
  for (U32 offset = 0; offset < at<U32>(0);) {
    const U32 entry = 20'000 + offset;
    const std::string name = text(entry + 24, at<U32>(entry + 16));
    found.insert({name, at<std::uint8_t>(entry + 20)});
    if (name == "inner") {
      struct ::stat host = {};
      ASSERT_EQ(::stat((folder_ / "base/sub/inner").c_str(), &host), 0);
      EXPECT_EQ(at<U64>(entry + 8), host.st_ino);
    }
    offset += 24 + at<U32>(entry + 16);
  }
  EXPECT_EQ(found, (std::set<std::pair<std::string, int>>{
                       {".", 3}, {"..", 3}, {"link", 7}, {"inner", 3}, {"pipe", 0}}));
}

TEST_F(WasiFilesTest, AReadOnlyDirectoryStaysAsItIs) {
  constexpr U32 kFd = 4;
  EXPECT_EQ(open("file", right::kFdRead, 0, 0, 0, kFd), E::kSuccess);
  EXPECT_EQ(read(opened_), "0123456789");
  EXPECT_EQ(write(opened_, "x"), E::kBadf);
  // A C library asks for all that may be of use; what cannot be had is left out.
  EXPECT_EQ(open("file", kAll & ~right::kFdWrite, 0, 0, 0, kFd), E::kSuccess);
  EXPECT_EQ(base_rights(opened_) & right::kOfWriting, 0U);
  EXPECT_EQ(wasi("fd_filestat_set_size", opened_, U64{0}), E::kNotcapable);
  EXPECT_EQ(wasi("fd_filestat_set_times", opened_, U64{0}, U64{0}, u(kWasiMtim)), E::kNotcapable);
  EXPECT_EQ(wasi("fd_allocate", opened_, U64{0}, U64{100}), E::kNotcapable);
  EXPECT_EQ(open("file", right::kFdWrite, 0, 0, 0, kFd), E::kNotcapable);
  EXPECT_EQ(open("file", 0, kWasiTrunc, 0, 0, kFd), E::kNotcapable);
  EXPECT_EQ(open("new", 0, kWasiCreat, 0, 0, kFd), E::kNotcapable);
  EXPECT_EQ(make_directory("new", kFd), E::kNotcapable);
  EXPECT_EQ(remove_directory("sub", kFd), E::kNotcapable);
  EXPECT_EQ(unlink("file", kFd), E::kNotcapable);
  EXPECT_EQ(rename("file", "new", kFd, 3), E::kNotcapable);
  EXPECT_EQ(rename("file", "new", 3, kFd), E::kNotcapable);
  EXPECT_EQ(link("file", "new", 0, kFd, 3), E::kNotcapable);
  EXPECT_EQ(link("file", "new", 0, 3, kFd), E::kNotcapable);
  EXPECT_EQ(symlink("file", "new", kFd), E::kNotcapable);
  EXPECT_EQ(set_times("file", 1, 1, kWasiMtim, 0, kFd), E::kNotcapable);
  EXPECT_EQ(stat("file", 0, kFd), E::kSuccess);
  // Nor does a directory below it allow more.
  ASSERT_EQ(open("sub", kAll & ~right::kFdWrite, kWasiDirectory, 0, 0, kFd), E::kSuccess);
  const U32 sub = opened_;
  EXPECT_EQ(make_directory("new", sub), E::kNotcapable);
  EXPECT_EQ(open("new", 0, kWasiCreat, 0, 0, sub), E::kNotcapable);
  EXPECT_EQ(wasi("fd_fdstat_set_rights", sub, U64{kAll}, U64{kAll}), E::kNotcapable);
}

TEST_F(WasiFilesTest, RightsCanBeDroppedAndNotGained) {
  ASSERT_EQ(open("file", right::kFdRead | right::kFdSeek), E::kSuccess);
  EXPECT_EQ(base_rights(5), right::kFdRead | right::kFdSeek);
  EXPECT_EQ(wasi("fd_filestat_get", u(5), u(200)), E::kNotcapable);
  EXPECT_EQ(wasi("fd_fdstat_set_flags", u(5), u(0)), E::kNotcapable);
  EXPECT_EQ(wasi("fd_tell", u(5), u(0)), E::kSuccess);  // seeking includes telling
  EXPECT_EQ(wasi("fd_fdstat_set_rights", u(5), U64{right::kFdRead | right::kFdWrite}, U64{0}),
            E::kNotcapable);
  EXPECT_EQ(wasi("fd_fdstat_set_rights", u(5), U64{right::kFdRead}, U64{0}), E::kSuccess);
  EXPECT_EQ(wasi("fd_seek", u(5), I64{0}, u(0), u(0)), E::kNotcapable);
  EXPECT_EQ(wasi("fd_tell", u(5), u(0)), E::kNotcapable);
  vector(100, 200, 1);
  EXPECT_EQ(wasi("fd_pread", u(5), u(100), u(1), U64{0}, u(0)), E::kNotcapable);
  EXPECT_EQ(read(5, 2), "01");
  // A directory's inheriting rights bound what is opened by way of it.
  EXPECT_EQ(wasi("fd_fdstat_set_rights", u(3), U64{right::kPathOpen}, U64{right::kFdRead}),
            E::kSuccess);
  EXPECT_EQ(open("file", right::kFdWrite), E::kNotcapable);
  EXPECT_EQ(open("file", 0, 0, kWasiSync), E::kNotcapable);
  EXPECT_EQ(open("file", 0, 0, kWasiDsync), E::kNotcapable);
  EXPECT_EQ(open("file", 0, kWasiCreat), E::kNotcapable);
  EXPECT_EQ(open("file", kAll & ~right::kFdWrite), E::kSuccess);
  EXPECT_EQ(base_rights(opened_), right::kFdRead);
  EXPECT_EQ(stat("file"), E::kNotcapable);
  EXPECT_EQ(wasi("fd_readdir", u(3), u(200), u(40), U64{0}, u(0)), E::kNotcapable);
  EXPECT_EQ(wasi("fd_fdstat_set_rights", u(3), U64{0}, U64{0}), E::kSuccess);
  EXPECT_EQ(open("file", 0), E::kNotcapable);
  EXPECT_EQ(wasi("fd_fdstat_set_rights", u(9), U64{0}, U64{0}), E::kBadf);
  // Of a stream too.
  EXPECT_EQ(wasi("fd_fdstat_set_rights", u(1), U64{0}, U64{0}), E::kSuccess);
  EXPECT_EQ(write(1, "x"), E::kBadf);
}

TEST_F(WasiFilesTest, PipesSocketsAndDevicesAreNotOpened) {
  ASSERT_EQ(::mkfifo((folder_ / "base/pipe").c_str(), 0600), 0);
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  (folder_ / "base/socket").string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  for (const WasiRights rights : std::initializer_list<WasiRights>{
           right::kFdRead, right::kFdWrite, right::kFdRead | right::kFdWrite, 0}) {
    EXPECT_EQ(open("pipe", rights), E::kNotsup);
    EXPECT_EQ(open("socket", rights), E::kNotsup);
    EXPECT_EQ(open("pipe", rights, kWasiCreat), E::kNotsup);
  }
  EXPECT_EQ(stat("socket"), E::kSuccess);
  EXPECT_EQ(at<std::uint8_t>(216), 6);
  EXPECT_EQ(unlink("pipe"), E::kSuccess);
  ASSERT_TRUE(
      state_.descriptors.give({.host_path = "/dev", .guest_path = "/dev", .writable = false}));
  EXPECT_EQ(open("null", right::kFdRead, 0, 0, 0, 5), E::kNotsup);
  EXPECT_EQ(open("zero", right::kFdRead, 0, 0, 0, 5), E::kNotsup);
  EXPECT_EQ(stat("null", 0, 5), E::kSuccess);
  EXPECT_EQ(at<std::uint8_t>(216), 2);
}

TEST_F(WasiFilesTest, DescriptorsAreNumberedMovedAndLimited) {
  state_.descriptors.count_max = 7;
  ASSERT_EQ(open("file"), E::kSuccess);
  ASSERT_EQ(open("sub", right::kOfDirectories), E::kSuccess);
  EXPECT_EQ(opened_, 6U);
  EXPECT_EQ(open("file"), E::kMfile);
  EXPECT_EQ(open("new", 0, kWasiCreat), E::kMfile);
  EXPECT_FALSE(folder_.has("base/new"));
  EXPECT_EQ(wasi("fd_close", u(0)), E::kSuccess);
  EXPECT_EQ(wasi("fd_close", u(5)), E::kSuccess);
  EXPECT_EQ(open("file"), E::kSuccess);
  EXPECT_EQ(opened_, 5U);
  EXPECT_EQ(open("file"), E::kSuccess);
  EXPECT_EQ(opened_, 7U);  // not the place of the stream that was closed
  EXPECT_EQ(open("file"), E::kMfile);
  EXPECT_EQ(wasi("fd_renumber", u(7), u(1)), E::kSuccess);
  EXPECT_EQ(read(1), "0123456789");
  EXPECT_EQ(wasi("fd_renumber", u(7), u(1)), E::kBadf);
  EXPECT_EQ(wasi("fd_renumber", u(1), u(7)), E::kBadf);
  EXPECT_EQ(wasi("fd_renumber", u(3), u(3)), E::kSuccess);
  // A directory that was given keeps its name where it is moved to.
  EXPECT_EQ(wasi("fd_renumber", u(3), u(6)), E::kSuccess);
  EXPECT_EQ(wasi("fd_prestat_get", u(3), u(0)), E::kBadf);
  EXPECT_EQ(wasi("fd_prestat_get", u(6), u(0)), E::kSuccess);
  EXPECT_EQ(open("sub", right::kOfDirectories, 0, 0, 0, 6), E::kSuccess);
}

TEST_F(WasiFilesTest, EachPathCallChecksDescriptorAndPointer) {
  for (const auto& [fd, wanted] : {std::pair{u(99), E::kBadf}, std::pair{u(0), E::kNotdir}}) {
    EXPECT_EQ(make_directory("x", fd), wanted);
    EXPECT_EQ(remove_directory("x", fd), wanted);
    EXPECT_EQ(unlink("x", fd), wanted);
    EXPECT_EQ(rename("x", "y", fd, 3), wanted);
    EXPECT_EQ(rename("x", "y", 3, fd), wanted);
    EXPECT_EQ(link("x", "y", 0, fd, 3), wanted);
    EXPECT_EQ(link("x", "y", 0, 3, fd), wanted);
    EXPECT_EQ(symlink("x", "y", fd), wanted);
    EXPECT_EQ(stat("x", 0, fd), wanted);
    EXPECT_EQ(set_times("x", 1, 1, 0, 0, fd), wanted);
  }
  for (const U32 torn : {kBad, u(kEnd - 3)}) {
    EXPECT_EQ(wasi("path_create_directory", u(3), torn, u(4)), E::kFault);
    EXPECT_EQ(wasi("path_remove_directory", u(3), torn, u(4)), E::kFault);
    EXPECT_EQ(wasi("path_unlink_file", u(3), torn, u(4)), E::kFault);
    EXPECT_EQ(wasi("path_rename", u(3), torn, u(4), u(3), path("a"), u(1)), E::kFault);
    EXPECT_EQ(wasi("path_rename", u(3), path("file"), u(4), u(3), torn, u(4)), E::kFault);
    EXPECT_EQ(wasi("path_link", u(3), u(0), torn, u(4), u(3), path("a"), u(1)), E::kFault);
    EXPECT_EQ(wasi("path_link", u(3), u(0), path("file"), u(4), u(3), torn, u(4)), E::kFault);
    EXPECT_EQ(wasi("path_filestat_get", u(3), u(0), torn, u(4), u(200)), E::kFault);
    EXPECT_EQ(wasi("path_filestat_get", u(3), u(0), path("file"), u(4), torn), E::kFault);
    EXPECT_EQ(wasi("path_filestat_set_times", u(3), u(0), torn, u(4), U64{1}, U64{1}, u(0)),
              E::kFault);
    EXPECT_EQ(wasi("path_readlink", u(3), torn, u(4), u(200), u(4), u(0)), E::kFault);
  }
  EXPECT_TRUE(folder_.has("base/file"));
}

TEST_F(WasiFilesTest, PollFindsFilesReady) {
  ASSERT_EQ(open("file"), E::kSuccess);
  EXPECT_EQ(seek(5, 4), 4U);
  const auto poll = [&](std::uint8_t type, U32 fd) {
    clock_subscription(0, 1, 1, 1'000'000'000'000, 0);
    put<U64>(48, 2);
    put<std::uint8_t>(56, type);
    put<U32>(64, fd);
    EXPECT_EQ(wasi("poll_oneoff", u(0), u(1000), u(2), u(2000)), E::kSuccess);
    EXPECT_EQ(at<U32>(2000), 1U);
    EXPECT_EQ(at<U64>(1000), 2U);
    EXPECT_FALSE(waits_until_);
    return at<E>(1008);
  };
  EXPECT_EQ(poll(1, 5), E::kSuccess);
  EXPECT_EQ(at<U64>(1016), 6U);
  EXPECT_EQ(poll(2, 5), E::kSuccess);
  EXPECT_EQ(poll(1, 3), E::kBadf);
  EXPECT_EQ(poll(1, 77), E::kBadf);
  EXPECT_EQ(poll(3, 5), E::kInval);
  EXPECT_EQ(poll(1, 0), E::kSuccess);
  EXPECT_EQ(at<std::uint16_t>(1024), 1);  // nothing is left: hung up
  ASSERT_EQ(open("file", right::kFdRead), E::kSuccess);
  EXPECT_EQ(poll(2, opened_), E::kBadf);
  EXPECT_EQ(poll(1, opened_), E::kNotcapable);  // without the right to poll
}

TEST(WasiDescriptors, GivingTellsWhatIsWrong) {
  const ScratchFolder folder;
  folder.file("file");
  WasiDescriptors descriptors;
  const auto refused = [&](std::string host, std::string guest) {
    const Result<> given = descriptors.give(
        {.host_path = std::move(host), .guest_path = std::move(guest), .writable = false});
    EXPECT_FALSE(given);
    return given ? seam::Error{} : given.error();
  };
  const std::string none = folder / "none";
  EXPECT_EQ(refused(none, "/data").code, seam::ErrorCode::kNotFound);
  EXPECT_EQ(refused(none, "/data").message,
            "directory '" + none + "' for the guest's '/data': No such file or directory");
  EXPECT_EQ(
      refused(folder / "file", "/").message,
      "directory '" + (folder / "file").string() + "' for the guest's '/': it is not a directory");
  EXPECT_EQ(refused("", "/").code, seam::ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused("/", "").code, seam::ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused(std::string("/\0", 2), "/").code, seam::ErrorCode::kInvalidArgument);
  descriptors.count_max = 3;
  EXPECT_EQ(refused("/", "/").code, seam::ErrorCode::kResourceExhausted);
}

TEST(WasiDirectory, IsReadFromText) {
  const auto read = [](std::string_view text) { return parse_wasi_directory(text).value(); };
  EXPECT_EQ(read("data"), (WasiDirectory{"data", "data", true}));
  EXPECT_EQ(read("./data::/data"), (WasiDirectory{"./data", "/data", true}));
  EXPECT_EQ(read("./data::/data::ro"), (WasiDirectory{"./data", "/data", false}));
  EXPECT_EQ(read("data::ro"), (WasiDirectory{"data", "data", false}));
  EXPECT_EQ(read("a:b::c"), (WasiDirectory{"a:b", "c", true}));
  for (const std::string_view wrong : {"", "::", "a::", "::b", "a::b::c", "a::b::rw", "::ro"}) {
    const Result<WasiDirectory> directory = parse_wasi_directory(wrong);
    ASSERT_FALSE(directory) << wrong;
    EXPECT_EQ(directory.error().code, seam::ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(parse_wasi_directory("a::b::c").error().message,
            "directory 'a::b::c': too many parts; write HOST::GUEST, or HOST::GUEST::ro for a "
            "directory in which the guest changes nothing");
}

TEST(WasiErrno, EveryNumberOfTheHostHasOne) {
  EXPECT_EQ(wasi_errno_of(0), E::kSuccess);
  EXPECT_EQ(wasi_errno_of(EROFS), E::kRofs);
  EXPECT_EQ(wasi_errno_of(EOPNOTSUPP), E::kNotsup);
  EXPECT_EQ(wasi_errno_of(EXDEV), E::kXdev);
  EXPECT_EQ(wasi_errno_of(EUCLEAN), E::kIo);
  std::set<E> numbers;
  for (const int host :
       {E2BIG,        EACCES,     EAGAIN,    EBADF,   EBUSY,  EDEADLK, EDQUOT, EEXIST, EFAULT,
        EFBIG,        EILSEQ,     EINTR,     EINVAL,  EIO,    EISDIR,  ELOOP,  EMFILE, EMLINK,
        ENAMETOOLONG, ENFILE,     ENODEV,    ENOENT,  ENOLCK, ENOMEM,  ENOSPC, ENOSYS, ENOTDIR,
        ENOTEMPTY,    EOPNOTSUPP, ENOTTY,    ENXIO,   EPERM,  EPIPE,   ERANGE, EROFS,  EOVERFLOW,
        ESPIPE,       ESTALE,     ETIMEDOUT, ETXTBSY, EXDEV})
    EXPECT_TRUE(numbers.insert(wasi_errno_of(host)).second) << host;
}

}  // namespace
}  // namespace seam::wasm
