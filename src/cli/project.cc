#include "cli/project.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/json_text.h"
#include "config/nearest.h"
#include "config/yaml.h"

namespace seam::cli {

namespace fs = std::filesystem;
using config::YamlNode;

namespace {

const std::vector<std::string>& manifest_keys() {
  static const std::vector<std::string> keys{
      "name",   "runtime",   "entry",      "description", "schema",      "examples",
      "tags",   "cacheable", "idempotent", "concurrency", "environment", "limits",
      "engine", "fallback",  "isolation",  "build"};
  return keys;
}

std::unexpected<Error> wrong(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

Result<std::string> read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno("cannot read " + path.string(), errno);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Result<void> check_key(std::string_view where, const std::string& key) {
  const std::vector<std::string>& keys = manifest_keys();
  if (std::ranges::find(keys, key) != keys.end()) return {};
  const std::string meant = config::nearest(key, keys);
  return wrong(fmt::format("{}: \"{}\" is not a key of a function. {}", where, key.substr(0, 60),
                           meant.empty() ? fmt::format("It may have {}.", fmt::join(keys, ", "))
                                         : fmt::format("Did you mean {}?", meant)));
}

// A plain scalar is what JSON would make of it; `texts` makes each a string, as an environment's.
void append_yaml(std::string& out, const YamlNode& node, bool texts) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      out += texts ? "\"\"" : "null";
      return;
    case YamlNode::Kind::kScalar: {
      const bool plain = !texts && !node.quoted && !node.scalar.starts_with('"') &&
                         !node.scalar.starts_with('{') && !node.scalar.starts_with('[');
      if (plain && check_json(node.scalar)) {
        out += node.scalar;
      } else {
        append_json_string(out, node.scalar);
      }
      return;
    }
    case YamlNode::Kind::kList:
    case YamlNode::Kind::kMap: {
      const bool map = node.kind == YamlNode::Kind::kMap;
      out += map ? '{' : '[';
      for (const YamlNode& item : node.items) {
        if (&item != &node.items.front()) out += ',';
        if (map) {
          append_json_string(out, item.key);
          out += ':';
        }
        append_yaml(out, item, texts);
      }
      out += map ? '}' : ']';
    }
  }
}

struct Manifest {
  std::string json = "{}";  // without the name
  std::string name;
  std::string build;
  std::string said_in;
  std::vector<std::pair<std::string, int>> lines;  // as Project::lines
};

// The line of each key and item below `node`, whose own pointer is `pointer`.
void note_lines(const YamlNode& node, const std::string& pointer,
                std::vector<std::pair<std::string, int>>& lines) {
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = node.items[i];
    const bool keyed = node.kind == YamlNode::Kind::kMap;
    std::string below = fmt::format("{}/{}", pointer, keyed ? item.key : fmt::format("{}", i));
    note_lines(item, below, lines);
    lines.emplace_back(std::move(below), keyed ? item.key_line : item.line);
  }
}

void append_member(std::string& json, std::string_view key, std::string_view value) {
  json.pop_back();
  if (json.size() > 1) json += ',';
  append_json_string(json, key);
  json.append(":").append(value).append("}");
}

// `shown` is the file as messages name it.
Result<Manifest> read_yaml_manifest(const std::string& text, const std::string& shown) {
  Manifest manifest;
  manifest.said_in = kManifestFile;
  SEAM_ASSIGN_OR_RETURN(const YamlNode root, config::parse_yaml(text, shown));
  if (root.kind == YamlNode::Kind::kNull) return manifest;
  if (root.kind != YamlNode::Kind::kMap)
    return wrong(fmt::format("{}:{}: the file must be `key: value` lines", shown, root.line));
  note_lines(root, "", manifest.lines);
  for (const YamlNode& item : root.items) {
    SEAM_RETURN_IF_ERROR(check_key(fmt::format("{}:{}", shown, item.key_line), item.key));
    const bool text_key = item.key == "name" || item.key == "runtime" || item.key == "entry" ||
                          item.key == "description" || item.key == "build" ||
                          item.key == "engine" || item.key == "fallback" || item.key == "isolation";
    if (text_key && item.kind != YamlNode::Kind::kScalar)
      return wrong(fmt::format("{}:{}: {} must be a text", shown, item.line, item.key));
    if (item.key == "name") {
      manifest.name = item.scalar;
      continue;
    }
    if (item.key == "build") {
      manifest.build = item.scalar;
      continue;
    }
    std::string value;
    append_yaml(value, item, text_key || item.key == "environment" || item.key == "tags");
    append_member(manifest.json, item.key, value);
  }
  return manifest;
}

