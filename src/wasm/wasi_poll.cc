// poll_oneoff. Nothing that a guest can open keeps it waiting, so that a descriptor is ready at
// once, and only clocks take time.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "wasm/wasi_calls.h"

namespace seam::wasm::wasi_internal {
namespace {

constexpr U32 kSubscriptionsMax = 1024;
constexpr std::size_t kSubscriptionBytes = 48;
constexpr std::size_t kEventBytes = 32;
constexpr U64 kWaitMax = 1ULL << 60U;  // 36 years, so that sums stay in range

enum : std::uint8_t { kEventClock = 0, kEventRead = 1, kEventWrite = 2 };
enum : std::uint16_t { kAbsolute = 1 };  // subclockflags
enum : std::uint16_t { kHangup = 1 };    // eventrwflags

struct Event {
  U64 user_data;
  WasiErrno error = kOk;
  std::uint8_t type;
  U64 bytes = 0;
  std::uint16_t flags = 0;
  U64 in_ns = 0;  // from now; 0 for what is ready
};

// Both clocks at one moment, so that each look at a subscription gives the same.
struct Now {
  U64 realtime, monotonic;
};

void look_at_clock(Event& event, const Now& now, std::span<const std::byte> subscription) {
  const auto id = load<U32>(subscription, 16);
  const auto timeout = load<U64>(subscription, 24);
  if (id > kMonotonic) {
    event.error = WasiErrno::kInval;
    return;
  }
  const U64 time = id == kRealtime ? now.realtime : now.monotonic;
  if ((load<std::uint16_t>(subscription, 40) & kAbsolute) != 0) {
    event.in_ns = timeout > time ? timeout - time : 0;
  } else {
    event.in_ns = timeout;
  }
  event.in_ns = std::min(event.in_ns, kWaitMax);
}

// How many bytes a read would find; of a source that may wait for them, one at least.
U64 bytes_left(const WasiState& state, const WasiDescriptor& descriptor) {
  if (descriptor.is_stream() && state.source != nullptr) return 1;
  if (descriptor.is_stream()) return state.stdin_bytes.size() - state.stdin_read;
  struct stat stat = {};
  const off_t at = ::lseek(descriptor.host.get(), 0, SEEK_CUR);
  if (at < 0 || ::fstat(descriptor.host.get(), &stat) != 0 || stat.st_size < at) return 0;
  return static_cast<U64>(stat.st_size - at);
}

void look_at_descriptor(Event& event, const WasiState& state, U32 fd) {
  const WasiDescriptor* found = state.descriptors.find(fd);
  const WasiRights right = event.type == kEventRead ? wasi_right::kFdRead : wasi_right::kFdWrite;
  if (found == nullptr || found->kind == Kind::kDirectory) {
    event.error = WasiErrno::kBadf;
    return;
  }
  event.error = refusal_of(*found, right);
  if (event.error == kOk) event.error = refusal_of(*found, wasi_right::kPollFdReadwrite);
  if (event.error != kOk || event.type != kEventRead) return;
  event.bytes = bytes_left(state, *found);
  if (found->is_stream() && event.bytes == 0) event.flags = kHangup;
}

Event event_of(const WasiState& state, const Now& now, std::span<const std::byte> subscription) {
  Event event{.user_data = load<U64>(subscription, 0), .type = load<std::uint8_t>(subscription, 8)};
  if (event.type == kEventClock) {
    look_at_clock(event, now, subscription);
  } else if (event.type > kEventWrite) {
    event.error = WasiErrno::kInval;
  } else {
    look_at_descriptor(event, state, load<U32>(subscription, 16));
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
      !is_in_memory(call, count_at, 4)) {
    return number(WasiErrno::kFault);
  }
  const Now now{.realtime = *time_of(*state.clock, kRealtime),
                .monotonic = *time_of(*state.clock, kMonotonic)};
  const auto event_at = [&](U32 i) {
    return event_of(state, now, subscriptions.subspan(i * kSubscriptionBytes, kSubscriptionBytes));
  };
  U64 earliest = kWaitMax;
  for (U32 i = 0; i < count; ++i) earliest = std::min(earliest, event_at(i).in_ns);
  U32 reported = 0;
  for (U32 i = 0; i < count; ++i) {
    const Event event = event_at(i);
    if (event.in_ns > earliest) continue;
    const std::span<std::byte> slot = events.subspan(reported++ * kEventBytes, kEventBytes);
    std::ranges::fill(slot, std::byte{0});
    put(slot, 0, event.user_data);
    put(slot, 8, event.error);
    put(slot, 10, event.type);
    put(slot, 16, event.bytes);
    put(slot, 24, event.flags);
  }
  if (earliest > 0) call.wait_until(Deadline::after(nanoseconds(earliest)));
  return store(call, count_at, reported);
}

}  // namespace

void add_poll(HostModule& host) {
  host.add_waiting(kModule, "poll_oneoff", [](HostCall& c, U32 in, U32 out, U32 n, U32 count_at) {
    return poll_oneoff(c, in, out, n, count_at);
  });
}

}  // namespace seam::wasm::wasi_internal
