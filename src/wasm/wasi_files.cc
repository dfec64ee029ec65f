// fd_…: what is done with an open descriptor, be it a stream, a file or a directory.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "wasm/wasi_calls.h"

namespace seam::wasm::wasi_internal {
namespace {

// More in one call would hold a thread for long: no deadline is looked at inside a host function.
constexpr std::uint32_t kVectorsMax = 1024;
constexpr std::size_t kFileBytesMax = 4U << 20U;  // of one read or write, which then is a short one

struct Vectors {
  std::span<const std::byte> list;  // of {u32 pointer, u32 size}
  [[nodiscard]] std::size_t count() const { return list.size() / 8; }
  [[nodiscard]] std::span<std::byte> at(HostCall& call, std::size_t i) const {
    return call.slice(load<U32>(list, i * 8), load<U32>(list, i * 8 + 4));
  }
};

// Every vector lies in memory, and together they count at most 2^32 - 1 bytes.
Expected<Vectors> vectors_of(HostCall& call, U32 at, U32 count) {
  if (count > kVectorsMax) return std::unexpected(WasiErrno::kInval);
  const Vectors vectors{call.slice(at, count * 8)};
  if (vectors.list.data() == nullptr) return std::unexpected(WasiErrno::kFault);
  U64 total = 0;
  for (std::size_t i = 0; i < vectors.count(); ++i) {
    const std::span<std::byte> part = vectors.at(call, i);
    if (part.data() == nullptr) return std::unexpected(WasiErrno::kFault);
    total += part.size();
  }
  if (total > std::numeric_limits<U32>::max()) return std::unexpected(WasiErrno::kInval);
  return vectors;
}

// The vectors as the host takes them: as many as fit, empty ones left out, at most kFileBytesMax.
// They are taken before the first byte is moved, which may change the list.
struct HostVectors {
  std::array<iovec, 64> list;  // NOLINT: what is used is set
  int count = 0;

