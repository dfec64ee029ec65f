#include "metrics/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace seam::metrics {
namespace {

double seconds_of(clockid_t clock) {
  timespec now{};
  if (::clock_gettime(clock, &now) != 0) return 0;
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// The fields of /proc/self/stat from the third on: the second is a name in parentheses, which may
// hold anything.
std::istringstream stat_fields() {
  std::ifstream file("/proc/self/stat");
  std::string text(std::istreambuf_iterator<char>(file), {});
  return std::istringstream(text.substr(std::min(text.size(), text.rfind(')') + 1)));
}

}  // namespace

// source    proc(5): fields 20 (threads), 22 (start, in ticks since boot) and 23 (virtual bytes).
void write_process_metrics(TextWriter& writer) {
  writer.counter("process_cpu_seconds_total", "Processor time that the server itself has used.",
                 seconds_of(CLOCK_PROCESS_CPUTIME_ID));
  std::istringstream fields = stat_fields();
  std::string skipped;
  for (int field = 3; field < 20; ++field) fields >> skipped;
  std::int64_t threads = 0;
  double start_ticks = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t resident_pages = 0;
  if (fields >> threads >> skipped >> start_ticks >> virtual_bytes >> resident_pages) {
    const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    const double booted = seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME);
    writer.gauge("process_start_time_seconds", "When the server started, as Unix time.",
                 booted + start_ticks / ticks);
    writer.gauge("process_threads", "Threads of the server itself.", threads);
    writer.gauge("process_virtual_memory_bytes", "Address space of the server itself.",
                 virtual_bytes);
    writer.gauge("process_resident_memory_bytes", "Memory that the server itself holds.",
                 resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  }
  std::error_code error;
  const auto descriptors = std::filesystem::directory_iterator("/proc/self/fd", error);
  if (!error) {
    // One of them is that of the directory itself.
    writer.gauge(
        "process_open_fds", "Open file descriptors.",
        static_cast<std::int64_t>(std::distance(begin(descriptors), end(descriptors))) - 1);
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    writer.gauge("process_max_fds", "The most file descriptors that may be open.",
                 static_cast<std::uint64_t>(limit.rlim_cur));
  }
}

}  // namespace seam::metrics
