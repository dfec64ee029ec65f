#include "cli/dependencies.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <system_error>

#include "base/file_descriptor.h"
#include "base/json_text.h"

extern "C" char** environ;

namespace seam::cli {

namespace fs = std::filesystem;

namespace {

std::unexpected<Error> impossible(std::string message) {
  return fail(ErrorCode::kFailedPrecondition, std::move(message));
}

Result<std::string> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno("cannot read " + path.string(), errno);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string last_lines(std::string_view text) {
  constexpr std::size_t kShownMax = 2000;
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (text.size() > kShownMax) text.remove_prefix(text.size() - kShownMax);
  return std::string(text);
}

struct Command {
  std::vector<std::string> argv;
  std::string folder;       // that it runs in
  std::string remedy;       // where there is no such program
  bool keep_errors = true;  // stderr is part of what it says
};

// Runs it to its end and returns what it wrote.
// errors    kFailedPrecondition   it is not there, or did not end with 0
Result<std::string> run(const Command& command) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe", errno);
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, writer.get(), 1);
  if (command.keep_errors) ::posix_spawn_file_actions_adddup2(&actions, writer.get(), 2);
  ::posix_spawn_file_actions_addchdir_np(&actions, command.folder.c_str());
  std::vector<std::string> words = command.argv;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  // What is blocked here, such as Ctrl-C in `seam run`, ends it all the same.
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  const int error = ::posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  writer.reset();
  if (error == ENOENT)
    return impossible(fmt::format("there is no {}: {}", words.front(), command.remedy));
  if (error != 0) return fail_errno("run " + words.front(), error);
  std::string said;
  std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t count = ::read(reader.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    said.append(buffer.data(), static_cast<std::size_t>(count));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return said;
  std::string line;
  for (const std::string& word : words) line.append(line.empty() ? "" : " ").append(word);
  return impossible(fmt::format("`{}` failed:\n{}", line, last_lines(said)));
}

// Every file and link below `folder`/`top`, at "<top>/…".
Result<std::vector<packages::ArchiveFile>> files_below(
    const fs::path& folder, const std::string& top, const std::vector<std::string>& skipped = {}) {
  std::vector<packages::ArchiveFile> found;
  std::error_code error;
  const std::string start = (folder / top).string();
  fs::recursive_directory_iterator each(start, error);
  while (!error && each != fs::end(each)) {
    const std::string path = top + each->path().string().substr(start.size());
    const bool is_folder = fs::is_directory(each->symlink_status(error));
    if (std::ranges::find(skipped, path) != skipped.end() ||
        each->path().filename() == "__pycache__") {
      each.disable_recursion_pending();
    } else if (!is_folder) {
      found.push_back({.path = path, .from = each->path().string()});
    }
    each.increment(error);
  }
  if (error) return fail_errno("cannot read " + (folder / top).string(), error.value());
  return found;
}

// What a lock file installs without development's: "node_modules/x" → version and hash.
Result<std::map<std::string, std::string>> locked(const fs::path& path, bool optional_too) {
  SEAM_ASSIGN_OR_RETURN(const std::string text, read_file(path));
  std::map<std::string, std::string> found;
  const auto object = [](std::optional<std::string_view> value) {
    return JsonObjectText::parse(value.value_or(""));
  };
  const Result<JsonObjectText> lock = JsonObjectText::parse(text);
  if (!lock)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {}", path.string(), lock.error().message));
  const Result<JsonObjectText> entries = object(lock->find("packages"));
  if (!entries)
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("{}: \"packages\" is missing: write it anew with npm 7 or newer (npm install)",
                    path.string()));
  for (const auto& [raw, value] : entries->members()) {
    const std::string name = decode_json_string(fmt::format("\"{}\"", raw));
    const Result<JsonObjectText> entry = object(value);
    if (name.empty() || !entry || entry->find("dev") == "true") continue;
    if (!optional_too &&
        (entry->find("optional") == "true" || entry->find("devOptional") == "true"))
      continue;
    found.emplace(name, fmt::format("{} {}", entry->find("version").value_or("-"),
                                    entry->find("integrity").value_or("-")));
  }
  return found;
}

