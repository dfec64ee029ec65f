#pragma once
// What `seam deploy` is given: a folder, or one file, and what it says of the function that it is.
//
//   SEAM_ASSIGN_OR_RETURN(const Project project, read_project("slugs", ""));
//   project.name;       // "nodejs-slugs"
//   project.manifest;   // {"description": "…"}: the keys of a PUT
//
// A folder's manifest is seam.function.yaml, or the object "seam" of its package.json. Its keys are
// those of a PUT without the content, `name` and `build`.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "packages/archive.h"

namespace seam::cli {

inline constexpr std::string_view kManifestFile = "seam.function.yaml";
inline constexpr std::string_view kIgnoreFile = ".seamignore";

enum class ProjectKind : std::uint8_t {
  kNode,    // a folder for nodejs
  kPython,  // a folder for python
  kCargo,   // a folder with a Cargo.toml, built into a module
  kSingle,  // one file that is the content itself: a source text or a .wasm
};

struct Project {
  ProjectKind kind = ProjectKind::kSingle;
  std::string folder;    // absolute; empty where one file was given
  std::string file;      // of kSingle: the content's path
  std::string name;      // "<language>-<title>"
  std::string manifest;  // a JSON object
  std::string said_in;   // the file of the folder that the manifest is from; empty: none
  // Of seam.function.yaml: where what a JSON Pointer into it names stands, from 1.
  std::vector<std::pair<std::string, int>> lines = {};
};

// `path` is a folder or a file; `name` the function's, or empty: the manifest's, or made of the
// folder's name. A name without a language gets the one that the files tell.
// errors    kInvalidArgument   what the folder is cannot be told, or its manifest is wrong: the
//                              message names file, line or key, and the remedy
[[nodiscard]] Result<Project> read_project(const std::string& path, const std::string& name);

// The manifest as a message names it: `path` is what read_project() was given. Empty: there is
// none.
[[nodiscard]] std::string said_in(const Project& project, const std::string& path);

// Where a manifest says what a server's `message` begins with, `limits.queue_max is …` or
// `"schema": /params/type: …`: "slugs/seam.function.yaml:3". Empty: the message is not of it.
[[nodiscard]] std::string place_in_manifest(const Project& project, const std::string& path,
                                            std::string_view message);

// The manifest's `build`: a command for a shell that makes what is packed, run before the project
// is read. Empty for a file, and where there is none.
[[nodiscard]] Result<std::string> read_build(const std::string& path);

// The files of a folder that are packed, by their paths: all but those that .seamignore names, what
// version control, editors and interpreters leave, and `left_out` at the top.
[[nodiscard]] Result<std::vector<packages::ArchiveFile>> list_files(
    const std::string& folder, const std::vector<std::string>& left_out);

// The params of the manifest's first example as JSON, or `{}`: for commands that show how to call.
[[nodiscard]] std::string example_params(const Project& project);

// Patterns as in a .gitignore: one a line, `#` comments, `!` takes back, a slash at the end means
// folders, another slash anchors it; `*`, `?`, `[…]` within a name, `**` over names.
class IgnoreRules {
 public:
  void add(std::string_view text);
  // `path` is relative, without a slash at its end.
  [[nodiscard]] bool ignores(std::string_view path, bool is_folder) const;

 private:
  struct Rule {
    std::vector<std::string> parts;
    bool back = false;
    bool folders_only = false;
  };
  std::vector<Rule> rules_;
};

// What list_files() leaves out of a folder.
// errors    .seamignore cannot be read
[[nodiscard]] Result<IgnoreRules> ignore_rules(const std::string& folder);

}  // namespace seam::cli