  HostVectors(HostCall& call, const Vectors& vectors) {
    std::size_t room = kFileBytesMax;
    for (std::size_t i = 0; i < vectors.count(); ++i) {
      const std::span<std::byte> part = vectors.at(call, i);
      const std::size_t size = std::min(part.size(), room);
      if (size == 0) continue;
      if (count == static_cast<int>(list.size())) break;
      list[static_cast<std::size_t>(count++)] = {.iov_base = part.data(), .iov_len = size};
      room -= size;
    }
  }
};

// Moves bytes by `transfer(HostVectors)` and tells the guest how many.
template <class Transfer>
std::int32_t transfer(HostCall& call, const Vectors& vectors, U32 count_at, Transfer one) {
  const HostVectors host(call, vectors);
  ssize_t moved = 0;
  if (host.count > 0) {
    do {
      moved = one(host);
    } while (moved < 0 && errno == EINTR);
  }
  if (moved < 0) return number(last_errno());
  return store(call, count_at, static_cast<U32>(moved));
}

void append(WasiState::Output& output, std::span<const std::byte> bytes) {
  const std::size_t room = output.bytes_max - std::min(output.bytes.size(), output.bytes_max);
  const std::size_t kept = std::min(room, bytes.size());
  output.bytes.append(reinterpret_cast<const char*>(bytes.data()), kept);
  if (kept == bytes.size()) return;
  output.bytes_dropped += bytes.size() - kept;
  const std::size_t last = std::min(bytes.size() - kept, WasiState::Output::kTailBytes);
  if (output.dropped_tail.size() + last > 4 * WasiState::Output::kTailBytes)
    output.dropped_tail.erase(0, output.dropped_tail.size() - WasiState::Output::kTailBytes);
  const auto end = bytes.last(last);
  output.dropped_tail.append(reinterpret_cast<const char*>(end.data()), end.size());
}

Outcome<std::int32_t> write_stream(HostCall& call, Kind stream, const Vectors& vectors,
                                   U32 written_at) {
  auto& state = call.state<WasiState>();
  U32 total = 0;
  for (std::size_t i = 0; i < vectors.count(); ++i) {
    const std::span<std::byte> part = vectors.at(call, i);
    if (state.sink != nullptr) {
      SEAM_RETURN_IF_ERROR(state.sink->write(stream == Kind::kStdout ? 1 : 2, part));
    } else {
      append(stream == Kind::kStdout ? state.standard_output : state.standard_error, part);
    }
    total += static_cast<U32>(part.size());
  }
  return store(call, written_at, total);
}

// One read for the first vector that has room: what comes later is not waited for.
Outcome<std::int32_t> read_source(HostCall& call, WasiSource& source, const Vectors& vectors,
                                  U32 read_at) {
  for (std::size_t i = 0; i < vectors.count(); ++i) {
    const std::span<std::byte> part = vectors.at(call, i);
    if (part.empty()) continue;
    SEAM_ASSIGN_OR_RETURN(const std::size_t count, source.read(part));
    return store(call, read_at, static_cast<U32>(count));
  }
  return store(call, read_at, U32{0});
}

Outcome<std::int32_t> read_stream(HostCall& call, const Vectors& vectors, U32 read_at) {
  auto& state = call.state<WasiState>();
  if (state.source != nullptr) return read_source(call, *state.source, vectors, read_at);
  U32 total = 0;
  for (std::size_t i = 0; i < vectors.count(); ++i) {
    // A vector may lie over the list itself, which the copy then changes: each is checked when it
    // is used.
    const std::span<std::byte> part = vectors.at(call, i);
    if (part.data() == nullptr) return number(WasiErrno::kFault);
    const std::size_t size = std::min(part.size(), state.stdin_bytes.size() - state.stdin_read);
    if (size == 0) continue;
    std::memcpy(part.data(), state.stdin_bytes.data() + state.stdin_read, size);
    state.stdin_read += size;
    total += static_cast<U32>(size);
  }
  return store(call, read_at, total);
}

// The vectors of a call on a descriptor that has `rights`, once `count_at` is known to be writable.
Expected<Vectors> checked_vectors(HostCall& call, const WasiDescriptor& descriptor,
                                  WasiRights rights, U32 at, U32 count, U32 count_at) {
  if (const WasiErrno refusal = refusal_of(descriptor, rights); refusal != kOk)
    return std::unexpected(refusal);
  const Expected<Vectors> vectors = vectors_of(call, at, count);
  if (vectors && !is_in_memory(call, count_at, 4)) return std::unexpected(WasiErrno::kFault);
  return vectors;
}

Outcome<std::int32_t> fd_write(HostCall& call, U32 fd, U32 at, U32 count, U32 written_at) {
  const WasiDescriptor* found = find(call, fd);
  if (found == nullptr) return number(WasiErrno::kBadf);
  const auto vectors = checked_vectors(call, *found, wasi_right::kFdWrite, at, count, written_at);
  if (!vectors) return number(vectors.error());
  if (found->is_stream()) return write_stream(call, found->kind, *vectors, written_at);
  return transfer(call, *vectors, written_at, [&](const HostVectors& host) {
    return ::writev(found->host.get(), host.list.data(), host.count);
  });
}

Outcome<std::int32_t> fd_read(HostCall& call, U32 fd, U32 at, U32 count, U32 read_at) {
  const WasiDescriptor* found = find(call, fd);
  if (found == nullptr) return number(WasiErrno::kBadf);
  const auto vectors = checked_vectors(call, *found, wasi_right::kFdRead, at, count, read_at);
  if (!vectors) return number(vectors.error());
  if (found->is_stream()) return read_stream(call, *vectors, read_at);
  return transfer(call, *vectors, read_at, [&](const HostVectors& host) {
    return ::readv(found->host.get(), host.list.data(), host.count);
  });
}

std::int32_t fd_pwrite(HostCall& call, U32 fd, U32 at, U32 count, U64 offset, U32 written_at) {
  const auto opened = opened_with(call, fd, 0);
  if (!opened) return number(opened.error());
  const auto vectors = checked_vectors(call, **opened, wasi_right::kFdWrite | wasi_right::kFdSeek,
                                       at, count, written_at);
  if (!vectors) return number(vectors.error());
  return transfer(call, *vectors, written_at, [&](const HostVectors& host) {
    return ::pwritev((*opened)->host.get(), host.list.data(), host.count,
                     static_cast<off_t>(offset));
  });
}

std::int32_t fd_pread(HostCall& call, U32 fd, U32 at, U32 count, U64 offset, U32 read_at) {
  const auto opened = opened_with(call, fd, 0);
  if (!opened) return number(opened.error());
  const auto vectors = checked_vectors(call, **opened, wasi_right::kFdRead | wasi_right::kFdSeek,
                                       at, count, read_at);
  if (!vectors) return number(vectors.error());
  return transfer(call, *vectors, read_at, [&](const HostVectors& host) {
    return ::preadv((*opened)->host.get(), host.list.data(), host.count,
                    static_cast<off_t>(offset));
  });
}

std::int32_t fd_seek(HostCall& call, U32 fd, std::int64_t offset, U32 whence, U32 at) {
  const auto opened = opened_with(call, fd, 0);
  if (!opened) return number(opened.error());
  const bool only_asks = whence == SEEK_CUR && offset == 0;
  const WasiRights enough =
      only_asks ? wasi_right::kFdTell | wasi_right::kFdSeek : WasiRights{wasi_right::kFdSeek};
  if (((*opened)->base & enough) == 0) return number(WasiErrno::kNotcapable);
  if (whence > SEEK_END) return number(WasiErrno::kInval);
  if (!is_in_memory(call, at, 8)) return number(WasiErrno::kFault);
  const off_t now = ::lseek((*opened)->host.get(), offset, static_cast<int>(whence));
  if (now < 0) return number(last_errno());
  return store(call, at, static_cast<U64>(now));
}

// "Unknown" for a stream that is no terminal, rather than a character device: the guest's C library
// then writes whole buffers.
WasiFiletype filetype_of(const WasiState& state, const WasiDescriptor& descriptor) {
  const auto stream = [](bool is_terminal) {
    return is_terminal ? WasiFiletype::kCharacterDevice : WasiFiletype::kUnknown;
  };
  switch (descriptor.kind) {
    case Kind::kDirectory:
      return WasiFiletype::kDirectory;
    case Kind::kFile:
      return WasiFiletype::kRegularFile;
    case Kind::kStdin:
      return stream(state.source != nullptr && state.source->is_terminal());
    default:
      return stream(state.sink != nullptr &&
                    state.sink->is_terminal(descriptor.kind == Kind::kStdout ? 1 : 2));
  }
}

std::int32_t fd_fdstat_get(HostCall& call, U32 fd, U32 at) {
  const WasiDescriptor* found = find(call, fd);
  if (found == nullptr) return number(WasiErrno::kBadf);
  const std::span<std::byte> stat = call.slice(at, 24);
  if (stat.data() == nullptr) return number(WasiErrno::kFault);
  std::ranges::fill(stat, std::byte{0});
  put(stat, 0, filetype_of(call.state<WasiState>(), *found));
  put(stat, 2, found->flags);
  put(stat, 8, found->base);
  put(stat, 16, found->inheriting);
  return number(kOk);
}

std::int32_t fd_fdstat_set_flags(HostCall& call, U32 fd, U32 flags) {
  const auto opened = opened_with(call, fd, wasi_right::kFdFdstatSetFlags, WasiErrno::kNotsup);
  if (!opened) return number(opened.error());
  if ((flags & ~static_cast<U32>(kWasiFdflags)) != 0) return number(WasiErrno::kInval);
  // Linux fixes when a file is synchronised once it is open.
  constexpr U32 kFixed = kWasiDsync | kWasiRsync | kWasiSync;
  if (((flags ^ (*opened)->flags) & kFixed) != 0) return number(WasiErrno::kNotsup);
  const int host_flags = O_NONBLOCK | ((flags & kWasiAppend) != 0 ? O_APPEND : 0);
  if (::fcntl((*opened)->host.get(), F_SETFL, host_flags) != 0) return number(last_errno());
  (*opened)->flags = static_cast<std::uint16_t>(flags);
  return number(kOk);
}

std::int32_t fd_fdstat_set_rights(HostCall& call, U32 fd, U64 base, U64 inheriting) {
  WasiDescriptor* found = find(call, fd);
  if (found == nullptr) return number(WasiErrno::kBadf);
  if ((base & ~found->base) != 0 || (inheriting & ~found->inheriting) != 0)
    return number(WasiErrno::kNotcapable);
  found->base = base;
  found->inheriting = inheriting;
  return number(kOk);
}

std::int32_t fd_filestat_get(HostCall& call, U32 fd, U32 at) {
  const WasiDescriptor* found = find(call, fd);
  if (found == nullptr) return number(WasiErrno::kBadf);
  if (const WasiErrno refusal = refusal_of(*found, wasi_right::kFdFilestatGet); refusal != kOk)
    return number(refusal);
  struct stat stat = {};  // of a stream: all zero, its type unknown
  if (!found->is_stream() && ::fstat(found->host.get(), &stat) != 0) return number(last_errno());
  return store_filestat(call, at, stat);
}

std::int32_t fd_filestat_set_size(HostCall& call, U32 fd, U64 size) {
  const auto opened = opened_with(call, fd, wasi_right::kFdFilestatSetSize, WasiErrno::kInval);
  if (!opened) return number(opened.error());
  if (::ftruncate((*opened)->host.get(), static_cast<off_t>(size)) != 0)
    return number(last_errno());
  return number(kOk);
}

std::int32_t fd_filestat_set_times(HostCall& call, U32 fd, U64 accessed, U64 modified, U32 flags) {
  const auto opened = opened_with(call, fd, wasi_right::kFdFilestatSetTimes, WasiErrno::kNotsup);
  if (!opened) return number(opened.error());
  const auto times = times_of(accessed, modified, flags);
  if (!times) return number(times.error());
  if (::futimens((*opened)->host.get(), times->at) != 0) return number(last_errno());
  return number(kOk);
}

std::int32_t fd_advise(HostCall& call, U32 fd, U64 offset, U64 size, U32 advice) {
  const auto opened = opened_with(call, fd, wasi_right::kFdAdvise);
  if (!opened) return number(opened.error());
  static constexpr std::array kAdvice = {POSIX_FADV_NORMAL,   POSIX_FADV_SEQUENTIAL,
                                         POSIX_FADV_RANDOM,   POSIX_FADV_WILLNEED,
                                         POSIX_FADV_DONTNEED, POSIX_FADV_NOREUSE};
  constexpr U64 kMost = std::numeric_limits<off_t>::max();
  if (advice >= kAdvice.size() || offset > kMost || size > kMost) return number(WasiErrno::kInval);
  const int error = ::posix_fadvise((*opened)->host.get(), static_cast<off_t>(offset),
                                    static_cast<off_t>(size), kAdvice[advice]);
  return number(wasi_errno_of(error));
}

std::int32_t fd_allocate(HostCall& call, U32 fd, U64 offset, U64 size) {
  const auto opened = opened_with(call, fd, wasi_right::kFdAllocate, WasiErrno::kInval);
  if (!opened) return number(opened.error());
  // Not posix_fallocate(), which writes where the file system has no such call.
  if (::fallocate((*opened)->host.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(size)) !=
      0) {
    return number(last_errno());
  }
  return number(kOk);
}

std::int32_t fd_sync(HostCall& call, U32 fd) {
  const auto opened = opened_with(call, fd, wasi_right::kFdSync, WasiErrno::kInval);
  if (!opened) return number(opened.error());
  return number(::fsync((*opened)->host.get()) == 0 ? kOk : last_errno());
}

std::int32_t fd_datasync(HostCall& call, U32 fd) {
  const auto opened = opened_with(call, fd, wasi_right::kFdDatasync, WasiErrno::kInval);
  if (!opened) return number(opened.error());
  return number(::fdatasync((*opened)->host.get()) == 0 ? kOk : last_errno());
}

std::int32_t fd_close(HostCall& call, U32 fd) {
  if (find(call, fd) == nullptr) return number(WasiErrno::kBadf);
  call.state<WasiState>().descriptors.close(fd);
  return number(kOk);
}

std::int32_t fd_renumber(HostCall& call, U32 from, U32 to) {
  if (find(call, from) == nullptr || find(call, to) == nullptr) return number(WasiErrno::kBadf);
  call.state<WasiState>().descriptors.renumber(from, to);
  return number(kOk);
}

}  // namespace

void add_files(HostModule& host) {
  host.add(kModule, "fd_write",
           [](HostCall& c, U32 fd, U32 at, U32 n, U32 out) { return fd_write(c, fd, at, n, out); });
  host.add(kModule, "fd_read",
           [](HostCall& c, U32 fd, U32 at, U32 n, U32 out) { return fd_read(c, fd, at, n, out); });
  host.add(kModule, "fd_pwrite", [](HostCall& c, U32 fd, U32 at, U32 n, U64 offset, U32 out) {
    return fd_pwrite(c, fd, at, n, offset, out);
  });
  host.add(kModule, "fd_pread", [](HostCall& c, U32 fd, U32 at, U32 n, U64 offset, U32 out) {
    return fd_pread(c, fd, at, n, offset, out);
  });
  host.add(kModule, "fd_seek", [](HostCall& c, U32 fd, std::int64_t offset, U32 whence, U32 at) {
    return fd_seek(c, fd, offset, whence, at);
  });
  host.add(kModule, "fd_tell",
           [](HostCall& c, U32 fd, U32 at) { return fd_seek(c, fd, 0, SEEK_CUR, at); });
  host.add(kModule, "fd_fdstat_get",
           [](HostCall& c, U32 fd, U32 at) { return fd_fdstat_get(c, fd, at); });
  host.add(kModule, "fd_fdstat_set_flags",
           [](HostCall& c, U32 fd, U32 flags) { return fd_fdstat_set_flags(c, fd, flags); });
  host.add(kModule, "fd_fdstat_set_rights", [](HostCall& c, U32 fd, U64 base, U64 inheriting) {
    return fd_fdstat_set_rights(c, fd, base, inheriting);
  });
  host.add(kModule, "fd_filestat_get",
           [](HostCall& c, U32 fd, U32 at) { return fd_filestat_get(c, fd, at); });
  host.add(kModule, "fd_filestat_set_size",
           [](HostCall& c, U32 fd, U64 size) { return fd_filestat_set_size(c, fd, size); });
  host.add(kModule, "fd_filestat_set_times",
           [](HostCall& c, U32 fd, U64 accessed, U64 modified, U32 flags) {
             return fd_filestat_set_times(c, fd, accessed, modified, flags);
           });
  host.add(kModule, "fd_advise", [](HostCall& c, U32 fd, U64 offset, U64 size, U32 advice) {
    return fd_advise(c, fd, offset, size, advice);
  });
  host.add(kModule, "fd_allocate", [](HostCall& c, U32 fd, U64 offset, U64 size) {
    return fd_allocate(c, fd, offset, size);
  });
  host.add(kModule, "fd_sync", [](HostCall& c, U32 fd) { return fd_sync(c, fd); });
  host.add(kModule, "fd_datasync", [](HostCall& c, U32 fd) { return fd_datasync(c, fd); });
  host.add(kModule, "fd_close", [](HostCall& c, U32 fd) { return fd_close(c, fd); });
  host.add(kModule, "fd_renumber",
           [](HostCall& c, U32 from, U32 to) { return fd_renumber(c, from, to); });
}

}  // namespace seam::wasm::wasi_internal
