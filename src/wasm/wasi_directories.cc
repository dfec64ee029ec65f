// path_… and what only directories have: fd_readdir, fd_prestat_….
//
// Every path goes through open_beneath() or entry_beneath() (wasm/wasi_paths.h). What the kernel is
// given besides is a descriptor with an empty path, or one with a single name that it does not
// follow.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "wasm/wasi_calls.h"

namespace seam::wasm::wasi_internal {
namespace {

constexpr mode_t kNewFile = 0666;  // less the umask
constexpr mode_t kNewDirectory = 0777;

WasiPathWalk walk_of(HostCall& call) { return call.state<WasiState>().descriptors.path_walk; }

// A directory with `rights`, and a path below it as the guest has written it.
struct Place {
  const WasiDescriptor* directory = nullptr;
  GuestPath path;

  [[nodiscard]] WasiErrno take(HostCall& call, U32 fd, WasiRights rights, U32 at, U32 size) {
    const auto found = directory_with(call, fd, rights);
    if (!found) return found.error();
    directory = *found;
    return path.take(call, at, size);
  }
  [[nodiscard]] std::expected<FileDescriptor, int> open(HostCall& call, int flags,
                                                        mode_t mode = 0) {
    return open_beneath(walk_of(call), directory->host.get(), path.text(), flags, mode);
  }
  // Once: it changes the path.
  [[nodiscard]] std::expected<WasiEntry, int> entry(HostCall& call, int dotdot_error) {
    return entry_beneath(walk_of(call), directory->host.get(), path.text(), dotdot_error);
  }
};

// O_NOFOLLOW unless the guest asks to follow a link at the path's end.
Expected<int> lookup_of(U32 flags) {
  if ((flags & ~static_cast<U32>(kWasiSymlinkFollow)) != 0)
    return std::unexpected(WasiErrno::kInval);
  return flags == 0 ? O_NOFOLLOW : 0;
}

// --- opening

struct OpenRequest {
  U32 lookup, oflags;
  WasiRights base, inheriting;
  U32 fdflags;
};

// What the directory must allow for this request.
WasiErrno refusal_of_open(const WasiDescriptor& directory, const OpenRequest& request) {
  WasiRights own = wasi_right::kPathOpen;
  if ((request.oflags & kWasiCreat) != 0) own |= wasi_right::kPathCreateFile;
  if ((request.oflags & kWasiTrunc) != 0) own |= wasi_right::kPathFilestatSetSize;
  // What cannot be had is left out of the new descriptor's rights, for C libraries ask for all that
  // might be of use: but a file that could not be read or written after all would be a trap.
  WasiRights inherited = request.base & (wasi_right::kFdRead | wasi_right::kFdWrite);
  if ((request.fdflags & (kWasiSync | kWasiRsync)) != 0) inherited |= wasi_right::kFdSync;
  if ((request.fdflags & kWasiDsync) != 0 && (directory.inheriting & wasi_right::kFdSync) == 0)
    inherited |= wasi_right::kFdDatasync;
  if ((own & ~directory.base) != 0 || (inherited & ~directory.inheriting) != 0)
    return WasiErrno::kNotcapable;
  return kOk;
}

int host_flags_of(const OpenRequest& request, int lookup) {
  const bool reads = (request.base & wasi_right::kFdRead) != 0;
  const bool writes = (request.base & wasi_right::kFdWrite) != 0;
  int flags = lookup | (writes ? (reads ? O_RDWR : O_WRONLY) : O_RDONLY);
  if ((request.oflags & kWasiCreat) != 0) flags |= O_CREAT;
  if ((request.oflags & kWasiDirectory) != 0) flags |= O_DIRECTORY;
  if ((request.oflags & kWasiExcl) != 0) flags |= O_EXCL;
  if ((request.oflags & kWasiTrunc) != 0) flags |= O_TRUNC;
  if ((request.fdflags & kWasiAppend) != 0) flags |= O_APPEND;
  if ((request.fdflags & kWasiDsync) != 0) flags |= O_DSYNC;
  if ((request.fdflags & (kWasiSync | kWasiRsync)) != 0) flags |= O_SYNC;
  return flags;
}

// Devices, pipes and sockets are not opened: they could block, and opening some has effects.
bool can_be_opened(mode_t mode) { return S_ISREG(mode) || S_ISDIR(mode); }

Expected<WasiDescriptor> open_descriptor(HostCall& call, Place& place, const OpenRequest& request) {
  const Expected<int> lookup = lookup_of(request.lookup);
  if (!lookup) return std::unexpected(lookup.error());
  const int flags = host_flags_of(request, *lookup);
  struct stat stat = {};
  if ((flags & O_EXCL) == 0) {
    const auto seen = place.open(call, O_PATH | *lookup);
    if (seen && ::fstat(seen->get(), &stat) == 0 && !S_ISLNK(stat.st_mode) &&
        !can_be_opened(stat.st_mode)) {
      return std::unexpected(WasiErrno::kNotsup);
    }
  }
  auto opened = place.open(call, flags, kNewFile);
  if (!opened) return std::unexpected(path_errno_of(opened.error()));
  if (::fstat(opened->get(), &stat) != 0) return std::unexpected(last_errno());
  if (!can_be_opened(stat.st_mode)) return std::unexpected(WasiErrno::kNotsup);

  WasiDescriptor made;
  made.flags = static_cast<std::uint16_t>(request.fdflags);
  made.host = *std::move(opened);
  made.base = request.base & place.directory->inheriting;
  if (S_ISDIR(stat.st_mode)) {
    made.kind = Kind::kDirectory;
    made.base &= wasi_right::kOfDirectories;
    made.inheriting = request.inheriting & place.directory->inheriting;
  } else {
    made.kind = Kind::kFile;
    made.base &= wasi_right::kOfFiles;
    if ((made.base & wasi_right::kFdWrite) == 0)
      made.base &=
          ~(wasi_right::kFdDatasync | wasi_right::kFdAllocate | wasi_right::kFdFilestatSetSize);
  }
  return made;
}

std::int32_t path_open(HostCall& call, U32 fd, U32 at, U32 size, const OpenRequest& request,
                       U32 opened_at) {
  Place place;
  if (const WasiErrno error = place.take(call, fd, 0, at, size); error != kOk) return number(error);
  if (const WasiErrno error = refusal_of_open(*place.directory, request); error != kOk)
    return number(error);
  if ((request.oflags & ~static_cast<U32>(kWasiOflags)) != 0 ||
      (request.fdflags & ~static_cast<U32>(kWasiFdflags)) != 0 ||
      (request.oflags & (kWasiCreat | kWasiDirectory)) == (kWasiCreat | kWasiDirectory)) {
    return number(WasiErrno::kInval);
  }
  if (!is_in_memory(call, opened_at, 4)) return number(WasiErrno::kFault);
  auto& descriptors = call.state<WasiState>().descriptors;
  if (descriptors.is_full()) return number(WasiErrno::kMfile);
  Expected<WasiDescriptor> made = open_descriptor(call, place, request);
  if (!made) return number(made.error());
  return store(call, opened_at, descriptors.open(*std::move(made)));
}

// --- entries

std::int32_t path_create_directory(HostCall& call, U32 fd, U32 at, U32 size) {
  Place place;
  if (const auto error = place.take(call, fd, wasi_right::kPathCreateDirectory, at, size);
      error != kOk) {
    return number(error);
  }
  const auto entry = place.entry(call, EEXIST);
  if (!entry) return number(path_errno_of(entry.error()));
  return number(::mkdirat(entry->directory, entry->name, kNewDirectory) == 0 ? kOk : last_errno());
}

std::int32_t path_remove_directory(HostCall& call, U32 fd, U32 at, U32 size) {
  Place place;
  if (const auto error = place.take(call, fd, wasi_right::kPathRemoveDirectory, at, size);
      error != kOk) {
    return number(error);
  }
  const auto entry = place.entry(call, ENOTEMPTY);
  if (!entry) return number(path_errno_of(entry.error()));
  return number(::unlinkat(entry->directory, entry->name, AT_REMOVEDIR) == 0 ? kOk : last_errno());
}

std::int32_t path_unlink_file(HostCall& call, U32 fd, U32 at, U32 size) {
  Place place;
  if (const auto error = place.take(call, fd, wasi_right::kPathUnlinkFile, at, size);
      error != kOk) {
    return number(error);
  }
  const auto entry = place.entry(call, EISDIR);
  if (!entry) return number(path_errno_of(entry.error()));
  return number(::unlinkat(entry->directory, entry->name, 0) == 0 ? kOk : last_errno());
}

std::int32_t path_rename(HostCall& call, U32 old_fd, U32 old_at, U32 old_size, U32 new_fd,
                         U32 new_at, U32 new_size) {
  Place from;
  Place to;
  if (const auto error = from.take(call, old_fd, wasi_right::kPathRenameSource, old_at, old_size);
      error != kOk) {
    return number(error);
  }
  if (const auto error = to.take(call, new_fd, wasi_right::kPathRenameTarget, new_at, new_size);
      error != kOk) {
    return number(error);
  }
  const auto old_entry = from.entry(call, EBUSY);
  if (!old_entry) return number(path_errno_of(old_entry.error()));
  const auto new_entry = to.entry(call, EBUSY);
  if (!new_entry) return number(path_errno_of(new_entry.error()));
  const int result =
      ::renameat(old_entry->directory, old_entry->name, new_entry->directory, new_entry->name);
  return number(result == 0 ? kOk : last_errno());
}

std::int32_t path_link(HostCall& call, U32 old_fd, U32 old_flags, U32 old_at, U32 old_size,
                       U32 new_fd, U32 new_at, U32 new_size) {
  Place from;
  Place to;
  if (const auto error = from.take(call, old_fd, wasi_right::kPathLinkSource, old_at, old_size);
      error != kOk) {
    return number(error);
  }
  if (const auto error = to.take(call, new_fd, wasi_right::kPathLinkTarget, new_at, new_size);
      error != kOk) {
    return number(error);
  }
  if (old_flags != 0) return number(WasiErrno::kInval);  // it would link what a link points to
  const std::string_view source = from.path.text();
  if (source.ends_with('/')) {
    // Only a directory's name may end so, and linkat() would follow a link to one.
    const auto directory = from.open(call, O_PATH | O_DIRECTORY);
    return number(directory ? WasiErrno::kPerm : path_errno_of(directory.error()));
  }
  const auto old_entry = from.entry(call, EPERM);
  if (!old_entry) return number(path_errno_of(old_entry.error()));
  const auto new_entry = to.entry(call, EEXIST);
  if (!new_entry) return number(path_errno_of(new_entry.error()));
  const int result =
      ::linkat(old_entry->directory, old_entry->name, new_entry->directory, new_entry->name, 0);
  return number(result == 0 ? kOk : last_errno());
}

std::int32_t path_symlink(HostCall& call, U32 target_at, U32 target_size, U32 fd, U32 at,
                          U32 size) {
  Place place;
  if (const auto error = place.take(call, fd, wasi_right::kPathSymlink, at, size); error != kOk)
    return number(error);
  GuestPath target;
  if (const auto error = target.take(call, target_at, target_size); error != kOk)
    return number(error);
  // It could not be followed here, and others might.
  if (*target.text() == '/') return number(WasiErrno::kNotcapable);
  const auto entry = place.entry(call, EEXIST);
  if (!entry) return number(path_errno_of(entry.error()));
  return number(::symlinkat(target.text(), entry->directory, entry->name) == 0 ? kOk
                                                                               : last_errno());
}

std::int32_t path_readlink(HostCall& call, U32 fd, U32 at, U32 size, U32 out_at, U32 out_size,
                           U32 used_at) {
  Place place;
  if (const auto error = place.take(call, fd, wasi_right::kPathReadlink, at, size); error != kOk)
    return number(error);
  const std::span<std::byte> out = call.slice(out_at, out_size);
  if (out.data() == nullptr || !is_in_memory(call, used_at, 4)) return number(WasiErrno::kFault);
  const auto link = place.open(call, O_PATH | O_NOFOLLOW);
  if (!link) return number(path_errno_of(link.error()));
  struct stat stat = {};
  if (::fstat(link->get(), &stat) != 0) return number(last_errno());
  if (!S_ISLNK(stat.st_mode) || out.empty()) return number(WasiErrno::kInval);
  const ssize_t used =
      ::readlinkat(link->get(), "", reinterpret_cast<char*>(out.data()), out.size());
  if (used < 0) return number(last_errno());
  return store(call, used_at, static_cast<U32>(used));
}

// --- what is told about a path

std::int32_t path_filestat_get(HostCall& call, U32 fd, U32 flags, U32 at, U32 size, U32 out_at) {
  Place place;
  if (const auto error = place.take(call, fd, wasi_right::kPathFilestatGet, at, size);
      error != kOk) {
    return number(error);
  }
  const Expected<int> lookup = lookup_of(flags);
  if (!lookup) return number(lookup.error());
  const auto found = place.open(call, O_PATH | *lookup);
  if (!found) return number(path_errno_of(found.error()));
  struct stat stat = {};
  if (::fstat(found->get(), &stat) != 0) return number(last_errno());
  return store_filestat(call, out_at, stat);
}

std::int32_t path_filestat_set_times(HostCall& call, U32 fd, U32 flags, U32 at, U32 size,
                                     U64 accessed, U64 modified, U32 which) {
  Place place;
  if (const auto error = place.take(call, fd, wasi_right::kPathFilestatSetTimes, at, size);
      error != kOk) {
    return number(error);
  }
  const Expected<int> lookup = lookup_of(flags);
  if (!lookup) return number(lookup.error());
  const Expected<Times> times = times_of(accessed, modified, which);
  if (!times) return number(times.error());
  const auto found = place.open(call, O_PATH | *lookup);
  if (!found) return number(path_errno_of(found.error()));
  return number(::utimensat(found->get(), "", times->at, AT_EMPTY_PATH) == 0 ? kOk : last_errno());
}

// --- listing

// Fills a guest's buffer with entries; the last may be cut off, which tells the guest to ask again.
class Listing {
 public:
  explicit Listing(std::span<std::byte> out) : out_(out) {}
  [[nodiscard]] bool is_full() const { return used_ == out_.size(); }
  [[nodiscard]] U32 used() const { return static_cast<U32>(used_); }

