// args_…, environ_…, clock_…, random_get, sched_yield, proc_…, sock_…; the rest of preview 1 is in
// wasi_files.cc, wasi_directories.cc and wasi_poll.cc.
#include "wasm/wasi.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"
#include "wasm/wasi_calls.h"

namespace seam::wasm {
namespace {

using namespace wasi_internal;

constexpr std::uint32_t kRandomBytesMax = 1U << 20U;

std::size_t text_size(const std::vector<std::string>& strings) {
  std::size_t size = 0;
  for (const std::string& string : strings) size += string.size() + 1;
  return size;
}

std::int32_t sizes_of(HostCall& call, const std::vector<std::string>& strings, U32 count_at,
                      U32 size_at) {
  const std::size_t size = text_size(strings);
  if (size > std::numeric_limits<U32>::max()) return number(WasiErrno::kOverflow);
  if (!is_in_memory(call, size_at, 4)) return number(WasiErrno::kFault);
  if (const auto error = store(call, count_at, static_cast<U32>(strings.size()));
      error != number(kOk))
    return error;
  return store(call, size_at, static_cast<U32>(size));
}

std::int32_t copy_strings(HostCall& call, const std::vector<std::string>& strings, U32 pointers_at,
                          U32 text_at) {
  const std::span<std::byte> pointers =
      call.slice(pointers_at, static_cast<U32>(strings.size() * 4));
  const std::span<std::byte> text = call.slice(text_at, static_cast<U32>(text_size(strings)));
  if (pointers.data() == nullptr || text.data() == nullptr) return number(WasiErrno::kFault);
  U32 offset = 0;
  for (std::size_t i = 0; i < strings.size(); ++i) {
    put(pointers, i * 4, text_at + offset);
    std::memcpy(text.data() + offset, strings[i].c_str(), strings[i].size() + 1);
    offset += static_cast<U32>(strings[i].size() + 1);
  }
  return number(kOk);
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

// There are no sockets.
std::int32_t no_socket(HostCall& call, U32 fd) {
  return number(find(call, fd) == nullptr ? WasiErrno::kBadf : WasiErrno::kNotsock);
}

void add_sockets(HostModule& host) {
  host.add(kModule, "sock_accept", [](HostCall& c, U32 fd, U32, U32) { return no_socket(c, fd); });
  host.add(kModule, "sock_recv",
           [](HostCall& c, U32 fd, U32, U32, U32, U32, U32) { return no_socket(c, fd); });
  host.add(kModule, "sock_send",
           [](HostCall& c, U32 fd, U32, U32, U32, U32) { return no_socket(c, fd); });
  host.add(kModule, "sock_shutdown", [](HostCall& c, U32 fd, U32) { return no_socket(c, fd); });
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
    if (id > kMonotonic) return number(WasiErrno::kInval);
    return store<U64>(c, at, id == kRealtime ? 1000 : 1);  // wall time comes in microseconds
  });
  host.add(kModule, "clock_time_get", [](HostCall& c, U32 id, U64, U32 at) {
    const auto now = time_of(*c.state<WasiState>().clock, id);
    return now ? store(c, at, *now) : number(WasiErrno::kInval);
  });
  host.add(kModule, "random_get",
           [](HostCall& c, U32 at, U32 size) { return random_get(c, at, size); });
  host.add(kModule, "sched_yield", [](HostCall&) { return number(kOk); });  // slices see to it
  host.add(kModule, "proc_exit",
           [](HostCall&, std::int32_t code) { return exit_with(code, "the guest ended itself"); });
  host.add(kModule, "proc_raise", [](HostCall&, std::int32_t signal) -> Outcome<std::int32_t> {
    return std::unexpected(exit_with(128 + signal, "the guest raised a signal").error());
  });
  add_files(host);
  add_directories(host);
  add_poll(host);
  add_sockets(host);
}

}  // namespace seam::wasm
