#include "cli/host_process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "base/file_descriptor.h"
#include "base/log.h"
#include "store/log_masking.h"

namespace seam::cli {

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

Result<process::SpawnerProcess> prepare_host_process(const Settings& settings) {
  std::signal(SIGPIPE, SIG_IGN);
  Result<process::SpawnerProcess> spawner =
      process::SpawnerProcess::start({.isolation = settings.isolation, .cgroup_name = {}});
  if (!spawner) return spawner;
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  set_log_level(settings.log_level);
  set_log_format(settings.log_format);
  set_log_mask(store::mask_log_line);
  return spawner;
}

int try_bind(const Settings& settings) {
  const bool v6 = settings.host.contains(':');
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (v6) {
    auto* address = reinterpret_cast<sockaddr_in6*>(&storage);
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(settings.port);
    if (::inet_pton(AF_INET6, settings.host.c_str(), &address->sin6_addr) != 1) return EINVAL;
    size = sizeof(sockaddr_in6);
  } else {
    auto* address = reinterpret_cast<sockaddr_in*>(&storage);
    address->sin_family = AF_INET;
    address->sin_port = htons(settings.port);
    const std::string host = settings.host == "localhost" ? "127.0.0.1" : settings.host;
    if (::inet_pton(AF_INET, host.c_str(), &address->sin_addr) != 1) return EINVAL;
    size = sizeof(sockaddr_in);
  }
  const FileDescriptor socket(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return errno;
  // Connections of an earlier server that are not quite gone must not look like a server.
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return ::bind(socket.get(), reinterpret_cast<sockaddr*>(&storage), size) == 0 ? 0 : errno;
}

}  // namespace seam::cli
