#include "wasm/wasi_calls.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace seam::wasm {

WasiErrno wasi_errno_of(int host_errno) {
  switch (host_errno) {
    case 0:
      return WasiErrno::kSuccess;
    case E2BIG:
      return WasiErrno::k2big;
    case EACCES:
      return WasiErrno::kAcces;
    case EAGAIN:
      return WasiErrno::kAgain;
    case EBADF:
      return WasiErrno::kBadf;
    case EBUSY:
      return WasiErrno::kBusy;
    case EDEADLK:
      return WasiErrno::kDeadlk;
    case EDQUOT:
      return WasiErrno::kDquot;
    case EEXIST:
      return WasiErrno::kExist;
    case EFAULT:
      return WasiErrno::kFault;
    case EFBIG:
      return WasiErrno::kFbig;
    case EILSEQ:
      return WasiErrno::kIlseq;
    case EINTR:
      return WasiErrno::kIntr;
    case EINVAL:
      return WasiErrno::kInval;
    case EISDIR:
      return WasiErrno::kIsdir;
    case ELOOP:
      return WasiErrno::kLoop;
    case EMFILE:
      return WasiErrno::kMfile;
    case EMLINK:
      return WasiErrno::kMlink;
    case ENAMETOOLONG:
      return WasiErrno::kNametoolong;
    case ENFILE:
      return WasiErrno::kNfile;
    case ENODEV:
      return WasiErrno::kNodev;
    case ENOENT:
      return WasiErrno::kNoent;
    case ENOLCK:
      return WasiErrno::kNolck;
    case ENOMEM:
      return WasiErrno::kNomem;
    case ENOSPC:
      return WasiErrno::kNospc;
    case ENOSYS:
      return WasiErrno::kNosys;
    case ENOTDIR:
      return WasiErrno::kNotdir;
    case ENOTEMPTY:
      return WasiErrno::kNotempty;
    case EOPNOTSUPP:
      return WasiErrno::kNotsup;
    case ENOTTY:
      return WasiErrno::kNotty;
    case ENXIO:
      return WasiErrno::kNxio;
    case EOVERFLOW:
      return WasiErrno::kOverflow;
    case EPERM:
      return WasiErrno::kPerm;
    case EPIPE:
      return WasiErrno::kPipe;
    case ERANGE:
      return WasiErrno::kRange;
    case EROFS:
      return WasiErrno::kRofs;
    case ESPIPE:
      return WasiErrno::kSpipe;
    case ESTALE:
      return WasiErrno::kStale;
    case ETIMEDOUT:
      return WasiErrno::kTimedout;
    case ETXTBSY:
      return WasiErrno::kTxtbsy;
    case EXDEV:
      return WasiErrno::kXdev;
    default:
      return WasiErrno::kIo;
  }
}

namespace wasi_internal {

WasiErrno last_errno() { return wasi_errno_of(errno); }

WasiErrno path_errno_of(int host_errno) {
  return host_errno == EXDEV ? WasiErrno::kNotcapable : wasi_errno_of(host_errno);
}

Expected<WasiDescriptor*> opened_with(HostCall& call, U32 fd, WasiRights rights,
                                      WasiErrno of_stream) {
  WasiDescriptor* found = find(call, fd);
  if (found == nullptr) return std::unexpected(WasiErrno::kBadf);
  if (found->is_stream()) return std::unexpected(of_stream);
  if (const WasiErrno refusal = refusal_of(*found, rights); refusal != kOk)
    return std::unexpected(refusal);
  return found;
}

Expected<WasiDescriptor*> directory_with(HostCall& call, U32 fd, WasiRights rights) {
  WasiDescriptor* found = find(call, fd);
  if (found == nullptr) return std::unexpected(WasiErrno::kBadf);
  if (found->kind != Kind::kDirectory) return std::unexpected(WasiErrno::kNotdir);
  if (const WasiErrno refusal = refusal_of(*found, rights); refusal != kOk)
    return std::unexpected(refusal);
  return found;
}

WasiErrno GuestPath::take(HostCall& call, U32 at, U32 size) {
  const std::span<const std::byte> bytes = call.slice(at, size);
  if (bytes.data() == nullptr) return WasiErrno::kFault;
  if (bytes.size() >= sizeof bytes_) return WasiErrno::kNametoolong;
  if (std::ranges::find(bytes, std::byte{0}) != bytes.end()) return WasiErrno::kInval;
  std::ranges::copy(bytes, reinterpret_cast<std::byte*>(bytes_));
  bytes_[bytes.size()] = '\0';
  return kOk;
}

WasiFiletype filetype_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return WasiFiletype::kRegularFile;
    case S_IFDIR:
      return WasiFiletype::kDirectory;
    case S_IFLNK:
      return WasiFiletype::kSymbolicLink;
    case S_IFCHR:
      return WasiFiletype::kCharacterDevice;
    case S_IFBLK:
      return WasiFiletype::kBlockDevice;
    case S_IFSOCK:
      return WasiFiletype::kSocketStream;
    default:
      return WasiFiletype::kUnknown;
  }
}

std::int32_t store_filestat(HostCall& call, U32 at, const struct stat& stat) {
  const std::span<std::byte> out = call.slice(at, 64);
  if (out.data() == nullptr) return number(WasiErrno::kFault);
  const auto ns = [](const timespec& time) {
    return static_cast<U64>(time.tv_sec) * 1'000'000'000U + static_cast<U64>(time.tv_nsec);
  };
  std::ranges::fill(out, std::byte{0});
  put<U64>(out, 0, stat.st_dev);
  put<U64>(out, 8, stat.st_ino);
  put(out, 16, filetype_of(stat.st_mode));
  put<U64>(out, 24, stat.st_nlink);
  put(out, 32, static_cast<U64>(stat.st_size));
  put(out, 40, ns(stat.st_atim));
  put(out, 48, ns(stat.st_mtim));
  put(out, 56, ns(stat.st_ctim));
  return number(kOk);
}

Expected<Times> times_of(U64 accessed, U64 modified, U32 flags) {
  constexpr U32 kBothAtim = kWasiAtim | kWasiAtimNow;
  constexpr U32 kBothMtim = kWasiMtim | kWasiMtimNow;
  if ((flags & ~static_cast<U32>(kWasiFstflags)) != 0 || (flags & kBothAtim) == kBothAtim ||
      (flags & kBothMtim) == kBothMtim) {
    return std::unexpected(WasiErrno::kInval);
  }
  const auto time = [](U64 given, bool is_given, bool is_now) -> timespec {
    if (is_now) return {.tv_sec = 0, .tv_nsec = UTIME_NOW};
    if (!is_given) return {.tv_sec = 0, .tv_nsec = UTIME_OMIT};
    return {.tv_sec = static_cast<time_t>(given / 1'000'000'000U),
            .tv_nsec = static_cast<long>(given % 1'000'000'000U)};
  };
  return Times{{time(accessed, (flags & kWasiAtim) != 0, (flags & kWasiAtimNow) != 0),
                time(modified, (flags & kWasiMtim) != 0, (flags & kWasiMtimNow) != 0)}};
}

std::optional<U64> time_of(const Clock& clock, U32 id) {
  const auto count = [](auto since) {
    return static_cast<U64>(std::chrono::duration_cast<nanoseconds>(since).count());
  };
  if (id == kRealtime) return count(clock.wall_now().time_since_epoch());
  if (id == kMonotonic) return count(clock.now().time_since_epoch());
  return std::nullopt;  // CPU time: a guest moves between threads, there is none to give
}

}  // namespace wasi_internal
}  // namespace seam::wasm