// Whether node_modules is what its lock file says, without development's.
bool is_fresh(const fs::path& folder, const fs::path& lock) {
  const fs::path installed_lock = folder / "node_modules/.package-lock.json";
  if (!fs::exists(installed_lock)) return false;
  const auto needed = locked(lock, false);
  const auto allowed = locked(lock, true);
  const auto installed = locked(installed_lock, true);
  if (!needed || !allowed || !installed) return false;
  const auto within = [](const auto& part, const auto& whole) {
    return std::ranges::all_of(part, [&](const auto& each) {
      const auto found = whole.find(each.first);
      return found != whole.end() && found->second == each.second;
    });
  };
  return within(*needed, *installed) && within(*installed, *allowed);
}

Result<Dependencies> install_node(const Project& project,
                                  const std::vector<packages::ArchiveFile>& files,
                                  const Progress& say) {
  Dependencies needed;
  const fs::path folder = project.folder;
  const bool installed = fs::exists(folder / "node_modules");
  fs::path lock = folder / "npm-shrinkwrap.json";
  if (!fs::exists(lock)) lock = folder / "package-lock.json";
  if (!fs::exists(lock)) {
    if (installed) {
      say("packing node_modules as it is: there is no package-lock.json to compare it with");
      SEAM_ASSIGN_OR_RETURN(needed.files, files_below(folder, "node_modules"));
      return needed;
    }
    std::string text;
    if (fs::exists(folder / "package.json")) {
      SEAM_ASSIGN_OR_RETURN(text, read_file(folder / "package.json"));
    }
    const Result<JsonObjectText> package = JsonObjectText::parse(text);
    const Result<JsonObjectText> wanted =
        JsonObjectText::parse(package ? package->find("dependencies").value_or("{}") : "{}");
    if (!wanted || wanted->members().empty()) return needed;
    return fail(ErrorCode::kInvalidArgument,
                "package.json names dependencies and there is no package-lock.json to say which "
                "versions: run `npm "
                "install --package-lock-only` in the project");
  }
  if (installed && is_fresh(folder, lock)) {
    say("node_modules is what the lock file names");
    SEAM_ASSIGN_OR_RETURN(needed.files, files_below(folder, "node_modules"));
    return needed;
  }
  SEAM_ASSIGN_OR_RETURN(needed.folder, TemporaryFolder::make());
  const fs::path copy = needed.folder->path();
  std::error_code error;
  for (const packages::ArchiveFile& file : files) {
    fs::create_directories((copy / file.path).parent_path(), error);
    if (!error) fs::copy(file.from, copy / file.path, fs::copy_options::copy_symlinks, error);
    if (error) return fail_errno("cannot copy " + file.from, error.value());
  }
  for (const fs::path& each : {folder / ".npmrc", lock, folder / "package.json"}) {
    if (fs::exists(each))
      fs::copy(each, copy / each.filename(), fs::copy_options::overwrite_existing, error);
    if (error) return fail_errno("cannot copy " + each.string(), error.value());
  }
  say(fmt::format("npm ci --omit=dev, {}",
                  installed ? "since node_modules is not what the lock file names"
                            : "since there is no node_modules"));
  SEAM_RETURN_IF_ERROR(run(
      {.argv = {"npm", "ci", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"},
       .folder = copy.string(),
       .remedy = "install Node.js with npm, or run `npm ci --omit=dev` in the project yourself"}));
  if (fs::exists(copy / "node_modules")) {
    SEAM_ASSIGN_OR_RETURN(needed.files, files_below(copy, "node_modules"));
  }
  return needed;
}

Result<Dependencies> install_python(const Project& project, const Progress& say) {
  Dependencies needed;
  const fs::path folder = project.folder;
  if (!fs::exists(folder / "requirements.txt")) {
    if (fs::exists(folder / "site-packages")) {
      SEAM_ASSIGN_OR_RETURN(needed.files,
                            files_below(folder, "site-packages", {"site-packages/bin"}));
    }
    return needed;
  }
  SEAM_ASSIGN_OR_RETURN(needed.folder, TemporaryFolder::make());
  Command install{.argv = {"python3", "-m", "pip", "install", "--target",
                           needed.folder->path() + "/site-packages", "--requirement",
                           "requirements.txt", "--no-compile", "--no-input", "--quiet",
                           "--disable-pip-version-check", "--root-user-action=ignore"},
                  .folder = folder.string(),
                  .remedy = "install Python 3 with pip"};
  const bool wheels = fs::is_directory(folder / "wheels");
  if (wheels) install.argv.insert(install.argv.end(), {"--find-links", "wheels"});
  say(fmt::format("pip install of what requirements.txt names{}",
                  wheels ? ", also from wheels" : ""));
  SEAM_RETURN_IF_ERROR(run(install));
  if (fs::exists(fs::path(needed.folder->path()) / "site-packages")) {
    // Commands cannot be run in a worker.
    SEAM_ASSIGN_OR_RETURN(
        needed.files, files_below(needed.folder->path(), "site-packages", {"site-packages/bin"}));
  }
  return needed;
}

}  // namespace

