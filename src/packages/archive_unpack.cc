// libarchive reads the format; every step on disk is taken here, with openat2(RESOLVE_BENEATH,
// RESOLVE_NO_SYMLINKS) from a descriptor of the folder, so that no path can leave it. Links are
// made last, when nothing is written through them any more, and then the kernel is asked of each
// whether following it stays within.
//
// Every byte that comes out of the decompressor is counted, whatever the headers say, and nothing
// is skipped: what cannot be taken ends the work. So a bomb costs no more than the limits.

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>

#include "base/file_descriptor.h"
#include "packages/archive.h"
#include "packages/utf8_locale.h"

namespace seam::packages {

namespace {

constexpr std::size_t kBlockBytes = 64U << 10U;

using Reader = std::unique_ptr<archive, decltype([](archive* a) { ::archive_read_free(a); })>;

std::string shown(std::string_view path) {
  std::string text(path.substr(0, 200));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return text;
}

std::unexpected<Error> refuse(std::string_view path, std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("the archive's '{}' {}", shown(path), why));
}

std::unexpected<Error> damaged(archive* reader) {
  const char* const said = ::archive_error_string(reader);
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("the archive cannot be read: {}; make it with `tar czf`",
                          said == nullptr ? "unknown format" : said));
}

FileDescriptor open_beneath(int root, const std::string& path, std::uint64_t flags,
                            std::uint64_t mode, std::uint64_t resolve) {
  open_how how{.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
  return FileDescriptor(
      static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
}

constexpr std::uint64_t kPlain = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;

// A target that goes up only at its beginning, and not above the folder: "../lib/x" from "bin/x".
bool stays_within(std::string_view link, std::string_view target) {
  if (target.empty() || target.starts_with('/')) return false;
  auto depth = static_cast<std::ptrdiff_t>(std::ranges::count(link, '/'));
  bool down = false;
  while (!target.empty()) {
    const std::size_t slash = std::min(target.find('/'), target.size());
    const std::string_view part = target.substr(0, slash);
    target.remove_prefix(std::min(slash + 1, target.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (down || --depth < 0) return false;
    } else {
      down = true;
    }
  }
  return true;
}

class Unpacking {
 public:
  Unpacking(std::string_view packed, const ArchiveLimits& limits)
      : limits_(limits), packed_bytes_(packed.size()) {
    reader_.reset(::archive_read_new());
  }

  Result<ArchiveSize> run(std::string_view packed, const std::string& folder) {
    root_ = FileDescriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root_) return fail_errno("cannot open " + folder, errno);
    archive* const reader = reader_.get();
    ::archive_read_support_filter_gzip(reader);
    ::archive_read_support_format_tar(reader);
    if (::archive_read_open_memory(reader, packed.data(), packed.size()) != ARCHIVE_OK)
      return damaged(reader);
    archive_entry* entry = nullptr;
    for (;;) {
      const int read = ::archive_read_next_header(reader, &entry);
      if (read == ARCHIVE_EOF) break;
      if (read != ARCHIVE_OK && read != ARCHIVE_WARN) return damaged(reader);
      SEAM_RETURN_IF_ERROR(take(entry));
    }
    if (size_.entries == 0) return fail(ErrorCode::kInvalidArgument, "the archive holds no files");
    SEAM_RETURN_IF_ERROR(make_links());
    return size_;
  }

 private:
  Result<void> take(archive_entry* entry) {
    // A folder may be named again and again, and headers have a size too.
    if (++headers_ > 2 * limits_.entries_max) return too_many();
    const std::int64_t unzipped = ::archive_filter_bytes(reader_.get(), 0);
    if (static_cast<std::uint64_t>(unzipped) > limits_.bytes_max + headers_max_bytes())
      return fail(ErrorCode::kResourceExhausted,
                  "the archive's headers take more room than its files may");
    const char* name = ::archive_entry_pathname_utf8(entry);
    if (name == nullptr) name = ::archive_entry_pathname(entry);
    if (name == nullptr) return refuse("", "has no name that can be read");
    std::string_view path = name;
    while (path.starts_with("./")) path.remove_prefix(2);
    const auto kind = ::archive_entry_filetype(entry);
    const bool is_folder = kind == AE_IFDIR;
    while (is_folder && path.ends_with('/')) path.remove_suffix(1);
    if (is_folder && (path.empty() || path == ".")) return {};  // the archive's own folder
    if (const std::string_view problem = problem_of_path(path); !problem.empty())
      return refuse(name, problem);
    if (const char* target = hardlink_of(entry)) return link_file(path, target);
    if (kind == AE_IFREG) return write_file(path, entry);
    if (::archive_entry_size(entry) > 0)
      return refuse(path, "is no file and has content: make the archive with `tar czf`");
    if (is_folder) return make_folder(path);
    if (kind == AE_IFLNK) return keep_link(path, entry);
    return refuse(path, "is a device, a pipe or a socket: only files, folders and links are taken");
  }

  [[nodiscard]] std::uint64_t headers_max_bytes() const { return 2048 * limits_.entries_max; }

  [[nodiscard]] std::unexpected<Error> too_many() const {
    return fail(
        ErrorCode::kResourceExhausted,
        fmt::format("the archive has more than {} files, folders and links: leave out what the "
                    "function does not need",
                    limits_.entries_max));
  }

  // One more file, folder or link.
  Result<void> count_entry() {
    if (++size_.entries > limits_.entries_max) return too_many();
    return {};
  }

  static const char* hardlink_of(archive_entry* entry) {
    const char* target = ::archive_entry_hardlink_utf8(entry);
    return target != nullptr ? target : ::archive_entry_hardlink(entry);
  }

  Result<void> make_folder(std::string_view path) {
    const std::string whole(path);
    if (made_.contains(whole)) return {};
    SEAM_RETURN_IF_ERROR(make_above(path));
    SEAM_RETURN_IF_ERROR(count_entry());
    const std::size_t slash = whole.rfind('/');
    const std::string above = slash == std::string::npos ? "." : whole.substr(0, slash);
    const std::string name = slash == std::string::npos ? whole : whole.substr(slash + 1);
    const FileDescriptor parent =
        open_beneath(root_.get(), above, O_RDONLY | O_DIRECTORY, 0, kPlain);
    if (!parent) return refuse(path, "lies in something that is no folder");
    if (::mkdirat(parent.get(), name.c_str(), 0755) != 0) {
      if (errno == EEXIST) return refuse(path, "is there twice");
      return fail_errno("cannot make " + shown(path), errno);
    }
    if (::fchmodat(parent.get(), name.c_str(), 0755, 0) != 0)  // whatever the umask is
      return fail_errno("cannot make " + shown(path), errno);
    made_.insert(whole);
    return {};
  }

  // The folders that the archive names only in the paths of its files.
  Result<void> make_above(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) return {};
    const std::string above(path.substr(0, slash));
    return made_.contains(above) ? Result<void>() : make_folder(above);
  }

  Result<void> write_file(std::string_view path, archive_entry* entry) {
    SEAM_RETURN_IF_ERROR(make_above(path));
    SEAM_RETURN_IF_ERROR(count_entry());
    const bool executable = (::archive_entry_perm(entry) & S_IXUSR) != 0;
    const FileDescriptor file =
        open_beneath(root_.get(), std::string(path), O_WRONLY | O_CREAT | O_EXCL, 0600, kPlain);
    if (!file) {
      if (errno == EEXIST) return refuse(path, "is there twice");
      if (errno == ENOTDIR) return refuse(path, "lies in something that is no folder");
      return fail_errno("cannot write " + shown(path), errno);
    }
    for (;;) {
      const la_ssize_t count = ::archive_read_data(reader_.get(), block_.data(), block_.size());
      if (count == 0) break;
      if (count < 0) return damaged(reader_.get());
      SEAM_RETURN_IF_ERROR(count_bytes(static_cast<std::uint64_t>(count)));
      SEAM_RETURN_IF_ERROR(write_all(file, path, {block_.data(), static_cast<std::size_t>(count)}));
    }
    if (::fchmod(file.get(), executable ? 0755 : 0644) != 0)
      return fail_errno("cannot write " + shown(path), errno);
    return {};
  }

  static Result<void> write_all(const FileDescriptor& file, std::string_view path,
                                std::string_view left) {
    while (!left.empty()) {
      const ssize_t count = ::write(file.get(), left.data(), left.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return fail_errno("cannot write " + shown(path), errno);
      left.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
  }

  Result<void> count_bytes(std::uint64_t count) {
    size_.bytes += count;
    if (size_.bytes > limits_.bytes_max) {
      return fail(ErrorCode::kResourceExhausted,
                  fmt::format("the archive is more than {} bytes when unpacked: leave out what the "
                              "function does not need",
                              limits_.bytes_max));
    }
    if (size_.bytes > ArchiveLimits::kRatioFreeBytes &&
        size_.bytes / limits_.ratio_max > packed_bytes_) {
      return fail(ErrorCode::kResourceExhausted,
                  fmt::format("the archive unpacks to more than {} times its {} bytes: no real "
                              "program does",
                              limits_.ratio_max, packed_bytes_));
    }
    return {};
  }

  // A second name of a file that came before.
  Result<void> link_file(std::string_view path, std::string_view target) {
    while (target.starts_with("./")) target.remove_prefix(2);
    if (const std::string_view problem = problem_of_path(target); !problem.empty())
      return refuse(path, "is a link to a path that is not in the archive");
    SEAM_RETURN_IF_ERROR(make_above(path));
    SEAM_RETURN_IF_ERROR(count_entry());
    const FileDescriptor file = open_beneath(root_.get(), std::string(target), O_RDONLY, 0, kPlain);
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
      return refuse(path, "is a link to a file that does not come before it");
    SEAM_RETURN_IF_ERROR(count_bytes(static_cast<std::uint64_t>(status.st_size)));
    const FileDescriptor copy =
        open_beneath(root_.get(), std::string(path), O_WRONLY | O_CREAT | O_EXCL, 0600, kPlain);
    if (!copy) {
      if (errno == EEXIST) return refuse(path, "is there twice");
      return fail_errno("cannot write " + shown(path), errno);
    }
    ssize_t count = 0;
    while ((count = ::read(file.get(), block_.data(), block_.size())) > 0)
      SEAM_RETURN_IF_ERROR(write_all(copy, path, {block_.data(), static_cast<std::size_t>(count)}));
    if (count < 0 || ::fchmod(copy.get(), status.st_mode & 0755U) != 0)
      return fail_errno("cannot write " + shown(path), errno);
    return {};
  }

  Result<void> keep_link(std::string_view path, archive_entry* entry) {
    const char* target = ::archive_entry_symlink_utf8(entry);
    if (target == nullptr) target = ::archive_entry_symlink(entry);
    if (target == nullptr || std::string_view(target).size() > ArchiveLimits::kPathBytesMax ||
        !stays_within(path, target))
      return refuse(path, "is a link that leads out of the archive");
    SEAM_RETURN_IF_ERROR(make_above(path));
    SEAM_RETURN_IF_ERROR(count_entry());
    links_.emplace_back(path, target);
    return {};
  }

  Result<void> make_links() {
    for (const auto& [path, target] : links_) {
      const std::size_t slash = path.rfind('/');
      const std::string above = slash == std::string::npos ? "." : path.substr(0, slash);
      const FileDescriptor parent =
          open_beneath(root_.get(), above, O_RDONLY | O_DIRECTORY, 0, kPlain);
      if (!parent) return refuse(path, "lies in something that is no folder");
      const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
      if (::symlinkat(target.c_str(), parent.get(), name.c_str()) != 0) {
        if (errno == EEXIST) return refuse(path, "is there twice");
        return fail_errno("cannot make " + shown(path), errno);
      }
    }
    // One that leads nowhere is harmless; packages hold such.
    for (const auto& [path, target] : links_) {
      const FileDescriptor there = open_beneath(root_.get(), path, O_PATH, 0, RESOLVE_BENEATH);
      if (!there && errno != ENOENT && errno != ENOTDIR)
        return refuse(path, "is a link that leads out of the archive");
    }
    return {};
  }

  const ArchiveLimits& limits_;
  const std::uint64_t packed_bytes_;
  Reader reader_;
  FileDescriptor root_;
  ArchiveSize size_;
  std::uint64_t headers_ = 0;
  std::set<std::string> made_;  // folders
  std::vector<std::pair<std::string, std::string>> links_;
  std::array<char, kBlockBytes> block_{};
};

}  // namespace

bool is_archive(std::string_view content) { return content.starts_with("\x1f\x8b\x08"); }

std::string_view problem_of_path(std::string_view path) {
  if (path.empty()) return "has no name";
  if (path.starts_with('/')) return "has an absolute path: pack with paths below the project";
  if (path.size() > ArchiveLimits::kPathBytesMax) return "has a path of more than 1024 bytes";
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    if (slash + 1 == path.size()) return "has a path that ends in a slash";
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part == "..") return "has a path that leads out of the archive";
    if (part.empty() || part == ".") return "has a path with an empty part";
    if (part.size() > ArchiveLimits::kNameBytesMax) return "has a name of more than 255 bytes";
    if (std::ranges::any_of(
            part, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }))
      return "has a control character in its path";
  }
  return {};
}

Result<ArchiveSize> unpack_archive(std::string_view packed, const std::string& folder,
                                   const ArchiveLimits& limits) {
  const Utf8Locale utf8;
  // On the heap: its block is large.
  const auto unpacking = std::make_unique<Unpacking>(packed, limits);
  return unpacking->run(packed, folder);
}

Result<ArchiveSize> measure_folder(const std::string& folder) {
  ArchiveSize size;
  std::error_code error;
  std::filesystem::recursive_directory_iterator all(folder, error);
  while (!error && all != std::filesystem::end(all)) {
    ++size.entries;
    const std::filesystem::file_status status = all->symlink_status(error);
    if (!error && std::filesystem::is_regular_file(status)) size.bytes += all->file_size(error);
    if (!error) all.increment(error);
  }
  if (error) return fail_errno("cannot read " + folder, error.value());
  return size;
}

}  // namespace seam::packages
