#include "process/landlock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/file_descriptor.h"

namespace seam::process {

namespace {

// Written out because the headers of Debian 12 end at version 1 to 3 of the interface.
// source    include/uapi/linux/landlock.h, Linux 6.12.
enum : std::uint64_t {
  kExecute = 1U << 0U,
  kWriteFile = 1U << 1U,
  kReadFile = 1U << 2U,
  kReadDirectory = 1U << 3U,
  kRemoveDirectory = 1U << 4U,
  kRemoveFile = 1U << 5U,
  kMakeDirectory = 1U << 7U,
  kMakeRegular = 1U << 8U,
  kMakeLink = 1U << 12U,
  kRefer = 1U << 13U,        // version 2: rename and link between directories
  kTruncate = 1U << 14U,     // version 3
  kIoctlDevice = 1U << 15U,  // version 5
  kAllVersion1 = (1U << 13U) - 1,
};
constexpr std::uint64_t kNetworkAll = 3;  // version 4: bind and connect TCP
constexpr std::uint64_t kScopeAll = 3;    // version 6: abstract sockets, signals

struct Ruleset {
  std::uint64_t files;
  std::uint64_t network;
  std::uint64_t scoped;
};

struct [[gnu::packed]] PathRule {
  std::uint64_t rights;
  std::int32_t parent;
};

constexpr long kCreateRuleset = 444;
constexpr long kAddRule = 445;
constexpr long kRestrictSelf = 446;

SandboxResult add_rules(int ruleset, const std::vector<std::string>& paths, std::uint64_t rights) {
  for (const std::string& path : paths) {
    const FileDescriptor place(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!place) {
      if (errno == ENOENT) continue;
      return failure("Landlock: open " + path);
    }
    struct stat status{};
    if (::fstat(place.get(), &status) != 0) return failure("Landlock: stat " + path);
    std::uint64_t allowed = rights;
    if (!S_ISDIR(status.st_mode))
      allowed &= kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDevice;
    const PathRule rule{allowed, place.get()};
    if (::syscall(kAddRule, ruleset, 1, &rule, 0) != 0) return failure("Landlock: allow " + path);
  }
  return {};
}

}  // namespace

int landlock_abi() {
  const long version = ::syscall(kCreateRuleset, nullptr, 0, 1);
  return version < 0 ? 0 : static_cast<int>(version);
}

SandboxResult restrict_files(const FileRights& rights) {
  const int abi = landlock_abi();
  std::uint64_t all = kAllVersion1;
  if (abi >= 2) all |= kRefer;
  if (abi >= 3) all |= kTruncate;
  if (abi >= 5) all |= kIoctlDevice;
  const Ruleset attributes{all, abi >= 4 ? kNetworkAll : 0, abi >= 6 ? kScopeAll : 0};
  const std::size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  const FileDescriptor ruleset(static_cast<int>(::syscall(kCreateRuleset, &attributes, size, 0)));
  if (!ruleset) return failure("Landlock: create");

  const std::uint64_t read = kReadFile | kReadDirectory;
  const std::uint64_t write = read | kWriteFile | kTruncate | kRemoveDirectory | kRemoveFile |
                              kMakeDirectory | kMakeRegular | kMakeLink | kRefer;
  if (SandboxResult done = add_rules(ruleset.get(), rights.executable, kExecute | read); !done)
    return done;
  if (SandboxResult done = add_rules(ruleset.get(), rights.readable, read); !done) return done;
  if (SandboxResult done = add_rules(ruleset.get(), rights.writable, write & all); !done)
    return done;
  if (SandboxResult done = add_rules(ruleset.get(), rights.devices, (kReadFile | kWriteFile) & all);
      !done)
    return done;
  if (::syscall(kRestrictSelf, ruleset.get(), 0) != 0) return failure("Landlock: restrict");
  return {};
}

}  // namespace seam::process
