#include "wasm/module_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "base/identifier.h"

namespace seam::wasm {
namespace {

constexpr std::string_view kSuffix = ".code";

// Ours, and nobody else may as much as read it.
bool is_private(const struct stat& stat) {
  return stat.st_uid == ::geteuid() && (stat.st_mode & 077U) == 0;
}

std::string name_of(std::string_view engine_key, std::string_view content_hash) {
  return fmt::format("{}-{}{}", content_hash, sha256_hex(engine_key).substr(0, 16), kSuffix);
}

// What a file begins with; the code follows.
std::string header_of(std::string_view engine_key, std::string_view content_hash,
                      std::string_view machine_code) {
  return fmt::format("seam wasm code 1\n{}\n{}\n{}\n", engine_key, content_hash,
                     sha256_hex(machine_code));
}

bool read_all(int fd, std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(fd, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

}  // namespace

Result<ModuleCache> ModuleCache::open(const std::filesystem::path& folder,
                                      std::uint64_t bytes_max) {
  if (std::error_code error;
      std::filesystem::create_directories(folder.parent_path(), error), error) {
    return fail_errno(folder.parent_path().string(), error.value());
  }
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno(folder.string(), errno);
  FileDescriptor descriptor(
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!descriptor) return fail_errno(folder.string(), errno);
  struct stat stat{};
  if (::fstat(descriptor.get(), &stat) != 0) return fail_errno(folder.string(), errno);
  if (!is_private(stat)) {
    return fail(
        seam::ErrorCode::kFailedPrecondition,
        fmt::format(
            "{} must belong to this user and have mode 0700, for machine code is run from it",
            folder.string()));
  }
  return ModuleCache(folder, std::move(descriptor), bytes_max);
}

std::optional<std::string> ModuleCache::find(std::string_view engine_key,
                                             std::string_view content_hash) const {
  const std::string name = name_of(engine_key, content_hash);
  const FileDescriptor file(
      ::openat(descriptor_.get(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat stat{};
  if (!file || ::fstat(file.get(), &stat) != 0) return std::nullopt;
  if (!S_ISREG(stat.st_mode) || !is_private(stat)) return std::nullopt;
  std::string bytes(static_cast<std::size_t>(stat.st_size), '\0');
  if (!read_all(file.get(), bytes)) return std::nullopt;
  const std::size_t header_size =
      header_of(engine_key, content_hash, {}).size();  // digests have one length
  if (bytes.size() <= header_size) return std::nullopt;
  const std::string_view code = std::string_view(bytes).substr(header_size);
  if (!bytes.starts_with(header_of(engine_key, content_hash, code))) return std::nullopt;
  bytes.erase(0, header_size);
  return bytes;
}

Result<> ModuleCache::keep(std::string_view engine_key, std::string_view content_hash,
                           std::string_view machine_code) const {
  const std::string temporary = random_uuid() + ".part";
  const std::string name = name_of(engine_key, content_hash);
  const FileDescriptor file(::openat(descriptor_.get(), temporary.c_str(),
                                     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return fail_errno((folder_ / temporary).string(), errno);
  if (!write_all(file.get(), header_of(engine_key, content_hash, machine_code)) ||
      !write_all(file.get(), machine_code) ||
      ::renameat(descriptor_.get(), temporary.c_str(), descriptor_.get(), name.c_str()) != 0) {
    const int error = errno;
    ::unlinkat(descriptor_.get(), temporary.c_str(), 0);
    return fail_errno((folder_ / name).string(), error);
  }
  prune();
  return {};
}

void ModuleCache::prune() const {
  struct Entry {
    std::string name;
    std::uint64_t bytes;
    timespec changed;
  };
  std::vector<Entry> entries;
  std::uint64_t total = 0;
  const int listed = ::openat(descriptor_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, int (*)(DIR*)> list(listed < 0 ? nullptr : ::fdopendir(listed),
                                                 ::closedir);
  if (!list) return;
  while (const dirent* entry = ::readdir(list.get())) {
    struct stat stat{};
    if (::fstatat(descriptor_.get(), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(stat.st_mode))
      continue;
    entries.push_back({entry->d_name, static_cast<std::uint64_t>(stat.st_size), stat.st_mtim});
    total += entries.back().bytes;
  }
  std::ranges::sort(entries, {}, [](const Entry& entry) {
    return std::pair(entry.changed.tv_sec, entry.changed.tv_nsec);
  });
  for (const Entry& entry : entries) {
    if (total <= bytes_max_) return;
    if (::unlinkat(descriptor_.get(), entry.name.c_str(), 0) == 0) total -= entry.bytes;
  }
}

}  // namespace seam::wasm
