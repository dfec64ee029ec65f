#pragma once
// A function's files as they are at this moment, made into what a host is given: the file itself,
// or a folder with the dependencies in it.
//
//   ProjectSource source("slugs", "", packages_folder, content_bytes_max);
//   SEAM_ASSIGN_OR_RETURN(const SourceState state, source.read(say));

#include <memory>
#include <string>

#include "base/result.h"
#include "cli/commands.h"
#include "cli/dependencies.h"
#include "cli/project.h"
#include "cli/project_copies.h"

namespace seam::cli {

struct SourceState {
  Project project;
  std::string content;         // of one file; empty with a folder
  packages::FolderPtr folder;  // or null
  std::string fingerprint;     // equal: nothing that matters has changed
};

// One thread; blocks.
class ProjectSource {
 public:
  // packages           the folder that copies are made below
  // content_bytes_max  a larger file is not read
  ProjectSource(std::string path, std::string name, std::string packages,
                std::uint64_t content_bytes_max);

  // Installs what a lock file names, or builds, where that has changed.
  // errors    as read_project(), install_dependencies(), build_cargo(), ProjectCopies::take(), and
  //           kInvalidArgument for a file that is empty
  [[nodiscard]] Result<SourceState> read(const Progress& say);

  // Lets go of the copies that nobody uses. Blocks.
  void collect() { copies_.collect(); }

 private:
  // Runs the project's `build` where a file has changed since it last ran.
  Result<void> build(const Progress& say);
  Result<void> read_folder(SourceState& state, const Progress& say);

  const std::string path_;
  const std::string name_;
  const std::uint64_t content_bytes_max_;
  ProjectCopies copies_;
  std::string build_key_;      // what was built last: the command and the files
  Result<void> built_;         // how that ended
  std::string installed_key_;  // what installed_ was made from
  Dependencies installed_;     // by an installer, in a folder of its own
};

// Whether a change of `path`, relative to the project's folder, may matter. What an installer puts
// there is seen by its own lock file alone.
[[nodiscard]] bool is_of_interest(const Project& project, const IgnoreRules& rules,
                                  std::string_view path, bool is_folder);

}  // namespace seam::cli
