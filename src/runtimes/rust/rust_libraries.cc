#include "runtimes/rust/rust_libraries.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/file_descriptor.h"
#include "base/identifier.h"

namespace seam::runtimes {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kDigestSize = 64;
constexpr std::string_view kSums = "sums";

std::optional<std::string> read_file(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return {};
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

Result<void> write_file(const std::string& path, std::string_view bytes) {
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return fail_errno("cannot write " + path, errno);
  while (!bytes.empty()) {
    const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("cannot write " + path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  // Whatever the umask is.
  if (::fchmod(file.get(), 0644) != 0) return fail_errno("cannot write " + path, errno);
  return {};
}

Result<void> fill(const std::string& folder,
                  const std::map<std::string, std::string, std::less<>>& files) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail_errno("cannot make " + folder, error.value());
  if (::chmod(folder.c_str(), 0755) != 0) return fail_errno("cannot make " + folder, errno);
  std::string sums;
  for (const auto& [name, bytes] : files) {
    SEAM_RETURN_IF_ERROR(write_file(fmt::format("{}/{}", folder, name), bytes));
    sums += fmt::format("{}  {}\n", sha256_hex(bytes), name);
  }
  return write_file(fmt::format("{}/{}", folder, kSums), sums);
}

}  // namespace

bool is_whole_library_folder(const std::string& folder) {
  const std::optional<std::string> sums = read_file(fmt::format("{}/{}", folder, kSums));
  if (!sums || !sums->ends_with('\n')) return false;
  std::string_view left = *sums;
  while (!left.empty()) {
    const std::string_view line = left.substr(0, left.find('\n'));
    left.remove_prefix(line.size() + 1);
    if (line.size() < kDigestSize + 3 || line.find('/') != std::string_view::npos) return false;
    const auto bytes = read_file(fmt::format("{}/{}", folder, line.substr(kDigestSize + 2)));
    if (!bytes || sha256_hex(*bytes) != line.substr(0, kDigestSize)) return false;
  }
  return true;
}

Result<void> keep_libraries(const std::string& folder,
                            const std::map<std::string, std::string, std::less<>>& files) {
  const std::string temporary = folder + "." + random_uuid();
  std::error_code error;
  if (Result<void> filled = fill(temporary, files); !filled) {
    fs::remove_all(temporary, error);
    return filled;
  }
  fs::remove_all(folder, error);
  if (::rename(temporary.c_str(), folder.c_str()) != 0) {
    const int error_number = errno;
    fs::remove_all(temporary, error);
    return fail_errno("cannot make " + folder, error_number);
  }
  const fs::path kept(folder);
  for (const fs::directory_entry& other : fs::directory_iterator(kept.parent_path(), error)) {
    if (other.path().filename() != kept.filename()) fs::remove_all(other.path(), error);
  }
  return {};
}

}  // namespace seam::runtimes