Result<std::unique_ptr<TemporaryFolder>> TemporaryFolder::make() {
  const char* const given = ::getenv("TMPDIR");
  std::string path =
      fmt::format("{}/seam-deploy-XXXXXX", given != nullptr && *given != '\0' ? given : "/tmp");
  if (::mkdtemp(path.data()) == nullptr) return fail_errno("cannot make " + path, errno);
  return std::unique_ptr<TemporaryFolder>(new TemporaryFolder(std::move(path)));
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Result<Dependencies> install_dependencies(const Project& project,
                                          const std::vector<packages::ArchiveFile>& files,
                                          const Progress& say) {
  if (project.kind == ProjectKind::kNode) return install_node(project, files, say);
  if (project.kind == ProjectKind::kPython) return install_python(project, say);
  return Dependencies{};
}

Result<void> run_build(const std::string& folder, const std::string& command, const Progress& say) {
  say(command);
  SEAM_RETURN_IF_ERROR(
      run({.argv = {"/bin/sh", "-c", command}, .folder = folder, .remedy = "install a shell"}));
  return {};
}

Result<std::string> build_cargo(const Project& project, const Progress& say) {
  const std::string remedy = "install Rust, or deploy the .wasm that you have built";
  // By its old name and its new one.
  std::string target;
  for (const char* each : {"wasm32-wasip1", "wasm32-wasi"}) {
    const Result<std::string> folder =
        run({.argv = {"rustc", "--print", "target-libdir", "--target", each},
             .folder = project.folder,
             .remedy = remedy});
    if (!folder && folder.error().message.starts_with("there is no"))
      return std::unexpected(folder.error());
    if (folder && fs::exists(folder->substr(0, folder->find('\n')))) {
      target = each;
      break;
    }
  }
  if (target.empty())
    return impossible(
        "this Rust cannot build for WASI: rustup target add wasm32-wasip1, or deploy the .wasm "
        "that you "
        "have built elsewhere");
  say(fmt::format("cargo build --release --target {}", target));
  SEAM_ASSIGN_OR_RETURN(const std::string said,
                        run({.argv = {"cargo", "build", "--release", "--target", target,
                                      "--message-format", "json-render-diagnostics"},
                             .folder = project.folder,
                             .remedy = remedy,
                             .keep_errors = false}));
  std::vector<std::string> modules;
  std::string_view rest = said;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const Result<JsonObjectText> line = JsonObjectText::parse(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (!line || line->find("reason") != "\"compiler-artifact\"") continue;
    const std::string_view names = line->find("filenames").value_or("");
    const std::size_t stop = names.find(".wasm\"");
    if (stop == std::string_view::npos) continue;
    const std::size_t start = names.rfind('"', stop);
    modules.push_back(decode_json_string(names.substr(start, stop + 6 - start)));
  }
  if (modules.size() != 1)
    return impossible(fmt::format("cargo built {} modules: give the path of the .wasm to deploy",
                                  modules.size()));
  return modules.front();
}

}  // namespace seam::cli
