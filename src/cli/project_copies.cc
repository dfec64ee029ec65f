#include "cli/project_copies.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "base/file_descriptor.h"

namespace seam::cli {

namespace fs = std::filesystem;

struct ProjectCopies::Entry {
  std::string from;
  struct stat status{};
  std::string target;    // of a link
  bool changed = false;  // differs from the copy before
  [[nodiscard]] bool is_link() const { return S_ISLNK(status.st_mode); }
  [[nodiscard]] bool executable() const { return (status.st_mode & S_IXUSR) != 0; }
};

struct ProjectCopies::Released {
  std::mutex mutex;
  std::vector<std::string> folders;
};

namespace {

auto identity(const struct stat& s) {
  return std::tuple(s.st_dev, s.st_ino, s.st_size, s.st_mode, s.st_mtim.tv_sec, s.st_mtim.tv_nsec,
                    s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
}

// Whether a link at `path` leads to a place within the folder.
bool stays_within(const std::string& path, const std::string& target) {
  if (target.starts_with('/')) return false;
  const fs::path whole = (fs::path(path).parent_path() / target).lexically_normal();
  return whole.empty() || *whole.begin() != "..";
}

Result<FileDescriptor> open_file(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return fail_errno("cannot read " + path, errno);
  return file;
}

// At most `size` bytes, fewer at the end; -1 and errno.
ssize_t read_whole(int fd, char* out, std::size_t size) {
  std::size_t got = 0;
  while (got < size) {
    const ssize_t count = ::read(fd, out + got, size - got);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -1;
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  }
  return static_cast<ssize_t>(got);
}

bool equal_bytes(const std::string& a, const std::string& b) {
  const Result<FileDescriptor> left = open_file(a);
  const Result<FileDescriptor> right = open_file(b);
  if (!left || !right) return false;
  std::array<char, 65536> x{};
  std::array<char, 65536> y{};
  for (;;) {
    const ssize_t m = read_whole(left->get(), x.data(), x.size());
    const ssize_t n = read_whole(right->get(), y.data(), y.size());
    if (m != n || m < 0) return false;
    if (m == 0) return true;
    if (!std::equal(x.begin(), x.begin() + m, y.begin())) return false;
  }
}

Result<void> copy_file(const std::string& from, const std::string& to, bool executable) {
  SEAM_ASSIGN_OR_RETURN(const FileDescriptor source, open_file(from));
  const mode_t mode = executable ? 0755 : 0644;
  const FileDescriptor target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  // The mode is that of an archive whatever the umask.
  if (!target || ::fchmod(target.get(), mode) != 0) return fail_errno("cannot write " + to, errno);
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t count = read_whole(source.get(), buffer.data(), buffer.size());
    if (count < 0) return fail_errno("cannot read " + from, errno);
    if (count == 0) return {};
    for (ssize_t done = 0; done < count;) {
      const ssize_t written =
          ::write(target.get(), buffer.data() + done, static_cast<std::size_t>(count - done));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return fail_errno("cannot write " + to, errno);
      done += written;
    }
  }
}

}  // namespace

ProjectCopies::ProjectCopies(std::string parent, packages::ArchiveLimits limits)
    : parent_(std::move(parent)), limits_(limits), released_(std::make_shared<Released>()) {}

ProjectCopies::~ProjectCopies() = default;

Result<ProjectCopies::Entries> ProjectCopies::look(
    const std::vector<packages::ArchiveFile>& files) const {
  Entries entries;
  std::uint64_t bytes = 0;
  for (const packages::ArchiveFile& file : files) {
    Entry entry{.from = file.from, .status = {}, .target = {}};
    if (::lstat(file.from.c_str(), &entry.status) != 0)
      return fail_errno("cannot read " + file.from, errno);
    if (entry.is_link()) {
      std::error_code error;
      entry.target = fs::read_symlink(file.from, error).string();
      if (error) return fail_errno("cannot read " + file.from, error.value());
      if (!stays_within(file.path, entry.target)) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("{} is a link to {}, which leaves the project: put the file itself "
                                "there",
                                file.path, entry.target));
      }
    } else if (!S_ISREG(entry.status.st_mode)) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("{} is neither a file nor a link: leave it out by .seamignore", file.path));
    } else {
      bytes += static_cast<std::uint64_t>(entry.status.st_size);
    }
    entries.insert_or_assign(file.path, std::move(entry));
  }
  if (bytes > limits_.bytes_max || entries.size() > limits_.entries_max) {
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("the project has {} files with {} bytes: at most {} with {} are taken. "
                            "Leave some out by .seamignore",
                            entries.size(), bytes, limits_.entries_max, limits_.bytes_max));
  }
  return entries;
}