Result<Manifest> read_package_manifest(const std::string& text, const std::string& shown) {
  Manifest manifest;
  Result<JsonObjectText> package = JsonObjectText::parse(text);
  if (!package) return wrong(fmt::format("{}: {}", shown, package.error().message));
  const auto seam = package->find("seam");
  if (!seam) return manifest;
  manifest.said_in = "package.json";
  const Result<JsonObjectText> members = JsonObjectText::parse(*seam);
  if (!members)
    return wrong(fmt::format("{}: \"seam\" must be an object with the function's keys", shown));
  for (const auto& [raw, value] : members->members()) {
    const std::string key = decode_json_string(fmt::format("\"{}\"", raw));
    SEAM_RETURN_IF_ERROR(check_key(shown + ": \"seam\"", key));
    if (key != "name" && key != "build") {
      append_member(manifest.json, key, value);
    } else if (is_json_string(value)) {
      (key == "name" ? manifest.name : manifest.build) = decode_json_string(value);
    } else {
      return wrong(fmt::format("{}: \"seam\": {} is {}: it must be a text", shown, key,
                               value.substr(0, 60)));
    }
  }
  return manifest;
}

// `folder` as it was given, which is how messages name it.
Result<Manifest> read_manifest(const fs::path& folder) {
  const fs::path yaml = (folder / kManifestFile).lexically_normal();
  const fs::path package = (folder / "package.json").lexically_normal();
  Manifest manifest;
  if (fs::exists(package)) {
    SEAM_ASSIGN_OR_RETURN(const std::string text, read_file(package));
    SEAM_ASSIGN_OR_RETURN(manifest, read_package_manifest(text, package.string()));
  }
  if (!fs::exists(yaml)) return manifest;
  if (!manifest.said_in.empty())
    return wrong(fmt::format("{} and \"seam\" in {} both describe the function: keep one",
                             yaml.string(), package.string()));
  SEAM_ASSIGN_OR_RETURN(const std::string text, read_file(yaml));
  return read_yaml_manifest(text, yaml.string());
}

struct Language {
  std::string_view name;
  ProjectKind kind;
};
constexpr std::array kLanguages{
    Language{"nodejs", ProjectKind::kNode}, Language{"js", ProjectKind::kNode},
    Language{"python", ProjectKind::kPython}, Language{"rust", ProjectKind::kCargo},
    Language{"wasm", ProjectKind::kSingle}};

const Language* language_of(std::string_view name) {
  for (const Language& each : kLanguages) {
    if (name.starts_with(each.name) && name.substr(each.name.size()).starts_with('-')) return &each;
  }
  return nullptr;
}

std::string_view language_of_file(const fs::path& path) {
  const std::string extension = path.extension().string();
  if (extension == ".js" || extension == ".mjs" || extension == ".cjs") return "nodejs";
  if (extension == ".py") return "python";
  if (extension == ".wasm") return "wasm";
  if (extension == ".rs") return "rust";
  return {};
}

// The files at the top with this ending.
std::vector<fs::path> files_with(const fs::path& folder, std::string_view extension) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator each(folder, error); !error && each != fs::end(each);
       each.increment(error)) {
    if (each->path().extension() == extension && each->is_regular_file(error))
      found.push_back(each->path());
  }
  std::ranges::sort(found);
  return found;
}

