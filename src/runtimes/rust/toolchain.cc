#include "runtimes/rust/toolchain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

namespace seam::runtimes {

namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 2> kTargets = {"wasm32-wasip1", "wasm32-wasi"};
constexpr std::string_view kRemedy =
    "install rustc, libstd-rust-dev-wasm32 and lld (Debian), or name a toolchain with the target "
    "wasm32-wasip1 in runtimes.rust.toolchain";

bool runs(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }

std::vector<fs::path> entries(const std::string& folder) {
  std::vector<fs::path> all;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error))
    all.push_back(entry.path());
  std::ranges::sort(all);
  return all;
}

bool has_standard_library(const std::string& folder, std::string_view target) {
  return std::ranges::any_of(entries(fmt::format("{}/lib/rustlib/{}/lib", folder, target)),
                             [](const fs::path& path) {
                               const std::string name = path.filename().string();
                               return name.starts_with("libstd-") && name.ends_with(".rlib");
                             });
}

std::optional<std::string> find_linker(const std::string& folder) {
  for (const fs::path& host : entries(folder + "/lib/rustlib")) {
    std::string own = (host / "bin/rust-lld").string();
    if (runs(own)) return own;
  }
  if (std::string plain = "/usr/bin/wasm-ld"; runs(plain)) return plain;
  // wasm-ld-14, wasm-ld-19: the last is the newest.
  std::optional<std::string> found;
  for (const fs::path& path : entries("/usr/bin")) {
    if (path.filename().string().starts_with("wasm-ld-") && runs(path.string()))
      found = path.string();
  }
  return found;
}

Result<RustToolchain> look_in(const std::string& folder) {
  if (!runs(folder + "/bin/rustc"))
    return fail(ErrorCode::kNotFound, fmt::format("there is no {}/bin/rustc", folder));
  for (const std::string_view target : kTargets) {
    if (!has_standard_library(folder, target)) continue;
    std::optional<std::string> linker = find_linker(folder);
    if (!linker) {
      return fail(ErrorCode::kNotFound,
                  fmt::format("{} has no rust-lld and /usr/bin no wasm-ld", folder));
    }
    return RustToolchain{
        .folder = folder, .target = std::string(target), .linker = *std::move(linker)};
  }
  return fail(ErrorCode::kNotFound, fmt::format("{} has rustc and no standard library for {}",
                                                folder, fmt::join(kTargets, " or ")));
}

}  // namespace

Result<RustToolchain> find_rust_toolchain(std::span<const std::string> folders) {
  std::vector<std::string> missing;
  for (const std::string& folder : folders) {
    Result<RustToolchain> found = look_in(folder);
    if (found) return found;
    missing.push_back(std::move(found).error().message);
  }
  return fail(ErrorCode::kNotFound, fmt::format("{}; {}", fmt::join(missing, "; "), kRemedy));
}

}  // namespace seam::runtimes
