// `seam new`: a folder with a function that runs, to begin from. The files are those of
// guests/templates, in the executable.

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <span>

#include "base/json_text.h"
#include "cli/api_client.h"
#include "cli/function_commands.h"
#include "config/nearest.h"

namespace seam::embedded {
std::string_view template_nodejs_index_js();
std::string_view template_nodejs_package_json();
std::string_view template_nodejs_seam_function_yaml();
std::string_view template_nodejs_readme_md_in();
std::string_view template_nodejs_gitignore();
std::string_view template_python_main_py();
std::string_view template_python_seam_function_yaml();
std::string_view template_python_readme_md_in();
std::string_view template_python_gitignore();
std::string_view template_rust_src_lib_rs();
std::string_view template_rust_cargo_toml();
std::string_view template_rust_seam_function_yaml();
std::string_view template_rust_readme_md_in();
std::string_view template_rust_gitignore();
std::string_view template_wasm_function_c();
std::string_view template_wasm_build_sh();
std::string_view template_wasm_seam_function_yaml();
std::string_view template_wasm_readme_md_in();
std::string_view template_wasm_gitignore();
std::string_view template_wasm_json_string_c();
std::string_view template_wasm_json_string_h();
}  // namespace seam::embedded

namespace seam::cli {

namespace fs = std::filesystem;

namespace {

struct TemplateFile {
  std::string_view path;
  std::string_view content;
  std::string_view about;
};

constexpr std::string_view kManifest = "its name, schema and examples";
constexpr std::string_view kReadme = "what to do with it";
constexpr std::string_view kGitignore = "what does not belong to its history";

std::vector<TemplateFile> nodejs_files() {
  using namespace embedded;
  return {{"index.js", template_nodejs_index_js(), "the function"},
          {"seam.function.yaml", template_nodejs_seam_function_yaml(), kManifest},
          {"package.json", template_nodejs_package_json(), "for npm: what it depends on"},
          {"README.md", template_nodejs_readme_md_in(), kReadme},
          {".gitignore", template_nodejs_gitignore(), kGitignore}};
}

std::vector<TemplateFile> python_files() {
  using namespace embedded;
  return {{"main.py", template_python_main_py(), "the function"},
          {"seam.function.yaml", template_python_seam_function_yaml(), kManifest},
          {"README.md", template_python_readme_md_in(), kReadme},
          {".gitignore", template_python_gitignore(), kGitignore}};
}

std::vector<TemplateFile> rust_files() {
  using namespace embedded;
  return {{"src/lib.rs", template_rust_src_lib_rs(), "the function"},
          {"seam.function.yaml", template_rust_seam_function_yaml(), kManifest},
          {"Cargo.toml", template_rust_cargo_toml(), "for your editor and cargo"},
          {"README.md", template_rust_readme_md_in(), kReadme},
          {".gitignore", template_rust_gitignore(), kGitignore}};
}

std::vector<TemplateFile> wasm_files() {
  using namespace embedded;
  return {{"function.c", template_wasm_function_c(), "the function"},
          {"json_string.c", template_wasm_json_string_c(), "finds a text in its params"},
          {"json_string.h", template_wasm_json_string_h(), ""},
          {"build.sh", template_wasm_build_sh(), "makes function.wasm"},
          {"seam.function.yaml", template_wasm_seam_function_yaml(), kManifest},
          {"README.md", template_wasm_readme_md_in(), kReadme},
          {".gitignore", template_wasm_gitignore(), kGitignore}};
}

struct Kind {
  std::string_view name;
  std::vector<TemplateFile> (*files)();
};
constexpr std::array kKinds{Kind{"nodejs", nodejs_files}, Kind{"python", python_files},
                            Kind{"rust", rust_files}, Kind{"wasm", wasm_files}};

struct OtherName {
  std::string_view given;
  std::string_view kind;
};
constexpr std::array kOtherNames{OtherName{"node", "nodejs"},       OtherName{"js", "nodejs"},
                                 OtherName{"javascript", "nodejs"}, OtherName{"py", "python"},
                                 OtherName{"rs", "rust"},           OtherName{"c", "wasm"}};

const Kind* kind_of(std::string_view given) {
  for (const OtherName& other : kOtherNames) {
    if (given == other.given) given = other.kind;
  }
  const auto* const found = std::ranges::find(kKinds, given, &Kind::name);
  return found == kKinds.end() ? nullptr : found;
}

// What is wrong with a title, or nothing.
std::string problem_of_title(std::string_view title) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  if (!title.empty() && title.size() <= 64 &&
      title.find_first_not_of(kAllowed) == std::string_view::npos &&
      std::string_view("._-").find(title.front()) == std::string_view::npos)
    return {};
  return fmt::format(
      "\"{}\" cannot be a function's name: 1 to 64 letters, digits, _, . and -, the first a letter "
      "or a digit, such as slugs or image-size",
      title.substr(0, 100));
}

// A name that npm and cargo take: lower case, with a letter in front.
std::string package_name(std::string_view title) {
  std::string name;
  for (const char c : title)
    name += c == '.' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name.front() >= '0' && name.front() <= '9' ? "f" + name : name;
}

std::string filled(std::string_view text, std::string_view function, std::string_view title) {
  std::string out(text);
  for (const auto& [mark, value] :
       {std::pair(std::string_view("@NAME@"), std::string(function)),
        std::pair(std::string_view("@PACKAGE@"), package_name(title))}) {
    for (std::size_t at = out.find(mark); at != std::string::npos; at = out.find(mark, at))
      out.replace(at, mark.size(), value);
  }
  return out;
}

Result<void> write_file(const fs::path& path, const std::string& text) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) return fail_errno("cannot make " + path.parent_path().string(), error.value());
  std::ofstream file(path, std::ios::binary);
  if (!(file << text).flush()) return fail_errno("cannot write " + path.string(), errno);
  return {};
}

