#pragma once
// Compiled code on disk, so that a module is compiled once for each engine, version and machine.
//
//   SEAM_ASSIGN_OR_RETURN(const ModuleCache cache, ModuleCache::open(folder, 1 << 30));
//   if (auto code = cache.find(runtime.engine_key(), hash)) module = runtime.load(*code);
//
// Machine code is run as it is, so nothing is read that another user could have written: the folder
// has mode 0700 and is ours, so is each file, and a file must hold the digest of its own bytes.
// What fails this is as if it were not there, and is written anew.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace seam::wasm {

// Any thread, and several processes on one folder.
class ModuleCache {
 public:
  // Makes the folder if need be.
  // errors    kFailedPrecondition   it is another user's, or others may write or read in it: give
  // another
  //           else as the system says
  [[nodiscard]] static Result<ModuleCache> open(const std::filesystem::path& folder,
                                                std::uint64_t bytes_max);

  [[nodiscard]] std::optional<std::string> find(std::string_view engine_key,
                                                std::string_view content_hash) const;
  // Replaces what is there at once or not at all, and removes the oldest files over bytes_max.
  [[nodiscard]] Result<> keep(std::string_view engine_key, std::string_view content_hash,
                              std::string_view machine_code) const;

 private:
  ModuleCache(std::filesystem::path folder, FileDescriptor descriptor, std::uint64_t bytes_max)
      : folder_(std::move(folder)), descriptor_(std::move(descriptor)), bytes_max_(bytes_max) {}
  void prune() const;

  std::filesystem::path folder_;
  FileDescriptor descriptor_;  // of the folder: a folder put in its place later is not followed
  std::uint64_t bytes_max_;
};

}  // namespace seam::wasm
