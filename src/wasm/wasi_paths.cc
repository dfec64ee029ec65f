// The walk in steps keeps one descriptor, that of the directory it stands in, and the names that
// lead there from the base, all of real directories. So `..` needs no descriptor of each level: it
// drops the last name and walks the others again.
//
//   base: sub/ and here -> sub/deep        path: "here/../file"
//   "here"    a link: what is left becomes "sub/deep/../file"
//   "sub"     names: sub
//   "deep"    names: sub, deep
//   ".."      names: sub, walked again from the base
//   "file"    opened in sub, O_NOFOLLOW
//
// Each step opens one name with O_NOFOLLOW, and the kernel never sees `..` or a slash within a
// path. What is exchanged between two steps can make the walk fail and can make it end elsewhere
// beneath the base, but not outside.
#include "wasm/wasi_paths.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>
#include <utility>

namespace seam::wasm {
namespace {

using Opened = std::expected<FileDescriptor, int>;

constexpr int kLinksMax = 40;     // the kernel's own
constexpr int kAttemptsMax = 64;  // while directories above the path are being moved

int with_always(int flags) {
  return flags | O_CLOEXEC | ((flags & O_PATH) != 0 ? 0 : O_NOCTTY | O_NONBLOCK);
}

int openat2(int directory, const char* path, open_how& how) {
  return static_cast<int>(::syscall(SYS_openat2, directory, path, &how, sizeof how));
}

Opened open_by_kernel(int directory, const char* path, int flags, mode_t mode) {
  open_how how = {.flags = static_cast<std::uint64_t>(with_always(flags)),
                  .mode = (flags & O_CREAT) != 0 ? mode : 0,
                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  for (int attempt = 1;; ++attempt) {
    const int fd = openat2(directory, path, how);
    if (fd >= 0) return FileDescriptor(fd);
    // EAGAIN: a rename somewhere on the machine made the kernel unsure of a `..`.
    if ((errno != EAGAIN && errno != EINTR) || attempt == kAttemptsMax)
      return std::unexpected(errno);
  }
}

Opened open_one(int directory, const char* name, int flags, mode_t mode = 0) {
  while (true) {
    const int fd = ::openat(directory, name, with_always(flags | O_NOFOLLOW), mode);
    if (fd >= 0) return FileDescriptor(fd);
    if (errno != EINTR) return std::unexpected(errno);
  }
}

// One walk; see the top of this file.
class Steps {
 public:
  Steps(int base, const char* path, int flags, mode_t mode)
      : base_(base), flags_(flags), mode_(mode), rest_(path) {}

  Opened run() {
    if (rest_.empty()) return std::unexpected(ENOENT);
    if (rest_.front() == '/') return std::unexpected(EXDEV);
    while (true) {
      const std::string name = next();
      if (name.empty() || (name == "." && is_last())) return open_here();
      if (name == ".") continue;
      if (name == "..") {
        if (const int error = leave()) return std::unexpected(error);
        if (is_last()) return open_here();
        continue;
      }
      if (is_last() && !ends_in_slash_) {
        Opened opened = open_last(name);
        if (opened || opened.error() != kExpanded) return opened;
        continue;
      }
      if (ends_in_slash_ && is_last() && (flags_ & O_CREAT) != 0) return std::unexpected(EISDIR);
      if (const int error = enter(name); error != 0 && error != kExpanded)
        return std::unexpected(error);
    }
  }

 private:
  static constexpr int kExpanded = -1;  // it was a link, and rest_ now begins with its target

  // Takes the next name off rest_, and the slashes behind it.
  std::string next() {
    const std::size_t end = std::min(rest_.find('/'), rest_.size());
    std::string name = rest_.substr(0, end);
    const std::size_t after = std::min(rest_.find_first_not_of('/', end), rest_.size());
    ends_in_slash_ = after > end;
    rest_.erase(0, after);
    return name;
  }
  [[nodiscard]] bool is_last() const { return rest_.empty(); }
  [[nodiscard]] int here() const { return current_ ? current_.get() : base_; }

  // The directory that the walk stands in, opened as the caller wants it.
  Opened open_here() {
    if ((flags_ & O_CREAT) != 0) return std::unexpected((flags_ & O_EXCL) != 0 ? EEXIST : EISDIR);
    return open_one(here(), ".", flags_);
  }

  Opened open_last(const std::string& name) {
    const bool exclusive = (flags_ & O_CREAT) != 0 && (flags_ & O_EXCL) != 0;
    if ((flags_ & O_NOFOLLOW) == 0 && !exclusive) {
      const Opened seen = open_one(here(), name.c_str(), O_PATH);
      if (seen) {
        if (const int error = expand(seen->get(), "")) return std::unexpected(error);
      } else if (seen.error() != ENOENT) {
        return std::unexpected(seen.error());
      }
    }
    return open_one(here(), name.c_str(), flags_, mode_);
  }

  // Goes into a directory, or expands a link.
  int enter(const std::string& name) {
    Opened opened = open_one(here(), name.c_str(), O_PATH);
    if (!opened) return opened.error();
    if (const int error = expand(opened->get(), "/")) return error;
    struct stat stat = {};
    if (::fstat(opened->get(), &stat) != 0) return errno;
    if (!S_ISDIR(stat.st_mode)) return ENOTDIR;
    names_ += name;
    names_ += '/';
    current_ = *std::move(opened);
    return 0;
  }

  // Puts a link's target, and what stood `behind` the link, before what is left. 0 for what is no
  // link.
  int expand(int fd, const char* behind) {
    struct stat stat = {};
    if (::fstat(fd, &stat) != 0) return errno;
    if (!S_ISLNK(stat.st_mode)) return 0;
    if (++links_ > kLinksMax) return ELOOP;
    std::array<char, PATH_MAX> target = {};
    const ssize_t size = ::readlinkat(fd, "", target.data(), target.size());
    if (size < 0) return errno;
    if (size == 0) return ENOENT;
    if (target[0] == '/') return EXDEV;
    std::string expanded(target.data(), static_cast<std::size_t>(size));
    expanded += behind;
    expanded += rest_;
    if (expanded.size() >= PATH_MAX) return ENAMETOOLONG;
    rest_ = std::move(expanded);
    return kExpanded;
  }

  int leave() {
    if (names_.empty()) return EXDEV;
    names_.erase(names_.find_last_of('/', names_.size() - 2) + 1);
    current_.reset();
    for (std::size_t begin = 0; begin < names_.size();) {
      const std::size_t end = names_.find('/', begin);
      Opened opened =
          open_one(here(), names_.substr(begin, end - begin).c_str(), O_PATH | O_DIRECTORY);
      if (!opened) return opened.error();
      current_ = *std::move(opened);
      begin = end + 1;
    }
    return 0;
  }

  const int base_;
  const int flags_;
  const mode_t mode_;
  std::string rest_;   // not yet walked
  std::string names_;  // from the base to where the walk stands, each with a slash behind it
  FileDescriptor current_;
  int links_ = 0;
  bool ends_in_slash_ = false;  // of what next() gave
};

}  // namespace

WasiPathWalk wasi_path_walk_of_host() {
  static const WasiPathWalk walk = [] {
    open_how how = {.flags = O_PATH | O_CLOEXEC, .mode = 0, .resolve = RESOLVE_BENEATH};
    const FileDescriptor probe(openat2(AT_FDCWD, ".", how));
    // ENOSYS of an old kernel, EPERM of a container's seccomp filter.
    return probe || (errno != ENOSYS && errno != EPERM) ? WasiPathWalk::kKernel
                                                        : WasiPathWalk::kSteps;
  }();
  return walk;
}

std::expected<FileDescriptor, int> open_beneath(WasiPathWalk walk, int directory, const char* path,
                                                int flags, mode_t mode) {
  if (walk == WasiPathWalk::kKernel) return open_by_kernel(directory, path, flags, mode);
  return Steps(directory, path, flags, mode).run();
}

std::expected<WasiEntry, int> entry_beneath(WasiPathWalk walk, int directory, char* path,
                                            int dotdot_error) {
  const std::string_view all = path;
  if (all.empty()) return std::unexpected(ENOENT);
  if (all.front() == '/') return std::unexpected(EXDEV);
  const std::size_t last = all.find_last_not_of('/');
  const std::size_t slash = all.find_last_of('/', last);
  const std::size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
  if (all.substr(begin, last + 1 - begin) == "..") {
    const Opened whole = open_beneath(walk, directory, path, O_PATH | O_DIRECTORY);
    return std::unexpected(whole ? dotdot_error : whole.error());
  }
  if (begin == 0) return WasiEntry{.opened = {}, .directory = directory, .name = path};
  path[slash] = '\0';
  Opened parent = open_beneath(walk, directory, path, O_PATH | O_DIRECTORY);
  if (!parent) return std::unexpected(parent.error());
  const int fd = parent->get();
  return WasiEntry{.opened = *std::move(parent), .directory = fd, .name = path + begin};
}

}  // namespace seam::wasm
