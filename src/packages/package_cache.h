#pragma once
// The unpacked archives of functions: each content once, by its hash, in the data directory. The
// files are there for as long as somebody holds the pointer to their folder, and across a restart
// of the server.
//
//   SEAM_ASSIGN_OR_RETURN(cache, PackageCache::open({.folder = data + "/packages"}));
//   SEAM_CO_ASSIGN_OR_RETURN(FolderPtr folder, co_await cache->unpack(hash, content));
//
//   <folder>/<hash>/files     what the archive holds, readable by all; the folders above by us
//   alone <folder>/<hash>/size      entries and bytes, to notice what has changed while no server
//   ran

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/task.h"
#include "packages/archive.h"

namespace seam::packages {

// The path of an unpacked archive. Shared by the programs of all versions and loops that run from
// it; when the last lets go, the cache removes the folder.
using FolderPtr = std::shared_ptr<const std::string>;

struct PackageCacheOptions {
  std::string folder;  // made where it is missing; one server's alone
  ArchiveLimits limits = {};
};

// Works on a thread of its own, one archive after the other.
class PackageCache {
 public:
  // errors    the disk's, or kFailedPrecondition for a folder that is not ours
  [[nodiscard]] static Result<std::unique_ptr<PackageCache>> open(PackageCacheOptions options);
  // As close().
  ~PackageCache();
  PackageCache(const PackageCache&) = delete;
  PackageCache& operator=(const PackageCache&) = delete;

  // The folder of a content with this SHA-256; unpacks it where it is not there, or not whole any
  // more. `content` is borrowed until it returns. Any loop; resumes on it.
  // errors    as unpack_archive()
  [[nodiscard]] Task<Result<FolderPtr>> unpack(std::string hash, std::string_view content);

  // Removes every folder that is neither in use nor among `hashes`. Any loop; resumes on it.
  [[nodiscard]] Task<> keep_only(std::vector<std::string> hashes);

  // Where all folders lie.
  [[nodiscard]] const std::string& folder() const { return options_.folder; }

  // From now on folders are kept though nobody holds them: the next start takes them up. No
  // unpack() is in flight or comes later.
  void close();

 private:
  struct Holders;
  explicit PackageCache(PackageCacheOptions options);
  Result<FolderPtr> unpack_here(const std::string& hash, std::string_view content);
  [[nodiscard]] bool is_whole(const std::string& hash) const;
  Result<void> unpack_anew(const std::string& hash, std::string_view content) const;
  void discard(const std::string& name) const;
  void discard_unheld(const std::string& hash);
  FolderPtr hold(const std::string& hash);

  const PackageCacheOptions options_;
  std::shared_ptr<Holders> holders_;  // shared with the pointers given out, which may outlive this
  EventLoop loop_;
  std::jthread thread_;
};

}  // namespace seam::packages
