#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>

#include "base/file_descriptor.h"
#include "packages/archive.h"
#include "packages/utf8_locale.h"

namespace seam::packages {

namespace {

using Writer = std::unique_ptr<archive, decltype([](archive* a) { ::archive_write_free(a); })>;
using Entry =
    std::unique_ptr<archive_entry, decltype([](archive_entry* e) { ::archive_entry_free(e); })>;

struct Packed {
  std::string bytes;
  std::uint64_t bytes_max = 0;
};

// One that fails ends the work; errno is what libarchive keeps of it.
la_ssize_t collect(archive*, void* client, const void* data, size_t size) {
  auto& packed = *static_cast<Packed*>(client);
  if (packed.bytes.size() + size > packed.bytes_max) {
    errno = EFBIG;
    return -1;
  }
  packed.bytes.append(static_cast<const char*>(data), size);
  return static_cast<la_ssize_t>(size);
}

Result<void> write_content(archive* writer, const ArchiveFile& file, std::uint64_t size) {
  const FileDescriptor in(::open(file.from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) return fail_errno("cannot read " + file.from, errno);
  std::array<char, 64U << 10U> block;
  std::uint64_t left = size;
  for (;;) {
    const ssize_t count = ::read(in.get(), block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("cannot read " + file.from, errno);
    if (count == 0) break;
    if (static_cast<std::uint64_t>(count) > left) break;
    if (::archive_write_data(writer, block.data(), static_cast<std::size_t>(count)) != count)
      return {};  // the end tells why
    left -= static_cast<std::uint64_t>(count);
  }
  if (left > 0)
    return fail(ErrorCode::kAborted,
                fmt::format("{} changed while it was read: pack again", file.from));
  return {};
}

Result<void> write_entry(archive* writer, const ArchiveFile& file) {
  struct stat status{};
  if (::lstat(file.from.c_str(), &status) != 0)
    return fail_errno("cannot read " + file.from, errno);
  const Entry entry(::archive_entry_new());
  ::archive_entry_set_pathname_utf8(entry.get(), file.path.c_str());
  ::archive_entry_set_mtime(entry.get(), 0, 0);
  ::archive_entry_set_uid(entry.get(), 0);
  ::archive_entry_set_gid(entry.get(), 0);
  std::uint64_t size = 0;
  if (S_ISLNK(status.st_mode)) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(file.from, error).string();
    if (error) return fail_errno("cannot read " + file.from, error.value());
    ::archive_entry_set_filetype(entry.get(), AE_IFLNK);
    ::archive_entry_set_perm(entry.get(), 0777);
    ::archive_entry_set_symlink_utf8(entry.get(), target.c_str());
  } else if (S_ISREG(status.st_mode)) {
    size = static_cast<std::uint64_t>(status.st_size);
    ::archive_entry_set_filetype(entry.get(), AE_IFREG);
    ::archive_entry_set_perm(entry.get(), (status.st_mode & S_IXUSR) != 0 ? 0755 : 0644);
    ::archive_entry_set_size(entry.get(), status.st_size);
  } else {
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{} is neither a file nor a link: leave it out by .seamignore", file.from));
  }
  const int wrote = ::archive_write_header(writer, entry.get());
  if (wrote != ARCHIVE_OK && wrote != ARCHIVE_WARN) return {};  // the end tells why
  return size > 0 ? write_content(writer, file, size) : Result<void>();
}

}  // namespace

Result<std::string> pack_archive(std::vector<ArchiveFile> files, std::uint64_t bytes_max) {
  const Utf8Locale utf8;
  std::ranges::sort(files, {}, &ArchiveFile::path);
  Packed packed{.bytes = {}, .bytes_max = bytes_max};
  {
    const Writer writer(::archive_write_new());
    ::archive_write_set_format_pax_restricted(writer.get());
    ::archive_write_add_filter_gzip(writer.get());
    // No time in gzip's own header either.
    ::archive_write_set_options(writer.get(), "gzip:!timestamp,hdrcharset=UTF-8");
    ::archive_write_set_bytes_in_last_block(writer.get(), 1);
    if (::archive_write_open(writer.get(), &packed, nullptr, collect, nullptr) != ARCHIVE_OK)
      return fail(ErrorCode::kInternal, "the archive cannot be begun");
    for (const ArchiveFile& file : files) SEAM_RETURN_IF_ERROR(write_entry(writer.get(), file));
    if (::archive_write_close(writer.get()) != ARCHIVE_OK) {
      return fail(ErrorCode::kResourceExhausted,
                  fmt::format("the project is more than {} bytes when packed: leave out what the "
                              "function does not need by .seamignore",
                              bytes_max));
    }
  }
  return std::move(packed.bytes);
}

}  // namespace seam::packages