  void add(int directory, const dirent64& entry) {
    const std::string_view name = entry.d_name;
    std::array<std::byte, 24> head = {};
    put(head, 0, static_cast<U64>(entry.d_off));
    put<U64>(head, 8, entry.d_ino);
    put(head, 16, static_cast<U32>(name.size()));
    put(head, 20, type_of(directory, entry));
    append(head);
    append(std::as_bytes(std::span(name)));
  }

 private:
  void append(std::span<const std::byte> bytes) {
    const std::size_t size = std::min(bytes.size(), out_.size() - used_);
    std::ranges::copy(bytes.first(size), out_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ += size;
  }
  static WasiFiletype type_of(int directory, const dirent64& entry) {
    auto mode = static_cast<mode_t>(DTTOIF(entry.d_type));
    struct stat stat = {};
    if (entry.d_type == DT_UNKNOWN &&
        ::fstatat(directory, entry.d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0) {
      mode = stat.st_mode;
    }
    return filetype_of(mode);
  }

  std::span<std::byte> out_;
  std::size_t used_ = 0;
};

// A cookie is the host's own position in the directory, which stays right while others change it.
std::int32_t fd_readdir(HostCall& call, U32 fd, U32 at, U32 size, U64 cookie, U32 used_at) {
  const auto found = directory_with(call, fd, wasi_right::kFdReaddir);
  if (!found) return number(found.error());
  const std::span<std::byte> out = call.slice(at, size);
  if (out.data() == nullptr || !is_in_memory(call, used_at, 4)) return number(WasiErrno::kFault);
  const int host = (*found)->host.get();
  if (::lseek(host, static_cast<off_t>(cookie), SEEK_SET) < 0) return number(last_errno());
  Listing listing(out);
  alignas(dirent64) std::array<char, 8192> entries;  // NOLINT: the kernel fills it
  while (!listing.is_full()) {
    const ssize_t filled = ::getdents64(host, entries.data(), entries.size());
    if (filled < 0) return number(last_errno());
    if (filled == 0) break;
    for (std::size_t i = 0; i < static_cast<std::size_t>(filled) && !listing.is_full();) {
      const auto& entry = *reinterpret_cast<const dirent64*>(entries.data() + i);
      listing.add(host, entry);
      i += entry.d_reclen;
    }
  }
  return store(call, used_at, listing.used());
}

// --- the directories that were given

const WasiDescriptor* given(HostCall& call, U32 fd) {
  const WasiDescriptor* found = find(call, fd);
  return found == nullptr || found->guest_path.empty() ? nullptr : found;
}

// Guests ask for one descriptor after the other until EBADF ends the list.
std::int32_t fd_prestat_get(HostCall& call, U32 fd, U32 at) {
  const WasiDescriptor* directory = given(call, fd);
  if (directory == nullptr) return number(WasiErrno::kBadf);
  return store(call, at, static_cast<U64>(directory->guest_path.size()) << 32U);  // tag 0
}

std::int32_t fd_prestat_dir_name(HostCall& call, U32 fd, U32 at, U32 size) {
  const WasiDescriptor* directory = given(call, fd);
  if (directory == nullptr) return number(WasiErrno::kBadf);
  const std::span<std::byte> out = call.slice(at, size);
  if (out.data() == nullptr) return number(WasiErrno::kFault);
  if (out.size() < directory->guest_path.size()) return number(WasiErrno::kNametoolong);
  std::ranges::copy(std::as_bytes(std::span(directory->guest_path)), out.begin());
  return number(kOk);
}

}  // namespace

void add_directories(HostModule& host) {
  host.add(kModule, "path_open",
           [](HostCall& c, U32 fd, U32 lookup, U32 at, U32 size, U32 oflags, U64 base,
              U64 inheriting, U32 fdflags, U32 out) {
             return path_open(c, fd, at, size, {lookup, oflags, base, inheriting, fdflags}, out);
           });
  host.add(kModule, "path_create_directory", [](HostCall& c, U32 fd, U32 at, U32 size) {
    return path_create_directory(c, fd, at, size);
  });
  host.add(kModule, "path_remove_directory", [](HostCall& c, U32 fd, U32 at, U32 size) {
    return path_remove_directory(c, fd, at, size);
  });
  host.add(kModule, "path_unlink_file",
           [](HostCall& c, U32 fd, U32 at, U32 size) { return path_unlink_file(c, fd, at, size); });
  host.add(kModule, "path_rename",
           [](HostCall& c, U32 old_fd, U32 old_at, U32 old_size, U32 fd, U32 at, U32 size) {
             return path_rename(c, old_fd, old_at, old_size, fd, at, size);
           });
  host.add(kModule, "path_link",
           [](HostCall& c, U32 old_fd, U32 flags, U32 old_at, U32 old_size, U32 fd, U32 at,
              U32 size) { return path_link(c, old_fd, flags, old_at, old_size, fd, at, size); });
  host.add(kModule, "path_symlink",
           [](HostCall& c, U32 target_at, U32 target_size, U32 fd, U32 at, U32 size) {
             return path_symlink(c, target_at, target_size, fd, at, size);
           });
  host.add(kModule, "path_readlink",
           [](HostCall& c, U32 fd, U32 at, U32 size, U32 out, U32 out_size, U32 used) {
             return path_readlink(c, fd, at, size, out, out_size, used);
           });
  host.add(kModule, "path_filestat_get",
           [](HostCall& c, U32 fd, U32 flags, U32 at, U32 size, U32 out) {
             return path_filestat_get(c, fd, flags, at, size, out);
           });
  host.add(
      kModule, "path_filestat_set_times",
      [](HostCall& c, U32 fd, U32 flags, U32 at, U32 size, U64 accessed, U64 modified, U32 which) {
        return path_filestat_set_times(c, fd, flags, at, size, accessed, modified, which);
      });
  host.add(kModule, "fd_readdir", [](HostCall& c, U32 fd, U32 at, U32 size, U64 cookie, U32 used) {
    return fd_readdir(c, fd, at, size, cookie, used);
  });
  host.add(kModule, "fd_prestat_get",
           [](HostCall& c, U32 fd, U32 at) { return fd_prestat_get(c, fd, at); });
  host.add(kModule, "fd_prestat_dir_name", [](HostCall& c, U32 fd, U32 at, U32 size) {
    return fd_prestat_dir_name(c, fd, at, size);
  });
}

}  // namespace seam::wasm::wasi_internal