bool ProjectCopies::same_file(const std::string& path, const Entry& now) const {
  if (!entries_) return false;
  const auto found = entries_->find(path);
  if (found == entries_->end()) return false;
  const Entry& before = found->second;
  if (identity(before.status) == identity(now.status)) return true;
  if (before.is_link() || now.is_link())
    return before.is_link() && now.is_link() && before.target == now.target;
  return before.status.st_size == now.status.st_size && before.executable() == now.executable() &&
         equal_bytes(now.from, *folder_ + "/" + path);
}

Result<void> ProjectCopies::fill(const std::string& folder, const Entries& entries) const {
  std::set<std::string> made{folder};
  for (const auto& [path, entry] : entries) {
    const std::string to = folder + "/" + path;
    if (const std::string parent = to.substr(0, to.rfind('/')); !made.contains(parent)) {
      for (std::size_t slash = to.find('/', folder.size() + 1); slash != std::string::npos;
           slash = to.find('/', slash + 1)) {
        const std::string each = to.substr(0, slash);
        if (!made.insert(each).second) continue;
        if (::mkdir(each.c_str(), 0755) != 0 || ::chmod(each.c_str(), 0755) != 0)
          return fail_errno("cannot make " + each, errno);
      }
    }
    if (entry.is_link()) {
      if (::symlink(entry.target.c_str(), to.c_str()) != 0)
        return fail_errno("cannot make " + to, errno);
    } else if (entry.changed ||
               ::link((*folder_ + "/" + path).c_str(), to.c_str()) != 0) {  // too many links, say
      SEAM_RETURN_IF_ERROR(copy_file(entry.from, to, entry.executable()));
    }
  }
  return {};
}

Result<packages::FolderPtr> ProjectCopies::take(const std::vector<packages::ArchiveFile>& files) {
  SEAM_ASSIGN_OR_RETURN(Entries entries, look(files));
  bool differs = !entries_ || entries_->size() != entries.size();
  for (auto& [path, entry] : entries) {
    entry.changed = !same_file(path, entry);
    differs = differs || entry.changed;
  }
  if (!differs) {
    *entries_ = std::move(entries);  // with what is known of the files now
    return folder_;
  }
  const std::string own = fmt::format("{}/copy-{}", parent_, ++count_);
  const std::string inner = own + "/files";
  // Workers that run under another user see the inner folder alone.
  if (::mkdir(own.c_str(), 0700) != 0 || ::mkdir(inner.c_str(), 0755) != 0 ||
      ::chmod(inner.c_str(), 0755) != 0)
    return fail_errno("cannot make " + inner, errno);
  if (const Result<void> filled = fill(inner, entries); !filled) {
    std::error_code ignored;
    fs::remove_all(own, ignored);
    return std::unexpected(filled.error());
  }
  folder_ = packages::FolderPtr(new std::string(inner),
                                [released = released_, own](const std::string* path) {
                                  delete path;
                                  const std::lock_guard lock(released->mutex);
                                  released->folders.push_back(own);
                                });
  entries_ = std::make_unique<Entries>(std::move(entries));
  return folder_;
}

void ProjectCopies::collect() {
  std::vector<std::string> folders;
  {
    const std::lock_guard lock(released_->mutex);
    folders.swap(released_->folders);
  }
  std::error_code ignored;  // what stays goes with the parent
  for (const std::string& folder : folders) fs::remove_all(folder, ignored);
}

}  // namespace seam::cli