// Which languages a folder's files speak of, the surest sign first.
Result<std::string_view> language_of_folder(const fs::path& folder) {
  std::vector<std::string_view> found;
  const auto has = [&](const char* name) { return fs::exists(folder / name); };
  if (has("Cargo.toml")) found.push_back("wasm");
  if (has("package.json") || has("node_modules")) found.push_back("nodejs");
  if (has("requirements.txt") || has("pyproject.toml") || has("site-packages"))
    found.push_back("python");
  if (found.empty()) {
    if (!files_with(folder, ".js").empty() || !files_with(folder, ".mjs").empty() ||
        !files_with(folder, ".cjs").empty())
      found.push_back("nodejs");
    if (!files_with(folder, ".py").empty()) found.push_back("python");
    if (found.empty() && !files_with(folder, ".wasm").empty()) found.push_back("wasm");
    if (found.empty() && (has("src/lib.rs") || !files_with(folder, ".rs").empty()))
      found.push_back("rust");
  }
  if (found.size() == 1) return found.front();
  return wrong(
      found.empty()
          ? fmt::format(
                "{} holds no package.json, requirements.txt, Cargo.toml, and no .js, .py, .rs or "
                ".wasm file: what is to be deployed?",
                folder.string())
          : fmt::format("{} may be for {}: give the function's name with its language, such as "
                        "nodejs-{}",
                        folder.string(), fmt::join(found, " or "), folder.filename().string()));
}

bool is_title(std::string_view title) {
  return !title.empty() && title.size() <= 64 &&
         title.find_first_not_of(
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-") ==
             std::string_view::npos;
}

Result<void> settle_kind(Project& project, const fs::path& folder, std::string_view language) {
  if (language == "wasm" && fs::exists(folder / "Cargo.toml")) {
    project.kind = ProjectKind::kCargo;
    return {};
  }
  for (const Language& each : kLanguages) {
    if (language == each.name) project.kind = each.kind;
  }
  // A function in Rust is one source: a Cargo.toml beside it is for editors.
  const bool cargo = fs::exists(folder / "Cargo.toml");
  if (language == "rust" && !(cargo && fs::exists(folder / "src/main.rs"))) {
    const bool there = fs::exists(folder / "src/lib.rs");
    const std::vector<fs::path> astray = files_with(folder, ".rs");
    if (!there && !astray.empty())
      return wrong(fmt::format(
          "{} holds {} and no src/lib.rs: the function of a folder is src/lib.rs. Move it there, "
          "or give the file itself: {} {}",
          folder.string(), astray.front().filename().string(), astray.front().string(),
          project.name));
    if (!there && !cargo)
      return wrong(
          fmt::format("{} holds no src/lib.rs, which is the function of a folder in Rust: write "
                      "it, or give the path of the .rs file",
                      folder.string()));
    if (there) {
      project.kind = ProjectKind::kSingle;
      project.file = (folder / "src/lib.rs").string();
      return {};
    }
  }
  if (project.kind != ProjectKind::kSingle) return {};
  const std::vector<fs::path> modules = files_with(folder, ".wasm");
  if (modules.size() != 1)
    return wrong(fmt::format("{} holds {} .wasm files: give the path of the one to deploy",
                             folder.string(), modules.size()));
  project.file = modules.front().string();
  return {};
}

}  // namespace

Result<std::string> read_build(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::string();
  SEAM_ASSIGN_OR_RETURN(Manifest manifest, read_manifest(path));
  return std::move(manifest.build);
}

