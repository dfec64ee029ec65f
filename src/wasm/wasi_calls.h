#pragma once
// What the functions of WASI preview 1 have in common, for wasi*.cc alone: how they read and write
// the guest's memory, find a descriptor and its rights, and take a path.
//
//   std::int32_t fd_tell(HostCall& call, U32 fd, U32 at) {
//     const auto opened = opened_with(call, fd, wasi_right::kFdTell);
//     if (!opened) return number(opened.error());
//     …
//     return store(call, at, offset);
//   }

#include <sys/stat.h>

#include <climits>
#include <cstdint>
#include <cstring>
#include <expected>
#include <limits>
#include <optional>
#include <span>

#include "wasm/host.h"
#include "wasm/wasi.h"
#include "wasm/wasi_abi.h"

namespace seam::wasm::wasi_internal {

constexpr const char* kModule = "wasi_snapshot_preview1";

using U32 = std::uint32_t;
using U64 = std::uint64_t;
using Kind = WasiDescriptor::Kind;

template <class T>
using Expected = std::expected<T, WasiErrno>;

// Preview 1 passes every small number as an i32.
inline std::int32_t number(WasiErrno error) { return static_cast<std::int32_t>(error); }
constexpr auto kOk = WasiErrno::kSuccess;

template <class T>
T load(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <class T>
void put(std::span<std::byte> bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

template <class T>
std::int32_t store(HostCall& call, U32 at, T value) {
  const std::span<std::byte> slot = call.slice(at, sizeof value);
  if (slot.data() == nullptr) return number(WasiErrno::kFault);
  put(slot, 0, value);
  return number(kOk);
}

inline bool is_in_memory(HostCall& call, U32 at, U32 size) {
  return call.slice(at, size).data() != nullptr;
}

// The error number of the system call that has just failed.
[[nodiscard]] WasiErrno last_errno();

inline WasiDescriptor* find(HostCall& call, U32 fd) {
  return call.state<WasiState>().descriptors.find(fd);
}

// Refuses a right that `descriptor` lacks. To read or write what was not opened for that is EBADF,
// as POSIX has it.
inline WasiErrno refusal_of(const WasiDescriptor& descriptor, WasiRights rights) {
  const WasiRights missing = rights & ~descriptor.base;
  if (missing == 0) return kOk;
  return (missing & (wasi_right::kFdRead | wasi_right::kFdWrite)) != 0 ? WasiErrno::kBadf
                                                                       : WasiErrno::kNotcapable;
}

// An open file or directory with all of `rights`; `of_stream` is what a standard stream answers.
Expected<WasiDescriptor*> opened_with(HostCall& call, U32 fd, WasiRights rights,
                                      WasiErrno of_stream = WasiErrno::kSpipe);
// A directory likewise; kNotdir for anything else that is open.
Expected<WasiDescriptor*> directory_with(HostCall& call, U32 fd, WasiRights rights);

// A path of the guest's, with a NUL behind it.
class GuestPath {
 public:
  // errors    kFault, kNametoolong, kInval for a NUL within
  [[nodiscard]] WasiErrno take(HostCall& call, U32 at, U32 size);
  [[nodiscard]] char* text() { return bytes_; }

 private:
  char bytes_[PATH_MAX];  // NOLINT: 4 KiB that need not be cleared
};

// An errno of open_beneath() or entry_beneath() in the guest's numbers.
[[nodiscard]] WasiErrno path_errno_of(int host_errno);

// 64 bytes at `at`.
std::int32_t store_filestat(HostCall& call, U32 at, const struct stat& stat);
[[nodiscard]] WasiFiletype filetype_of(mode_t mode);

// The two times of utimensat().
// errors    kInval   unknown flags, or a time given and wanted as now
struct Times {
  struct timespec at[2];
};
[[nodiscard]] Expected<Times> times_of(U64 accessed, U64 modified, U32 flags);

// Nanoseconds, or nothing for a clock that is not offered.
[[nodiscard]] std::optional<U64> time_of(const Clock& clock, U32 id);
enum : U32 { kRealtime = 0, kMonotonic = 1 };

void add_files(HostModule& host);        // fd_…
void add_directories(HostModule& host);  // path_…, fd_readdir, fd_prestat_…
void add_poll(HostModule& host);         // poll_oneoff

}  // namespace seam::wasm::wasi_internal
