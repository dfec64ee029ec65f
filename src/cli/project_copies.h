#pragma once
// Copies of a project's files, for a host that runs them while they are being changed: each copy is
// whole and never changes, and costs what has changed since the one before.
//
//   ProjectCopies copies(packages_folder);
//   SEAM_ASSIGN_OR_RETURN(packages::FolderPtr folder, copies.take(files));
//
// A file that has not changed is a hard link to the copy before. Files whose device, inode, size,
// and times are the same are taken to be so, as make and git do; the others are compared.

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "packages/archive.h"
#include "packages/package_cache.h"

namespace seam::cli {

// One thread; the folders that it gives may be let go of on any.
class ProjectCopies {
 public:
  // Copies are made below `parent`, which exists, on one file system.
  explicit ProjectCopies(std::string parent, packages::ArchiveLimits limits = {});
  ProjectCopies(const ProjectCopies&) = delete;
  ProjectCopies& operator=(const ProjectCopies&) = delete;
  ~ProjectCopies();

  // A folder with these files, at their paths; the folder of the time before where no byte, path or
  // mode differs from it. Modes are those of an archive: 0644, or 0755 where the owner may execute.
  // errors    kInvalidArgument     a link that leaves the folder, or what is neither file nor link
  //           kResourceExhausted   beyond the limits of an archive
  //           else                 what cannot be read or written, by name
  [[nodiscard]] Result<packages::FolderPtr> take(const std::vector<packages::ArchiveFile>& files);

  // Removes the copies that nobody holds any more. Blocks.
  void collect();

 private:
  struct Entry;
  using Entries = std::map<std::string, Entry>;
  struct Released;
  Result<Entries> look(const std::vector<packages::ArchiveFile>& files) const;
  [[nodiscard]] bool same_file(const std::string& path, const Entry& now) const;
  Result<void> fill(const std::string& folder, const Entries& entries) const;

  const std::string parent_;
  const packages::ArchiveLimits limits_;
  std::shared_ptr<Released> released_;  // shared with the folders given out
  std::unique_ptr<Entries> entries_;    // of folder_
  packages::FolderPtr folder_;
  unsigned count_ = 0;
};

}  // namespace seam::cli