Result<Project> read_project(const std::string& path, const std::string& name) {
  std::error_code error;
  const fs::path whole = fs::canonical(path, error);
  if (error) return fail_errno("cannot read " + path, error.value());
  Project project;
  const bool is_folder = fs::is_directory(whole);
  Manifest manifest;
  if (is_folder) {
    SEAM_ASSIGN_OR_RETURN(manifest, read_manifest(path));
    project.folder = whole.string();
  }
  project.manifest = manifest.json;
  project.said_in = manifest.said_in;
  project.lines = std::move(manifest.lines);
  project.name = !name.empty() ? name : manifest.name;
  std::string title =
      project.name.empty() ? (is_folder ? whole.filename() : whole.stem()).string() : project.name;
  const Language* const named = language_of(title);
  std::string_view language = named != nullptr ? named->name : std::string_view();
  if (named == nullptr) {
    if (is_folder) {
      SEAM_ASSIGN_OR_RETURN(language, language_of_folder(whole));
    } else {
      language = language_of_file(whole);
      if (language.empty())
        return wrong(fmt::format(
            "{}: the language cannot be told from its name: end it in .js, .py, .rs or .wasm",
            path));
    }
    title = fmt::format("{}-{}", language, title);
  }
  if (!is_title(title.substr(title.find('-') + 1))) {
    return wrong(fmt::format(
        "{}\"{}\" is not a function's name: 1 to 64 letters, digits, _, . and - after the "
        "language. Give one: seam deploy {} NAME",
        manifest.said_in.empty() || !name.empty() ? "" : said_in(project, path) + ": ", title,
        path));
  }
  project.name = std::move(title);
  if (is_folder) {
    SEAM_RETURN_IF_ERROR(settle_kind(project, whole, language));
  } else {
    project.kind = ProjectKind::kSingle;
    project.file = whole.string();
  }
  return project;
}

std::string said_in(const Project& project, const std::string& path) {
  if (project.said_in.empty()) return {};
  return (fs::path(path) / project.said_in).lexically_normal().string();
}

std::string place_in_manifest(const Project& project, const std::string& path,
                              std::string_view message) {
  constexpr std::string_view kKeyCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.";
  const bool quoted = message.starts_with('"');
  if (quoted) message.remove_prefix(1);
  const std::size_t end = std::min(message.find_first_not_of(kKeyCharacters), message.size());
  std::string pointer = fmt::format("/{}", message.substr(0, end));
  std::ranges::replace(pointer, '.', '/');
  const std::string first = pointer.substr(1, pointer.find('/', 1) - 1);
  const Result<JsonObjectText> manifest = JsonObjectText::parse(project.manifest);
  if (first.empty() || !manifest || !manifest->find(first)) return {};
  if (project.said_in != kManifestFile) return said_in(project, path) + ": \"seam\"";
  // `"schema": /params/type: …`
  constexpr std::string_view kBefore = "\": ";
  if (quoted && message.substr(end).starts_with("\": /")) {
    message.remove_prefix(end + kBefore.size());
    pointer += message.substr(0, message.find(':'));
  }
  for (; !pointer.empty(); pointer.resize(pointer.rfind('/'))) {
    const auto line =
        std::ranges::find(project.lines, pointer, &std::pair<std::string, int>::first);
    if (line != project.lines.end())
      return fmt::format("{}:{}", said_in(project, path), line->second);
  }
  return said_in(project, path);
}

std::string example_params(const Project& project) {
  const Result<JsonObjectText> manifest = JsonObjectText::parse(project.manifest);
  if (!manifest) return "{}";
  const std::string_view examples = manifest->find("examples").value_or("");
  // The first element: an object that ends where the text up to a brace is one.
  for (std::size_t end = examples.find('}');
       examples.starts_with('[') && end != std::string_view::npos;
       end = examples.find('}', end + 1)) {
    std::string_view first = examples.substr(1, end);
    while (!first.empty() && (first.front() == ' ' || first.front() == '\n' ||
                              first.front() == '\r' || first.front() == '\t'))
      first.remove_prefix(1);
    const Result<JsonObjectText> example = JsonObjectText::parse(first);
    if (example) return std::string(example->find("params").value_or("{}"));
  }
  return "{}";
}

}  // namespace seam::cli
