#pragma once
// Installs what a project's lock or requirements name, by the language's own installer and into a
// folder of its own: the project is left as it is.
//
//   SEAM_ASSIGN_OR_RETURN(const Dependencies needed, install_dependencies(project, files, say));
//   files.insert(files.end(), needed.files.begin(), needed.files.end());

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/commands.h"
#include "cli/project.h"

namespace seam::cli {

// A folder that is removed with its contents.
class TemporaryFolder {
 public:
  [[nodiscard]] static Result<std::unique_ptr<TemporaryFolder>> make();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

struct Dependencies {
  std::vector<packages::ArchiveFile> files;  // at their paths in the archive
  std::unique_ptr<TemporaryFolder> folder;   // that they lie in, or null
};

// Of a kNode project: node_modules, as it is where it holds what package-lock.json names and
// nothing more, else by `npm ci --omit=dev` in a copy. Of a kPython project: what requirements.txt
// names, by `python3 -m pip install --target`, with the folder `wheels` as one more place to find
// them. `files` are the project's own.
// errors    kFailedPrecondition   no installer, or it failed: the message has its last lines
//           kInvalidArgument      dependencies without a lock file
[[nodiscard]] Result<Dependencies> install_dependencies(
    const Project& project, const std::vector<packages::ArchiveFile>& files, const Progress& say);

// Runs a project's `build` (read_build) by /bin/sh in its folder.
// errors    kFailedPrecondition   it failed: the message has its last lines
[[nodiscard]] Result<void> run_build(const std::string& folder, const std::string& command,
                                     const Progress& say);

// Builds a kCargo project for WASI and returns the path of its module.
// errors    kFailedPrecondition   no cargo, no target, or the build failed
[[nodiscard]] Result<std::string> build_cargo(const Project& project, const Progress& say);

}  // namespace seam::cli
