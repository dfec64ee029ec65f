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

std::string parent() {
  const char* const given = ::getenv("TMPDIR");
  return given != nullptr && *given != '\0' ? given : "/tmp";
}

// The folder, locked by us; nothing where another process has it or it is not ours.
FileDescriptor locked(const std::string& path) {
  FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat opened{};
  struct stat there{};
  if (!folder || ::fstat(folder.get(), &opened) != 0 || opened.st_uid != ::geteuid() ||
      ::flock(folder.get(), LOCK_EX | LOCK_NB) != 0 || ::lstat(path.c_str(), &there) != 0 ||
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
    if (each->path().filename().string().starts_with(kPrefix)) found.push_back(each->path());
  }
  for (const std::string& path : found) {
    if (const FileDescriptor lock = locked(path)) remove(path);
  }
}

}  // namespace

Result<std::unique_ptr<RunFolder>> RunFolder::make() {
  remove_left_over();
  for (;;) {
    std::string path = fmt::format("{}/{}XXXXXX", parent(), kPrefix);
    if (::mkdtemp(path.data()) == nullptr) {
      return fail_errno(fmt::format("cannot make {} (set TMPDIR to a folder with room)", path),
                        errno);
    }
    // Between these two another process may take it for one that was left over.
    if (FileDescriptor lock = locked(path))
      return std::unique_ptr<RunFolder>(new RunFolder(std::move(path), std::move(lock)));
  }
}

RunFolder::~RunFolder() { remove(path_); }

}  // namespace seam::cli