// All of the files or none: they are written beside the folder, which then gets its name.
// errors    kAlreadyExists   a file, or a folder that is not empty, has that name
Result<void> make_project(const fs::path& folder, std::span<const TemplateFile> files,
                          std::string_view function, std::string_view title) {
  const fs::path whole = fs::absolute(folder).lexically_normal();
  const fs::path place = whole.has_filename() ? whole : whole.parent_path();
  std::error_code error;
  if (fs::exists(fs::symlink_status(place, error)) &&
      (!fs::is_directory(place, error) || !fs::is_empty(place, error) || error)) {
    return fail(ErrorCode::kAlreadyExists,
                fmt::format("{} is there already, and nothing is overwritten: choose another name, "
                            "or another folder by --dir",
                            folder.string()));
  }
  fs::create_directories(place.parent_path(), error);
  if (error) return fail_errno("cannot make " + place.parent_path().string(), error.value());
  std::string made = (place.parent_path() / ".seam-new-XXXXXX").string();
  if (::mkdtemp(made.data()) == nullptr) return fail_errno("cannot make " + made, errno);
  const auto write_all = [&]() -> Result<void> {
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::chmod(made.c_str(), 0777 & ~mask) != 0) return fail_errno("cannot make " + made, errno);
    for (const TemplateFile& file : files)
      SEAM_RETURN_IF_ERROR(
          write_file(made / fs::path(file.path), filled(file.content, function, title)));
    if (::rename(made.c_str(), place.c_str()) != 0)
      return fail_errno("cannot make " + place.string(), errno);
    return {};
  };
  const Result<void> written = write_all();
  if (!written) fs::remove_all(made, error);
  return written;
}

std::string report(const std::string& folder, const std::string& function,
                   std::span<const TemplateFile> files, bool json, const Style& style) {
  if (json) {
    std::string out = R"({"function":)";
    append_json_string(out, function);
    out += R"(,"folder":)";
    append_json_string(out, folder);
    out += R"(,"files":[)";
    for (const TemplateFile& file : files) {
      if (&file != &files.front()) out += ',';
      append_json_string(out, file.path);
    }
    return out + "]}\n";
  }
  std::vector<std::vector<std::string>> rows;
  for (const TemplateFile& file : files)
    rows.push_back({fmt::format("  {}", file.path), std::string(file.about)});
  const bool plain = folder.find_first_not_of(
                         "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                         "0123456789_.-/") == std::string::npos;
  const std::string shown = plain ? folder : quoted_for_shell(folder);
  return fmt::format(
      "{} is in {}:\n{}Next:\n  seam run {}     serves it, and again after each change\n  seam "
      "deploy {}  sends it to a server\n",
      style.bold(function), folder, align(rows), shown, shown);
}

}  // namespace

CommandResult run_new(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("new",
              "Makes a folder with a function that runs: nodejs, python, rust, or wasm (in C).",
              "seam new nodejs slugs\n  seam new wasm image-size --dir functions/image-size");
  std::string given;
  std::string name;
  std::string folder;
  bool json = false;
  flags.option("KIND", given, "nodejs, python, rust or wasm");
  flags.option("NAME", name, "The function's name: slugs, or nodejs-slugs");
  flags.option("--dir", folder, "The folder, instead of one that is called as the function is",
               "DIR");
  flags.flag("--json", json, "Say what was made as one line of JSON");
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  const auto wrong = [](const std::string& text) {
    return CommandResult{.exit_code = kUsage, .error = text + "\n"};
  };
  std::vector<std::string> names;
  for (const Kind& each : kKinds) names.emplace_back(each.name);
  const Kind* const kind = kind_of(given);
  if (kind == nullptr) {
    const std::string meant = config::nearest(given, names);
    return wrong(fmt::format("{} {}",
                             given.empty() ? "Give a kind and a name: seam new nodejs slugs."
                                           : fmt::format("\"{}\" is no kind.", given),
                             given.empty()   ? "Kinds are nodejs, python, rust and wasm."
                             : meant.empty() ? "Have nodejs, python, rust or wasm."
                                             : fmt::format("Did you mean {}?", meant)));
  }
  if (name.empty())
    return wrong(fmt::format("Give the function a name: seam new {} slugs", kind->name));
  const std::string prefix = fmt::format("{}-", kind->name);
  const std::string title = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  if (const std::string problem = problem_of_title(title); !problem.empty()) return wrong(problem);
  if (folder.empty()) folder = title;
  const std::vector<TemplateFile> files = kind->files();
  if (const Result<void> made = make_project(folder, files, prefix + title, title); !made)
    return wrong(made.error().message);
  return {.out = report(folder, prefix + title, files, json, options.style)};
}

}  // namespace seam::cli
