// Any bytes as seam.yaml and as a flag's value: an error or settings, never a crash or a hang.

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "config/load.h"
#include "config/yaml.h"

namespace {

using namespace seam::config;

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all{
      {.key = "host", .default_text = "127.0.0.1"},
      {.key = "port", .type = Type::kInteger, .default_text = "8080", .maximum = 65'535},
      {.key = "log.level",
       .type = Type::kChoice,
       .default_text = "info",
       .choices = {"debug", "info"}},
      {.key = "limits.params_bytes_max", .type = Type::kBytes, .default_text = "6MiB"},
      {.key = "runtime_map",
       .type = Type::kEntries,
       .default_text = "[{prefix: a-, runtime: a}]",
       .fields = {"prefix", "pattern", "runtime"}}};
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  // The loader takes the path of a regular file; a memory file is one.
  static const int file = ::memfd_create("seam.yaml", MFD_CLOEXEC);
  CHECK(file >= 0 && ::ftruncate(file, 0) == 0);
  CHECK(::pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  const auto loaded = load(settings(), {}, {.file = fmt::format("/proc/self/fd/{}", file)});
  if (!loaded) CHECK(!loaded.error().message.empty());
  for (const Effective& effective : loaded.value_or(std::vector<Effective>{})) {
    if (effective.setting->type == Type::kEntries) continue;
    // What is printed reads back as what it was.
    const auto again =
        parse_value(*effective.setting, format_value(*effective.setting, effective.value));
    CHECK(again.has_value() && *again == effective.value);
  }
  for (const Setting& setting : settings()) {
    if (setting.type != Type::kEntries) (void)parse_value(setting, text);
  }
  return 0;
}
