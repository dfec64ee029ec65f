#include "cli/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <vector>

namespace seam::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "seam-run-";
constexpr std::string_view kRandom = "XXXXXX";
constexpr std::string_view kMark = ".seam-run";  // a file that says whose the folder is

std::string parent() {
  const char* const given = ::getenv("TMPDIR");
  return given != nullptr && *given != '\0' ? given : "/tmp";
}

// The folder, locked by us; nothing where another process has it or it is not ours.
// may_wait   flock's LOCK_NB, or 0 to wait for a process that is looking at it
FileDescriptor locked(const std::string& path, int may_wait) {
  FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat opened{};
  struct stat there{};
  if (!folder || ::fstat(folder.get(), &opened) != 0 || opened.st_uid != ::geteuid() ||
      ::flock(folder.get(), LOCK_EX | may_wait) != 0 || ::lstat(path.c_str(), &there) != 0 ||
      there.st_ino != opened.st_ino)
    return {};
  return folder;
}

void remove(const std::string& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

void remove_left_over() {
  std::error_code error;
  std::vector<std::string> found;
  for (fs::directory_iterator each(parent(), error); !error && each != fs::end(each);
       each.increment(error)) {
    const std::string name = each->path().filename().string();
    if (name.starts_with(kPrefix) && name.size() == kPrefix.size() + kRandom.size())
      found.push_back(each->path());
  }
  for (const std::string& path : found) {
    const FileDescriptor lock = locked(path, LOCK_NB);
    if (lock && ::faccessat(lock.get(), kMark.data(), F_OK, AT_SYMLINK_NOFOLLOW) == 0) remove(path);
  }
}

}  // namespace

Result<std::unique_ptr<RunFolder>> RunFolder::make() {
  remove_left_over();
  std::string path = fmt::format("{}/{}{}", parent(), kPrefix, kRandom);
  if (::mkdtemp(path.data()) == nullptr) {
    return fail_errno(fmt::format("cannot make {} (set TMPDIR to a folder with room)", path),
                      errno);
  }
  FileDescriptor lock = locked(path, 0);
  if (!lock) return fail_errno("cannot lock " + path, errno);
  const FileDescriptor mark(
      ::openat(lock.get(), kMark.data(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  std::unique_ptr<RunFolder> folder(new RunFolder(std::move(path), std::move(lock)));
  if (!mark) return fail_errno("cannot write in " + folder->path(), errno);
  return folder;
}

RunFolder::~RunFolder() { remove(path_); }

}  // namespace seam::cli
