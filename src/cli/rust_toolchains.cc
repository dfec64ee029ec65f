#include "cli/rust_toolchains.h"

#include <filesystem>
#include <system_error>

namespace seam::cli {

std::vector<std::string> rust_toolchains(const RustSettings& settings) {
  if (!settings.toolchain.empty()) return {settings.toolchain};
  std::vector<std::string> folders;
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) {
    folders.push_back((program.parent_path().parent_path() / "lib/seam/rust").string());
  }
  folders.emplace_back("/usr");
  return folders;
}

}  // namespace seam::cli
