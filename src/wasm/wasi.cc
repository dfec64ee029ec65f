#include "wasm/wasi.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/check.h"

namespace seam::wasm {
namespace {

constexpr const char* kModule = "wasi_snapshot_preview1";
// More in one call would hold a thread for long: no deadline is looked at inside a host function.
constexpr std::uint32_t kVectorsMax = 1024;
constexpr std::uint32_t kRandomBytesMax = 1U << 20U;
constexpr std::uint32_t kSubscriptionsMax = 1024;

using U32 = std::uint32_t;
using U64 = std::uint64_t;

// Preview 1 passes every small number as an i32.
std::int32_t number(WasiErrno error) { return static_cast<std::int32_t>(error); }
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

std::optional<int> stream_of(const WasiState& state, U32 descriptor) {
  if (descriptor >= state.descriptors.size() || state.descriptors[descriptor] < 0)
    return std::nullopt;
  return state.descriptors[descriptor];
}

// For what a descriptor of ours cannot do: `error`, or EBADF for one that is not open.
std::int32_t refuse(HostCall& call, U32 descriptor, WasiErrno error) {
  return number(stream_of(call.state<WasiState>(), descriptor) ? error : WasiErrno::kBadf);
}

// --- arguments and environment

std::int32_t sizes_of(HostCall& call, const std::vector<std::string>& strings, U32 count_at,
                      U32 size_at) {
  std::size_t size = 0;
  for (const std::string& string : strings) size += string.size() + 1;
  if (size > std::numeric_limits<U32>::max()) return number(WasiErrno::kOverflow);
  if (call.slice(size_at, 4).data() == nullptr) return number(WasiErrno::kFault);
  if (const auto error = store(call, count_at, static_cast<U32>(strings.size()));
      error != number(kOk))
    return error;
  return store(call, size_at, static_cast<U32>(size));
}

std::int32_t copy_strings(HostCall& call, const std::vector<std::string>& strings, U32 pointers_at,
                          U32 text_at) {
  std::size_t size = 0;
  for (const std::string& string : strings) size += string.size() + 1;
  const std::span<std::byte> pointers =
      call.slice(pointers_at, static_cast<U32>(strings.size() * 4));
  const std::span<std::byte> text = call.slice(text_at, static_cast<U32>(size));
  if (pointers.data() == nullptr || text.data() == nullptr) return number(WasiErrno::kFault);
  U32 offset = 0;
  for (std::size_t i = 0; i < strings.size(); ++i) {
    put(pointers, i * 4, text_at + offset);
    std::memcpy(text.data() + offset, strings[i].c_str(), strings[i].size() + 1);
    offset += static_cast<U32>(strings[i].size() + 1);
  }
  return number(kOk);
}

// --- clocks

enum : U32 { kRealtime = 0, kMonotonic = 1 };

std::optional<U64> time_of(const WasiState& state, U32 id) {
  const auto count = [](auto since) {
    return static_cast<U64>(std::chrono::duration_cast<nanoseconds>(since).count());
  };
  if (id == kRealtime) return count(state.clock->wall_now().time_since_epoch());
  if (id == kMonotonic) return count(state.clock->now().time_since_epoch());
  return std::nullopt;  // CPU time: a guest moves between threads, there is none to give
}

// --- standard streams

struct Vectors {
  std::span<const std::byte> list;  // of {u32 pointer, u32 size}
  [[nodiscard]] std::size_t count() const { return list.size() / 8; }
  [[nodiscard]] std::span<std::byte> at(HostCall& call, std::size_t i) const {
    return call.slice(load<U32>(list, i * 8), load<U32>(list, i * 8 + 4));
  }
};

// Every vector lies in memory, and together they count at most 2^32 - 1 bytes.
std::expected<Vectors, WasiErrno> vectors_of(HostCall& call, U32 at, U32 count) {
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

std::int32_t fd_write(HostCall& call, U32 descriptor, U32 vectors_at, U32 count, U32 written_at) {
  auto& state = call.state<WasiState>();
  const auto stream = stream_of(state, descriptor);
  if (!stream || *stream == 0) return number(WasiErrno::kBadf);
  const auto vectors = vectors_of(call, vectors_at, count);
  if (!vectors) return number(vectors.error());
  if (call.slice(written_at, 4).data() == nullptr) return number(WasiErrno::kFault);
  U32 total = 0;
  for (std::size_t i = 0; i < vectors->count(); ++i) {
    const std::span<std::byte> part = vectors->at(call, i);
    append(*stream == 1 ? state.standard_output : state.standard_error, part);
    total += static_cast<U32>(part.size());
  }
  return store(call, written_at, total);
}

std::int32_t fd_read(HostCall& call, U32 descriptor, U32 vectors_at, U32 count, U32 read_at) {
  auto& state = call.state<WasiState>();
  const auto stream = stream_of(state, descriptor);
  if (!stream || *stream != 0) return number(WasiErrno::kBadf);
  const auto vectors = vectors_of(call, vectors_at, count);
  if (!vectors) return number(vectors.error());
  if (call.slice(read_at, 4).data() == nullptr) return number(WasiErrno::kFault);
  U32 total = 0;
  for (std::size_t i = 0; i < vectors->count(); ++i) {
    // A vector may lie over the list itself, which the copy then changes: each is checked when it
    // is used.
    const std::span<std::byte> part = vectors->at(call, i);
    if (part.data() == nullptr) return number(WasiErrno::kFault);
    const std::size_t size = std::min(part.size(), state.stdin_bytes.size() - state.stdin_read);
    if (size == 0) continue;
    std::memcpy(part.data(), state.stdin_bytes.data() + state.stdin_read, size);
    state.stdin_read += size;
    total += static_cast<U32>(size);
  }
  return store(call, read_at, total);
}

// "Unknown" rather than a character device: the guest's C library then writes whole buffers.
constexpr std::uint8_t kFiletypeUnknown = 0;

std::int32_t fd_fdstat_get(HostCall& call, U32 descriptor, U32 at) {
  const auto stream = stream_of(call.state<WasiState>(), descriptor);
  if (!stream) return number(WasiErrno::kBadf);
  const std::span<std::byte> stat = call.slice(at, 24);
  if (stat.data() == nullptr) return number(WasiErrno::kFault);
  std::ranges::fill(stat, std::byte{0});
  constexpr U64 kRead = 1U << 1U;
  constexpr U64 kWrite = 1U << 6U;
  constexpr U64 kPoll = 1U << 27U;
  put(stat, 0, kFiletypeUnknown);
  put<U64>(stat, 8, kPoll | (*stream == 0 ? kRead : kWrite));
  return number(kOk);
}

std::int32_t fd_filestat_get(HostCall& call, U32 descriptor, U32 at) {
  if (!stream_of(call.state<WasiState>(), descriptor)) return number(WasiErrno::kBadf);
  const std::span<std::byte> stat = call.slice(at, 64);
  if (stat.data() == nullptr) return number(WasiErrno::kFault);
  std::ranges::fill(stat, std::byte{0});
  put(stat, 16, kFiletypeUnknown);
  return number(kOk);
}

std::int32_t fd_renumber(HostCall& call, U32 from, U32 to) {
  auto& state = call.state<WasiState>();
  const auto stream = stream_of(state, from);
  if (!stream || !stream_of(state, to)) return number(WasiErrno::kBadf);
  if (from == to) return number(kOk);
  state.descriptors[to] = static_cast<std::int8_t>(*stream);
  state.descriptors[from] = -1;
  return number(kOk);
}

// --- poll

constexpr std::size_t kSubscriptionBytes = 48;
constexpr std::size_t kEventBytes = 32;
constexpr U64 kWaitMax = 1ULL << 60U;  // 36 years, so that sums stay in range

enum : std::uint8_t { kEventClock = 0, kEventRead = 1, kEventWrite = 2 };

struct Event {
  U64 user_data;
  WasiErrno error = kOk;
  std::uint8_t type;
  U64 bytes = 0;
  U64 in_ns = 0;  // from now; 0 for what is ready
};

Event event_of(const WasiState& state, std::span<const std::byte> subscription) {
  Event event{.user_data = load<U64>(subscription, 0), .type = load<std::uint8_t>(subscription, 8)};
  if (event.type == kEventClock) {
    const auto now = time_of(state, load<U32>(subscription, 16));
    const auto timeout = load<U64>(subscription, 24);
    const bool absolute = (load<std::uint16_t>(subscription, 40) & 1U) != 0;
    if (!now) {
      event.error = WasiErrno::kNotsup;
    } else if (absolute) {
      event.in_ns = timeout > *now ? timeout - *now : 0;
    } else {
      event.in_ns = timeout;
    }
    event.in_ns = std::min(event.in_ns, kWaitMax);
  } else {
    const auto stream = stream_of(state, load<U32>(subscription, 16));
    if (event.type > kEventWrite) {
      event.error = WasiErrno::kInval;
    } else if (!stream || (*stream == 0) != (event.type == kEventRead)) {
      event.error = WasiErrno::kBadf;
    } else if (event.type == kEventRead) {
      event.bytes = state.stdin_bytes.size() - state.stdin_read;
    }
  }
  return event;
}

// Reports what is ready now, or else waits for the earliest clock and reports what is due then.
std::int32_t poll_oneoff(HostCall& call, U32 in, U32 out, U32 count, U32 count_at) {
  const auto& state = call.state<WasiState>();
  if (count == 0 || count > kSubscriptionsMax) return number(WasiErrno::kInval);
  const std::span<std::byte> subscriptions = call.slice(in, count * kSubscriptionBytes);
  const std::span<std::byte> events = call.slice(out, count * kEventBytes);
  if (subscriptions.data() == nullptr || events.data() == nullptr ||
      call.slice(count_at, 4).data() == nullptr) {
    return number(WasiErrno::kFault);
  }
  std::vector<Event> all;
  all.reserve(count);
  for (U32 i = 0; i < count; ++i) {
    all.push_back(
        event_of(state, subscriptions.subspan(i * kSubscriptionBytes, kSubscriptionBytes)));
  }
  const U64 earliest = std::ranges::min(all, {}, &Event::in_ns).in_ns;
  U32 reported = 0;
  for (const Event& event : all) {
    if (event.in_ns > earliest) continue;
    const std::span<std::byte> slot = events.subspan(reported++ * kEventBytes, kEventBytes);
    std::ranges::fill(slot, std::byte{0});
    put(slot, 0, event.user_data);
    put(slot, 8, event.error);
    put(slot, 10, event.type);
    put(slot, 16, event.bytes);
  }
  if (earliest > 0) call.wait_until(Deadline::after(nanoseconds(earliest)));
  return store(call, count_at, reported);
}

std::int32_t random_get(HostCall& call, U32 at, U32 size) {
  if (size > kRandomBytesMax) return number(WasiErrno::kInval);
  const std::span<std::byte> bytes = call.slice(at, size);
  if (bytes.data() == nullptr) return number(WasiErrno::kFault);
  call.state<WasiState>().random(bytes);
  return number(kOk);
}

Outcome<> exit_with(std::int32_t code, std::string message) {
  return std::unexpected(
      Error{.code = ErrorCode::kExited, .message = std::move(message), .exit_code = code});
}

// A path is relative to a directory's descriptor, and there is none.
constexpr auto no_directory = [](HostCall& call, U32 descriptor) {
  return refuse(call, descriptor, WasiErrno::kNotdir);
};

void add_streams(HostModule& host) {
  host.add(kModule, "fd_write",
           [](HostCall& c, U32 fd, U32 at, U32 n, U32 out) { return fd_write(c, fd, at, n, out); });
  host.add(kModule, "fd_read",
           [](HostCall& c, U32 fd, U32 at, U32 n, U32 out) { return fd_read(c, fd, at, n, out); });
  host.add(kModule, "fd_fdstat_get",
           [](HostCall& c, U32 fd, U32 at) { return fd_fdstat_get(c, fd, at); });
  host.add(kModule, "fd_filestat_get",
           [](HostCall& c, U32 fd, U32 at) { return fd_filestat_get(c, fd, at); });
  host.add(kModule, "fd_renumber",
           [](HostCall& c, U32 from, U32 to) { return fd_renumber(c, from, to); });
  host.add(kModule, "fd_close", [](HostCall& c, U32 fd) {
    auto& state = c.state<WasiState>();
    if (!stream_of(state, fd)) return number(WasiErrno::kBadf);
    state.descriptors[fd] = -1;
    return number(kOk);
  });
  // What pipes cannot do.
  host.add(kModule, "fd_seek", [](HostCall& c, U32 fd, std::int64_t, U32, U32) {
    return refuse(c, fd, WasiErrno::kSpipe);
  });
  host.add(kModule, "fd_tell",
           [](HostCall& c, U32 fd, U32) { return refuse(c, fd, WasiErrno::kSpipe); });
  host.add(kModule, "fd_pread", [](HostCall& c, U32 fd, U32, U32, U64, U32) {
    return refuse(c, fd, WasiErrno::kSpipe);
  });
  host.add(kModule, "fd_pwrite", [](HostCall& c, U32 fd, U32, U32, U64, U32) {
    return refuse(c, fd, WasiErrno::kSpipe);
  });
  host.add(kModule, "fd_advise",
           [](HostCall& c, U32 fd, U64, U64, U32) { return refuse(c, fd, WasiErrno::kSpipe); });
  host.add(kModule, "fd_allocate",
           [](HostCall& c, U32 fd, U64, U64) { return refuse(c, fd, WasiErrno::kInval); });
  host.add(kModule, "fd_sync",
           [](HostCall& c, U32 fd) { return refuse(c, fd, WasiErrno::kInval); });
  host.add(kModule, "fd_datasync",
           [](HostCall& c, U32 fd) { return refuse(c, fd, WasiErrno::kInval); });
  host.add(kModule, "fd_filestat_set_size",
           [](HostCall& c, U32 fd, U64) { return refuse(c, fd, WasiErrno::kInval); });
  host.add(kModule, "fd_filestat_set_times",
           [](HostCall& c, U32 fd, U64, U64, U32) { return refuse(c, fd, WasiErrno::kNotsup); });
  host.add(kModule, "fd_fdstat_set_flags",
           [](HostCall& c, U32 fd, U32) { return refuse(c, fd, WasiErrno::kNotsup); });
  host.add(kModule, "fd_fdstat_set_rights",
           [](HostCall& c, U32 fd, U64, U64) { return refuse(c, fd, WasiErrno::kNotsup); });
}

void add_files_and_sockets(HostModule& host) {
  // Guests ask for directories one descriptor after the other until EBADF ends the list.
  host.add(kModule, "fd_prestat_get", [](HostCall&, U32, U32) { return number(WasiErrno::kBadf); });
  host.add(kModule, "fd_prestat_dir_name",
           [](HostCall&, U32, U32, U32) { return number(WasiErrno::kBadf); });
  host.add(kModule, "fd_readdir",
           [](HostCall& c, U32 fd, U32, U32, U64, U32) { return no_directory(c, fd); });
  host.add(kModule, "path_create_directory",
           [](HostCall& c, U32 fd, U32, U32) { return no_directory(c, fd); });
  host.add(kModule, "path_filestat_get",
           [](HostCall& c, U32 fd, U32, U32, U32, U32) { return no_directory(c, fd); });
  host.add(kModule, "path_filestat_set_times",
           [](HostCall& c, U32 fd, U32, U32, U32, U64, U64, U32) { return no_directory(c, fd); });
  host.add(kModule, "path_link",
           [](HostCall& c, U32 fd, U32, U32, U32, U32, U32, U32) { return no_directory(c, fd); });
  host.add(kModule, "path_open", [](HostCall& c, U32 fd, U32, U32, U32, U32, U64, U64, U32, U32) {
    return no_directory(c, fd);
  });
  host.add(kModule, "path_readlink",
           [](HostCall& c, U32 fd, U32, U32, U32, U32, U32) { return no_directory(c, fd); });
  host.add(kModule, "path_remove_directory",
           [](HostCall& c, U32 fd, U32, U32) { return no_directory(c, fd); });
  host.add(kModule, "path_rename",
           [](HostCall& c, U32 fd, U32, U32, U32, U32, U32) { return no_directory(c, fd); });
  host.add(kModule, "path_symlink",
           [](HostCall& c, U32, U32, U32 fd, U32, U32) { return no_directory(c, fd); });
  host.add(kModule, "path_unlink_file",
           [](HostCall& c, U32 fd, U32, U32) { return no_directory(c, fd); });
  host.add(kModule, "sock_accept",
           [](HostCall& c, U32 fd, U32, U32) { return refuse(c, fd, WasiErrno::kNotsock); });
  host.add(kModule, "sock_recv", [](HostCall& c, U32 fd, U32, U32, U32, U32, U32) {
    return refuse(c, fd, WasiErrno::kNotsock);
  });
  host.add(kModule, "sock_send", [](HostCall& c, U32 fd, U32, U32, U32, U32) {
    return refuse(c, fd, WasiErrno::kNotsock);
  });
  host.add(kModule, "sock_shutdown",
           [](HostCall& c, U32 fd, U32) { return refuse(c, fd, WasiErrno::kNotsock); });
}

}  // namespace

void kernel_random(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    if (got < 0) {
      CHECK(errno == EINTR);
      continue;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

void add_wasi(HostModule& host) {
  host.add(kModule, "args_sizes_get", [](HostCall& c, U32 n, U32 size) {
    return sizes_of(c, c.state<WasiState>().args, n, size);
  });
  host.add(kModule, "args_get", [](HostCall& c, U32 at, U32 text) {
    return copy_strings(c, c.state<WasiState>().args, at, text);
  });
  host.add(kModule, "environ_sizes_get", [](HostCall& c, U32 n, U32 size) {
    return sizes_of(c, c.state<WasiState>().environment, n, size);
  });
  host.add(kModule, "environ_get", [](HostCall& c, U32 at, U32 text) {
    return copy_strings(c, c.state<WasiState>().environment, at, text);
  });
  host.add(kModule, "clock_res_get", [](HostCall& c, U32 id, U32 at) {
    if (id > kMonotonic) return number(WasiErrno::kNotsup);
    return store<U64>(c, at, id == kRealtime ? 1000 : 1);  // wall time comes in microseconds
  });
  host.add(kModule, "clock_time_get", [](HostCall& c, U32 id, U64, U32 at) {
    const auto now = time_of(c.state<WasiState>(), id);
    return now ? store(c, at, *now) : number(WasiErrno::kNotsup);
  });
  host.add(kModule, "random_get",
           [](HostCall& c, U32 at, U32 size) { return random_get(c, at, size); });
  host.add_waiting(kModule, "poll_oneoff", [](HostCall& c, U32 in, U32 out, U32 n, U32 count_at) {
    return poll_oneoff(c, in, out, n, count_at);
  });
  host.add(kModule, "sched_yield", [](HostCall&) { return number(kOk); });  // slices see to it
  host.add(kModule, "proc_exit",
           [](HostCall&, std::int32_t code) { return exit_with(code, "the guest ended itself"); });
  host.add(kModule, "proc_raise", [](HostCall&, std::int32_t signal) -> Outcome<std::int32_t> {
    return std::unexpected(exit_with(128 + signal, "the guest raised a signal").error());
  });
  add_streams(host);
  add_files_and_sockets(host);
}

}  // namespace seam::wasm
