#include "cli/wasm_streams.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <system_error>

namespace seam::cli {
namespace {

// Waits until descriptor `fd` can do `event`, or the deadline has passed.
wasm::Outcome<> wait_for(int fd, short event, Deadline deadline) {
  while (true) {
    pollfd poll{.fd = fd, .events = event, .revents = 0};
    int timeout = -1;
    if (deadline != Deadline::never()) {
      const auto left =
          std::chrono::ceil<milliseconds>(deadline.remaining(MonotonicClock::now())).count();
      timeout = static_cast<int>(std::min<std::int64_t>(left, std::numeric_limits<int>::max()));
    }
    const int ready = ::poll(&poll, 1, timeout);
    if (ready > 0) return {};
    if (ready == 0 && deadline.passed(MonotonicClock::now())) {
      return wasm::fail(wasm::ErrorCode::kDeadlineExceeded,
                        "the guest waited for its input or output until its time was up");
    }
    if (ready < 0 && errno != EINTR)
      return wasm::fail(wasm::ErrorCode::kHostFailed,
                        fmt::format("poll: {}", std::generic_category().message(errno)));
  }
}

}  // namespace

wasm::Outcome<std::size_t> ProcessInput::read(std::span<std::byte> bytes) {
  while (true) {
    SEAM_RETURN_IF_ERROR(wait_for(STDIN_FILENO, POLLIN, deadline_));
    const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno == EINTR || errno == EAGAIN) continue;
    return wasm::fail(wasm::ErrorCode::kHostFailed,
                      fmt::format("standard input: {}", std::generic_category().message(errno)));
  }
}

bool ProcessInput::is_terminal() const { return ::isatty(STDIN_FILENO) == 1; }

wasm::Outcome<> ProcessOutput::write(int stream, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    SEAM_RETURN_IF_ERROR(wait_for(stream, POLLOUT, deadline_));
    const ssize_t count = ::write(stream, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      continue;
    }
    if (errno == EINTR || errno == EAGAIN) continue;
    if (errno == EPIPE)
      return wasm::fail(wasm::ErrorCode::kCancelled, "nobody reads the guest's output any more");
    return wasm::fail(
        wasm::ErrorCode::kHostFailed,
        fmt::format("the guest's output: {}", std::generic_category().message(errno)));
  }
  return {};
}

bool ProcessOutput::is_terminal(int stream) const { return ::isatty(stream) == 1; }

}  // namespace seam::cli
