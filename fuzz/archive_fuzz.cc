// Any bytes as an archive: an error, or files within the folder, as many and as large as was said.

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/check.h"
#include "packages/archive.h"

namespace {

// In memory where there is such a place, and for this process alone.
const std::string& place() {
  static const std::string path = [] {
    std::string name =
        ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/seam-fuzz-XXXXXX" : "/tmp/seam-fuzz-XXXXXX";
    CHECK(::mkdtemp(name.data()) != nullptr);
    return name;
  }();
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace seam::packages;
  namespace fs = std::filesystem;
  const std::string folder = place() + "/in";
  fs::remove_all(folder);
  CHECK(::mkdir(folder.c_str(), 0755) == 0);
  const ArchiveLimits limits{.bytes_max = 1U << 20U, .entries_max = 100};
  const auto unpacked = unpack_archive({reinterpret_cast<const char*>(data), size}, folder, limits);
  CHECK(std::distance(fs::directory_iterator(place()), fs::directory_iterator()) == 1);
  const auto measured = measure_folder(folder);
  CHECK(measured.has_value());
  CHECK(measured->bytes <= limits.bytes_max && measured->entries <= limits.entries_max);
  if (unpacked) CHECK(*unpacked == *measured);
  return 0;
}
