#include "wasm/wasi_descriptors.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "base/check.h"

namespace seam::wasm {
namespace {

constexpr WasiRights kOfStreams = wasi_right::kFdFilestatGet | wasi_right::kPollFdReadwrite;

WasiDescriptor stream(WasiDescriptor::Kind kind, WasiRights right) {
  WasiDescriptor descriptor;
  descriptor.kind = kind;
  descriptor.base = kOfStreams | right;
  return descriptor;
}

bool holds_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

}  // namespace

Result<WasiDirectory> parse_wasi_directory(std::string_view text) {
  const auto wrong = [&](std::string_view what) {
    return fail(seam::ErrorCode::kInvalidArgument,
                fmt::format("directory '{}': {}; write HOST::GUEST, or HOST::GUEST::ro for a "
                            "directory in which the guest changes nothing",
                            text, what));
  };
  std::vector<std::string_view> parts;
  for (std::string_view rest = text;;) {
    const std::size_t end = rest.find("::");
    parts.push_back(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 2);
  }
  const bool read_only = parts.size() > 1 && parts.back() == "ro";
  if (read_only) parts.pop_back();
  if (parts.size() > 2) return wrong("too many parts");
  if (parts.front().empty()) return wrong("the host's path is empty");
  if (parts.back().empty()) return wrong("the guest's path is empty");
  return WasiDirectory{.host_path = std::string(parts.front()),
                       .guest_path = std::string(parts.back()),
                       .writable = !read_only};
}

WasiDescriptors::WasiDescriptors()
    : first_{stream(WasiDescriptor::Kind::kStdin, wasi_right::kFdRead),
             stream(WasiDescriptor::Kind::kStdout, wasi_right::kFdWrite),
             stream(WasiDescriptor::Kind::kStderr, wasi_right::kFdWrite)} {}

Result<> WasiDescriptors::give(const WasiDirectory& directory) {
  const std::string what =
      fmt::format("directory '{}' for the guest's '{}'", directory.host_path, directory.guest_path);
  if (directory.host_path.empty() || directory.guest_path.empty() ||
      holds_nul(directory.host_path) || holds_nul(directory.guest_path)) {
    return fail(seam::ErrorCode::kInvalidArgument, what + ": a path is empty or holds a NUL byte");
  }
  if (is_full()) {
    return fail(seam::ErrorCode::kResourceExhausted,
                fmt::format("{}: {} descriptors are open, and no more are allowed", what, count_));
  }
  WasiDescriptor given;
  given.host.reset(
      ::open(directory.host_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK));
  if (!given.host && errno == ENOTDIR)
    return fail(seam::ErrorCode::kInvalidArgument, what + ": it is not a directory");
  if (!given.host) return fail_errno(what, errno);
  given.kind = WasiDescriptor::Kind::kDirectory;
  given.base = wasi_right::kOfDirectories;
  given.inheriting = wasi_right::kOfDirectories | wasi_right::kOfFiles;
  if (!directory.writable) {
    given.base &= ~wasi_right::kOfWriting;
    given.inheriting &= ~wasi_right::kOfWriting;
  }
  given.guest_path = directory.guest_path;
  static_cast<void>(open(std::move(given)));
  return {};
}

WasiDescriptor& WasiDescriptors::slot(std::uint32_t number) {
  return number < first_.size() ? first_[number] : rest_[number - first_.size()];
}

WasiDescriptor* WasiDescriptors::find(std::uint32_t number) {
  if (number >= first_.size() + rest_.size()) return nullptr;
  WasiDescriptor& found = slot(number);
  return found.kind == WasiDescriptor::Kind::kClosed ? nullptr : &found;
}

const WasiDescriptor* WasiDescriptors::find(std::uint32_t number) const {
  return const_cast<WasiDescriptors*>(this)->find(number);
}

std::uint32_t WasiDescriptors::open(WasiDescriptor descriptor) {
  CHECK(!is_full());
  std::size_t at = 0;
  while (at < rest_.size() && rest_[at].kind != WasiDescriptor::Kind::kClosed) ++at;
  if (at == rest_.size()) rest_.emplace_back();
  rest_[at] = std::move(descriptor);
  ++count_;
  return static_cast<std::uint32_t>(first_.size() + at);
}

void WasiDescriptors::close(std::uint32_t number) {
  CHECK(find(number) != nullptr);
  slot(number) = {};
  --count_;
}

void WasiDescriptors::renumber(std::uint32_t from, std::uint32_t to) {
  CHECK(find(from) != nullptr && find(to) != nullptr);
  if (from == to) return;
  slot(to) = std::exchange(slot(from), {});
  --count_;
}

}  // namespace seam::wasm
