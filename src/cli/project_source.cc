#include "cli/project_source.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/identifier.h"

namespace seam::cli {

namespace fs = std::filesystem;

namespace {

Result<std::string> read_content(const std::string& path, std::uint64_t bytes_max) {
  std::error_code error;
  const std::uint64_t size = fs::file_size(path, error);
  if (error) return fail_errno("cannot read " + path, error.value());
  if (size > bytes_max) {
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("{} has {} bytes: at most {} are taken", path, size, bytes_max));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno("cannot read " + path, errno);
  std::string content(std::istreambuf_iterator<char>(file), {});
  if (content.find_first_not_of(" \t\r\n") == std::string::npos)
    return fail(ErrorCode::kInvalidArgument, path + " is empty");
  return content;
}

// All that decides what an installer does: its files' bytes, and which wheels there are.
std::string installer_key(const std::string& folder) {
  std::string key;
  for (const char* name :
       {"package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc",
        "node_modules/.package-lock.json", "requirements.txt", "pyproject.toml"}) {
    std::ifstream file(fmt::format("{}/{}", folder, name), std::ios::binary);
    key += fmt::format("{}:{}\n", name,
                       file ? std::string(std::istreambuf_iterator<char>(file), {}) : "-");
  }
  std::error_code error;
  std::vector<std::string> wheels;
  for (fs::directory_iterator each(folder + "/wheels", error); !error && each != fs::end(each);
       each.increment(error)) {
    struct stat status{};
    if (::lstat(each->path().c_str(), &status) == 0)
      wheels.push_back(fmt::format("{} {} {}", each->path().filename().string(), status.st_size,
                                   status.st_mtim.tv_sec));
  }
  std::ranges::sort(wheels);
  for (const std::string& wheel : wheels) key += wheel + "\n";
  return sha256_hex(key);
}

}  // namespace

ProjectSource::ProjectSource(std::string path, std::string name, std::string packages,
                             std::uint64_t content_bytes_max)
    : path_(std::move(path)),
      name_(std::move(name)),
      content_bytes_max_(content_bytes_max),
      copies_(std::move(packages)) {}

Result<SourceState> ProjectSource::read(const Progress& say) {
  SEAM_RETURN_IF_ERROR(build(say));
  SourceState state;
  SEAM_ASSIGN_OR_RETURN(state.project, read_project(path_, name_));
  const Project& project = state.project;
  if (project.kind == ProjectKind::kSingle || project.kind == ProjectKind::kCargo) {
    std::string file = project.file;
    if (project.kind == ProjectKind::kCargo) {
      SEAM_ASSIGN_OR_RETURN(file, build_cargo(project, say));
    }
    SEAM_ASSIGN_OR_RETURN(state.content, read_content(file, content_bytes_max_));
    state.fingerprint = sha256_hex(state.content);
  } else {
    SEAM_RETURN_IF_ERROR(read_folder(state, say));
    state.fingerprint = *state.folder;
  }
  state.fingerprint += fmt::format("\n{}\n{}", project.name, project.manifest);
  return state;
}

Result<void> ProjectSource::build(const Progress& say) {
  SEAM_ASSIGN_OR_RETURN(const std::string command, read_build(path_));
  if (command.empty()) return {};
  SEAM_ASSIGN_OR_RETURN(const std::vector<packages::ArchiveFile> files,
                        list_files(path_, {"node_modules", "site-packages", "wheels", "target"}));
  // As it was before the build, so that a change that comes meanwhile is built too; what the build
  // itself writes settles once it writes the same again.
  std::string key = command;
  for (const packages::ArchiveFile& file : files) {
    if (file.path.ends_with(".wasm")) continue;
    std::ifstream bytes(file.from, std::ios::binary);
    key += fmt::format("\n{} {}", file.path,
                       sha256_hex(std::string(std::istreambuf_iterator<char>(bytes), {})));
  }
  if (key == build_key_) return built_;
  build_key_ = std::move(key);
  built_ = run_build(path_, command, say);
  return built_;
}

Result<void> ProjectSource::read_folder(SourceState& state, const Progress& say) {
  const Project& project = state.project;
  const std::vector<std::string> left_out =
      project.kind == ProjectKind::kNode ? std::vector<std::string>{"node_modules"}
                                         : std::vector<std::string>{"site-packages", "wheels"};
  SEAM_ASSIGN_OR_RETURN(std::vector<packages::ArchiveFile> files,
                        list_files(project.folder, left_out));
  std::string key = installer_key(project.folder);
  std::vector<packages::ArchiveFile> needed;
  if (installed_.folder && key == installed_key_) {
    needed = installed_.files;
  } else {
    SEAM_ASSIGN_OR_RETURN(Dependencies dependencies, install_dependencies(project, files, say));
    needed = dependencies.files;
    // What lies in the project itself is listed anew each time.
    installed_ = dependencies.folder ? std::move(dependencies) : Dependencies{};
    installed_key_ = std::move(key);
  }
  files.insert(files.end(), needed.begin(), needed.end());
  if (files.empty())
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} holds no files", project.folder));
  SEAM_ASSIGN_OR_RETURN(state.folder, copies_.take(files));
  return {};
}

bool is_of_interest(const Project& project, const IgnoreRules& rules, std::string_view path,
                    bool is_folder) {
  constexpr std::array<std::string_view, 3> kInstalled{"node_modules", "site-packages", "wheels"};
  const std::size_t slash = std::min(path.find('/'), path.size());
  const std::string_view top = path.substr(0, slash);
  if (std::ranges::find(kInstalled, top) != kInstalled.end()) {
    return slash == path.size() ||
           (!is_folder && path.find('/', slash + 1) == std::string_view::npos);
  }
  if (project.kind == ProjectKind::kCargo && top == "target") return false;
  return path == kIgnoreFile || path == ".npmrc" || !rules.ignores(path, is_folder);
}

}  // namespace seam::cli
