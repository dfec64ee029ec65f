#pragma once
// The data directory of a host that keeps nothing: a fresh folder below $TMPDIR or /tmp that is
// removed with all it holds.
//
//   SEAM_ASSIGN_OR_RETURN(const std::unique_ptr<RunFolder> folder, RunFolder::make());
//
// It is locked for as long as its process lives. make() removes those whose process was killed.

#include <memory>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace seam::cli {

class RunFolder {
 public:
  // errors    the disk's, with the path
  [[nodiscard]] static Result<std::unique_ptr<RunFolder>> make();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;
  ~RunFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  RunFolder(std::string path, FileDescriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  FileDescriptor lock_;
};

}  // namespace seam::cli
