#include "runtimes/harness_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/file_descriptor.h"
#include "base/identifier.h"

namespace seam::runtimes {

namespace {

Result<void> write_file(const std::string& path, const HarnessFile& file) {
  const FileDescriptor out(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out) return fail_errno("cannot write " + path, errno);
  std::string_view left = file.content;
  while (!left.empty()) {
    const ssize_t count = ::write(out.get(), left.data(), left.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("cannot write " + path, errno);
    left.remove_prefix(static_cast<std::size_t>(count));
  }
  // Whatever the umask is.
  if (::fchmod(out.get(), file.executable ? 0755 : 0644) != 0 || ::fsync(out.get()) != 0)
    return fail_errno("cannot write " + path, errno);
  return {};
}

Result<void> fill(const std::string& folder, std::span<const HarnessFile> files) {
  if (::mkdir(folder.c_str(), 0755) != 0 || ::chmod(folder.c_str(), 0755) != 0)
    return fail_errno("cannot make " + folder, errno);
  for (const HarnessFile& file : files) {
    SEAM_RETURN_IF_ERROR(write_file(fmt::format("{}/{}", folder, file.name), file));
  }
  return {};
}

}  // namespace

Result<std::string> write_harness(const std::string& parent, std::span<const HarnessFile> files) {
  std::string all;
  for (const HarnessFile& file : files)
    all += fmt::format("{}\n{}\n{}\n", file.name, file.executable, sha256_hex(file.content));
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(parent, error);
  if (error) return fail_errno("cannot resolve " + parent, error.value());
  std::filesystem::create_directories(absolute, error);
  if (error) return fail_errno("cannot make " + absolute.string(), error.value());
  std::string folder = (absolute / sha256_hex(all).substr(0, 32)).string();
  if (std::filesystem::exists(folder, error)) return folder;
  const std::string temporary = folder + "." + random_uuid();
  const Result<void> filled = fill(temporary, files);
  const bool moved = filled && ::rename(temporary.c_str(), folder.c_str()) == 0;
  const int rename_error = errno;
  if (moved) return folder;
  std::filesystem::remove_all(temporary, error);
  if (!filled) return std::unexpected(filled.error());
  if (std::filesystem::exists(folder, error)) return folder;  // another server was faster
  return fail_errno("cannot make " + folder, rename_error);
}

}  // namespace seam::runtimes
