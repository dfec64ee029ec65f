#include "wasm/wasi_paths.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <random>
#include <thread>

#include "wasm/wasi_testing.h"

namespace seam::wasm {
namespace {

// `outside` lies beside `base`, and must never be reached.
class WasiPathsTest : public testing::TestWithParam<WasiPathWalk> {
 protected:
  WasiPathsTest() {
    folder_.directory("base/sub/deep");
    folder_.directory("outside");
    folder_.file("outside/secret", "secret");
    folder_.file("base/file", "base/file");
    folder_.file("base/sub/file", "base/sub/file");
    folder_.file("base/sub/deep/file", "base/sub/deep/file");
    base_.reset(::open((folder_ / "base").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (GetParam() == WasiPathWalk::kKernel && wasi_path_walk_of_host() != WasiPathWalk::kKernel) {
      skip_ = true;
    }
  }
  void SetUp() override {
    if (skip_) GTEST_SKIP() << "this kernel has no openat2, or it is not allowed";
  }

  std::expected<FileDescriptor, int> open(const char* path, int flags = O_RDONLY) {
    return open_beneath(GetParam(), base_.get(), path, flags, 0600);
  }
  // What a file holds, or the errno's name.
  std::string read(const char* path, int flags = O_RDONLY) {
    const auto opened = open(path, flags);
    if (!opened) return ::strerrorname_np(opened.error());
    char bytes[64] = {};
    const ssize_t size = ::read(opened->get(), bytes, sizeof bytes);
    return size < 0 ? ::strerrorname_np(errno) : std::string(bytes, static_cast<std::size_t>(size));
  }
  std::string error(const char* path, int flags = O_RDONLY) {
    const auto opened = open(path, flags);
    return opened ? "opened" : ::strerrorname_np(opened.error());
  }
  // "directory/name" of what entry_beneath() finds, or the errno's name.
  std::string entry(std::string path) {
    const auto found = entry_beneath(GetParam(), base_.get(), path.data(), EBUSY);
    if (!found) return ::strerrorname_np(found.error());
    const auto place =
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(found->directory));
    return place.filename().string() + ":" + found->name;
  }

  ScratchFolder folder_;
  FileDescriptor base_;
  bool skip_ = false;
};

INSTANTIATE_TEST_SUITE_P(, WasiPathsTest,
                         testing::Values(WasiPathWalk::kKernel, WasiPathWalk::kSteps),
                         [](const auto& instance) {
                           return instance.param == WasiPathWalk::kKernel ? "Kernel" : "Steps";
                         });

TEST_P(WasiPathsTest, OpensWhatLiesBeneath) {
  EXPECT_EQ(read("file"), "base/file");
  EXPECT_EQ(read("sub/deep/file"), "base/sub/deep/file");
  EXPECT_EQ(read("./sub/.//deep/../file"), "base/sub/file");
  EXPECT_EQ(read("sub/deep/../../sub/../file"), "base/file");
  EXPECT_EQ(error("."), "opened");
  EXPECT_EQ(error("sub/.."), "opened");
  EXPECT_EQ(error("sub///"), "opened");
  EXPECT_EQ(error("sub", O_DIRECTORY), "opened");
}

TEST_P(WasiPathsTest, SaysWhatIsNotThere) {
  EXPECT_EQ(error(""), "ENOENT");
  EXPECT_EQ(error("none"), "ENOENT");
  EXPECT_EQ(error("none/file"), "ENOENT");
  EXPECT_EQ(error("file/file"), "ENOTDIR");
  EXPECT_EQ(error("file/"), "ENOTDIR");
  EXPECT_EQ(error("file/."), "ENOTDIR");
  EXPECT_EQ(error("file/.."), "ENOTDIR");
  EXPECT_EQ(error("file", O_DIRECTORY), "ENOTDIR");
  EXPECT_EQ(error("sub", O_RDWR), "EISDIR");
  EXPECT_EQ(error(std::string(300, 'n').c_str()), "ENAMETOOLONG");
}

TEST_P(WasiPathsTest, RefusesWhatLeadsOutside) {
  folder_.link("../outside", "base/up");
  folder_.link("../outside/secret", "base/secret");
  folder_.link((folder_ / "outside/secret").string(), "base/absolute");
  folder_.link((folder_ / "base/file").string(), "base/absolute_inside");
  folder_.link("sub/../../outside", "base/sub/winding");
  folder_.link("/", "base/root");
  for (const char* path :
       {"..", "../", "../outside/secret", "sub/../..", "sub/../../outside/secret", "/",
        "/etc/passwd", "//", "up", "up/", "up/secret", "secret", "absolute", "absolute_inside",
        "root/etc", "sub/../up/secret", "./../base/file", "sub/deep/../../../base/file"}) {
    EXPECT_EQ(error(path), "EXDEV") << path;
    EXPECT_EQ(error(path, O_PATH), "EXDEV") << path;
  }
  EXPECT_EQ(error("sub/winding/secret"), "ENOENT");  // sub/sub: relative to where the link stands
  EXPECT_EQ(error("secret", O_RDWR | O_TRUNC), "EXDEV");
  EXPECT_EQ(folder_.content("outside/secret"), "secret");
}

TEST_P(WasiPathsTest, FollowsLinksThatStayBeneath) {
  folder_.link("sub/deep", "base/short");
  folder_.link("../file", "base/sub/parent");
  folder_.link("deep/", "base/sub/slashed");
  folder_.link("short/file", "base/two");
  EXPECT_EQ(read("short/file"), "base/sub/deep/file");
  EXPECT_EQ(read("short/../file"), "base/sub/file");  // the parent of what the link points to
  EXPECT_EQ(read("sub/parent"), "base/file");
  EXPECT_EQ(read("sub/slashed/file"), "base/sub/deep/file");
  EXPECT_EQ(read("two"), "base/sub/deep/file");
  EXPECT_EQ(error("short/", O_DIRECTORY), "opened");
  EXPECT_EQ(error("two/"), "ENOTDIR");
}

TEST_P(WasiPathsTest, DoesNotFollowTheLastLinkWhenNotAsked) {
  folder_.link("file", "base/link");
  folder_.link("sub", "base/directory");
  EXPECT_EQ(error("link", O_NOFOLLOW), "ELOOP");
  EXPECT_EQ(error("directory", O_NOFOLLOW | O_DIRECTORY), "ENOTDIR");
  EXPECT_EQ(read("directory/file", O_NOFOLLOW), "base/sub/file");
  EXPECT_EQ(error("directory/", O_NOFOLLOW), "opened");
  const auto link = open("link", O_PATH | O_NOFOLLOW);
  ASSERT_TRUE(link);
  struct stat stat = {};
  ASSERT_EQ(::fstat(link->get(), &stat), 0);
  EXPECT_TRUE(S_ISLNK(stat.st_mode));
}

TEST_P(WasiPathsTest, CountsLinks) {
  folder_.link("loop", "base/loop");
  folder_.link("b", "base/a");
  folder_.link("a", "base/b");
  EXPECT_EQ(error("loop"), "ELOOP");
  EXPECT_EQ(error("a/file"), "ELOOP");
  folder_.link("file", "base/l1");
  for (int i = 2; i <= 41; ++i)
    folder_.link("l" + std::to_string(i - 1), "base/l" + std::to_string(i));
  EXPECT_EQ(read("l40"), "base/file");
  EXPECT_EQ(error("l41"), "ELOOP");
}

TEST_P(WasiPathsTest, MakesFilesBeneathAlone) {
  folder_.link("../outside/made", "base/out");
  folder_.link("sub/made", "base/in");
  EXPECT_EQ(error("new", O_RDWR | O_CREAT), "opened");
  EXPECT_EQ(error("new", O_RDWR | O_CREAT | O_EXCL), "EEXIST");
  EXPECT_EQ(error("in", O_RDWR | O_CREAT | O_EXCL), "EEXIST");
  EXPECT_FALSE(folder_.has("base/sub/made"));
  EXPECT_EQ(error("in", O_RDWR | O_CREAT), "opened");
  EXPECT_TRUE(folder_.has("base/sub/made"));
  EXPECT_EQ(error("out", O_RDWR | O_CREAT), "EXDEV");
  EXPECT_EQ(error("out", O_RDWR | O_CREAT | O_EXCL), "EEXIST");
  EXPECT_EQ(error("../outside/made", O_RDWR | O_CREAT), "EXDEV");
  EXPECT_FALSE(folder_.has("outside/made"));
  EXPECT_EQ(error("sub", O_RDONLY | O_CREAT), "EISDIR");
  EXPECT_EQ(error("made/", O_RDWR | O_CREAT), "EISDIR");
  EXPECT_FALSE(folder_.has("base/made"));
}

TEST_P(WasiPathsTest, ProcLeadsNowhere) {
  const FileDescriptor proc(::open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string base = "fd/" + std::to_string(base_.get());
  for (const std::string& path : {std::string("root"), std::string("root/etc/passwd"),
                                  std::string("cwd"), base, base + "/file"}) {
    const auto opened = open_beneath(GetParam(), proc.get(), path.c_str(), O_RDONLY);
    ASSERT_FALSE(opened) << path;
    EXPECT_TRUE(opened.error() == ELOOP || opened.error() == EXDEV) << path;
  }
}

TEST_P(WasiPathsTest, SplitsOffTheLastComponent) {
  folder_.link("sub", "base/directory");
  folder_.link("../outside", "base/up");
  EXPECT_EQ(entry("new"), "base:new");
  EXPECT_EQ(entry("new///"), "base:new///");
  EXPECT_EQ(entry("sub/new"), "sub:new");
  EXPECT_EQ(entry("directory//new"), "sub:new");
  EXPECT_EQ(entry("up"), "base:up");  // itself, not what it points to
  EXPECT_EQ(entry("sub/."), "sub:.");
  EXPECT_EQ(entry("sub/deep/../new"), "sub:new");
  EXPECT_EQ(entry(""), "ENOENT");
  EXPECT_EQ(entry("none/new"), "ENOENT");
  EXPECT_EQ(entry("file/new"), "ENOTDIR");
  EXPECT_EQ(entry("/"), "EXDEV");
  EXPECT_EQ(entry("/new"), "EXDEV");
  EXPECT_EQ(entry("up/new"), "EXDEV");
  EXPECT_EQ(entry("../new"), "EXDEV");
  EXPECT_EQ(entry(".."), "EXDEV");
  EXPECT_EQ(entry("sub/../.."), "EXDEV");
  EXPECT_EQ(entry("sub/../"), "EBUSY");  // beneath, and no name
  EXPECT_EQ(entry("none/.."), "ENOENT");
}

// A directory and a link that leads outside change places all the time.
TEST_P(WasiPathsTest, NothingExchangedMeanwhileLeadsOutside) {
  folder_.file("outside/file", "outside");
  folder_.link("../outside", "base/other");
  std::atomic<bool> over = false;
  std::jthread exchanger([&] {
    while (!over.load()) {
      ::renameat2(base_.get(), "sub", base_.get(), "other", RENAME_EXCHANGE);
    }
  });
  int found = 0;
  int refused = 0;
  for (int i = 0; i < 200'000 && (i < 3000 || found == 0 || refused == 0); ++i) {
    const std::string content = read(i % 2 == 0 ? "sub/file" : "sub/deep/../file");
    ASSERT_NE(content, "outside");
    if (content == "base/sub/file") ++found;
    if (content == "EXDEV") ++refused;
  }
  over = true;
  EXPECT_GT(found, 0);
  EXPECT_GT(refused, 0);
}

// The kernel is the judge of our own steps: random trees, random paths.
TEST(WasiPaths, BothWalksAgree) {
  if (wasi_path_walk_of_host() != WasiPathWalk::kKernel)
    GTEST_SKIP() << "this kernel has no openat2, or it is not allowed";
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const auto pick = [&](auto... of) {
    const std::string_view all[] = {of...};
    return all[random() % std::size(all)];
  };
  const auto path = [&] {
    std::string made = random() % 20 == 0 ? "/" : "";
    for (unsigned i = 1 + random() % 6; i > 0; --i) {
      made += pick("a", "b", "c", "d", "l", "m", "..", ".", "");
      if (i > 1 || random() % 4 == 0) made += random() % 5 == 0 ? "//" : "/";
    }
    return made;
  };
  for (int tree = 0; tree < 20; ++tree) {
    const ScratchFolder folder;
    folder.directory("base/a/b/c");
    folder.directory("base/b/a");
    folder.directory("c");
    for (const char* name : {"base/d", "base/a/c", "base/b/d", "base/a/b/d", "c/d", "d"})
      folder.file(name);
    for (const char* name : {"base/l", "base/m", "base/a/l", "base/b/m", "base/a/b/l"}) {
      const std::string target = path();
      if (!target.empty()) folder.link(target, name);
    }
    const FileDescriptor base(
        ::open((folder / "base").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (int i = 0; i < 500; ++i) {
      const std::string asked = path();
      static constexpr int kFlags[] = {O_RDONLY,
                                       O_RDWR,
                                       O_PATH,
                                       O_PATH | O_NOFOLLOW,
                                       O_RDONLY | O_NOFOLLOW,
                                       O_RDONLY | O_DIRECTORY,
                                       O_PATH | O_DIRECTORY | O_NOFOLLOW,
                                       O_RDWR | O_CREAT | O_EXCL};
      const int flags = kFlags[random() % std::size(kFlags)];
      struct stat by_kernel = {};
      struct stat by_steps = {};
      const auto kernel =
          open_beneath(WasiPathWalk::kKernel, base.get(), asked.c_str(), flags, 0600);
      if (kernel) {
        ASSERT_EQ(::fstat(kernel->get(), &by_kernel), 0);
        if ((flags & O_EXCL) != 0) {
          const std::string made =
              std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(kernel->get()));
          ASSERT_EQ(::unlink(made.c_str()), 0) << made;
        }
      }
      const auto steps = open_beneath(WasiPathWalk::kSteps, base.get(), asked.c_str(), flags, 0600);
      ASSERT_EQ(steps.has_value(), kernel.has_value())
          << asked << " " << flags << " steps: " << (steps ? 0 : steps.error())
          << " kernel: " << (kernel ? 0 : kernel.error());
      if (!steps) {
        ASSERT_EQ(::strerrorname_np(steps.error()), std::string(::strerrorname_np(kernel.error())))
            << asked << " " << flags;
        continue;
      }
      ASSERT_EQ(::fstat(steps->get(), &by_steps), 0);
      if ((flags & O_EXCL) != 0) {
        const std::string made =
            std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(steps->get()));
        ASSERT_EQ(::unlink(made.c_str()), 0) << made;
      } else {
        ASSERT_EQ(by_steps.st_ino, by_kernel.st_ino) << asked << " " << flags;
      }
    }
  }
}

}  // namespace
}  // namespace seam::wasm
