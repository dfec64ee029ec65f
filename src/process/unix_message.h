#pragma once
// One message with descriptors over a SOCK_SEQPACKET socket of this machine.
//
//   send_message(socket, bytes, {pipe.get()});                  // 0, or the errno
//   Message message;  receive_message(socket, message);         // 0, or the errno
//
// The other side receives descriptors that are closed on exec.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_descriptor.h"

namespace seam::process {

inline constexpr std::size_t kMessageBytesMax = 128U << 10U;  // fits a socket buffer of any Linux
inline constexpr std::size_t kMessageDescriptorsMax = 16;

struct Message {
  std::string bytes;  // empty: the other side has closed
  std::vector<FileDescriptor> descriptors;
};

// Returns 0 or the errno: EAGAIN on a full non-blocking socket, EPIPE when the other side has
// closed; never SIGPIPE. CHECKs the limits above.
[[nodiscard]] int send_message(int socket, std::string_view bytes,
                               std::span<const int> descriptors);

// Returns 0 or the errno: EAGAIN, EMSGSIZE for a message over the limits.
[[nodiscard]] int receive_message(int socket, Message& message);

}  // namespace seam::process
