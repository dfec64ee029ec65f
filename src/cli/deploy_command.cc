#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/identifier.h"
#include "base/json_text.h"
#include "cli/api_client.h"
#include "cli/call_commands.h"
#include "cli/commands.h"
#include "cli/dependencies.h"
#include "cli/project.h"
#include "http/client.h"

namespace seam::cli {

namespace {

constexpr std::uint64_t kPackedBytesMax = 64ULL
                                          << 20U;  // limits.content_bytes_max, unless it is set

// What is sent: a content, and what it was made of.
struct Packed {
  std::string content;
  std::size_t files = 0;
  std::uint64_t bytes = 0;
  bool holds_manifest = false;  // equal content then means an equal manifest
  std::vector<std::string> paths;
};

Result<Packed> read_single(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno("cannot read " + path, errno);
  Packed packed;
  packed.content.assign(std::istreambuf_iterator<char>(file), {});
  packed.files = 1;
  packed.bytes = packed.content.size();
  packed.paths = {path};
  return packed;
}

Result<Packed> pack(const Project& project, const Progress& say) {
  if (project.kind == ProjectKind::kSingle) return read_single(project.file);
  if (project.kind == ProjectKind::kCargo) {
    SEAM_ASSIGN_OR_RETURN(const std::string module, build_cargo(project, say));
    return read_single(module);
  }
  // What the installers make takes the place of what lies there.
  const std::vector<std::string> left_out =
      project.kind == ProjectKind::kNode ? std::vector<std::string>{"node_modules"}
                                         : std::vector<std::string>{"site-packages", "wheels"};
  SEAM_ASSIGN_OR_RETURN(std::vector<packages::ArchiveFile> files,
                        list_files(project.folder, left_out));
  SEAM_ASSIGN_OR_RETURN(const Dependencies needed, install_dependencies(project, files, say));
  files.insert(files.end(), needed.files.begin(), needed.files.end());
  if (files.empty())
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} holds no files to deploy", project.folder));
  Packed packed;
  packed.files = files.size();
  for (const packages::ArchiveFile& file : files) {
    struct stat status{};
    if (::lstat(file.from.c_str(), &status) == 0 && S_ISREG(status.st_mode))
      packed.bytes += static_cast<std::uint64_t>(status.st_size);
    packed.paths.push_back(file.path);
    packed.holds_manifest |= file.path == project.said_in;
  }
  std::ranges::sort(packed.paths);
  SEAM_ASSIGN_OR_RETURN(packed.content, packages::pack_archive(std::move(files), kPackedBytesMax));
  return packed;
}

std::string text_member(const JsonObjectText& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value) return {};
  return is_json_string(*value) ? decode_json_string(*value) : std::string(*value);
}

CommandResult unreachable(const Deployment& deployment, const Error& error) {
  if (error.code == ErrorCode::kInvalidArgument)
    return {.exit_code = kUsage, .error = error.message + "\n"};
  return {.exit_code = kUnreachable,
          .error = fmt::format("No answer from {}: {}. Start it: seam serve\n", deployment.url,
                               error.message)};
}

// The file that is the content, by the path that was given.
std::string shown_file(const Deployment& deployment, const Project& project) {
  if (project.folder.empty()) return deployment.path;
  const std::filesystem::path inside =
      std::filesystem::path(project.file).lexically_relative(project.folder);
  return (std::filesystem::path(deployment.path) / inside).lexically_normal().string();
}

// The server's refusal, with the file that it is of: the manifest, with the line, or the function's
// source.
CommandResult refused(const http::ClientResponse& answer, const Deployment& deployment,
                      const Project& project, const Style& style) {
  const Result<JsonObjectText> body = JsonObjectText::parse(answer.body);
  const Result<JsonObjectText> error =
      JsonObjectText::parse(body ? body->find("error").value_or("") : "");
  if (!error) {
    return {.exit_code = kFailed,
            .error = fmt::format("The server answered {} with something that is not Seam's:\n{}\n",
                                 answer.status, answer.body.substr(0, 2000))};
  }
  const std::string code = text_member(*error, "code");
  const std::string message = text_member(*error, "message");
  CommandResult result{.exit_code = answer.status == 503  ? kUnreachable
                                    : answer.status < 500 ? kUsage
                                                          : kFailed};
  const std::string place = place_in_manifest(project, deployment.path, message);
  result.error =
      fmt::format("{}: {}{}{}\n", style.bad(code), place, place.empty() ? "" : ": ", message);
  if (!place.empty()) return result;
  const Result<JsonObjectText> details = JsonObjectText::parse(error->find("details").value_or(""));
  const std::string line = details ? text_member(*details, "line") : "";
  const std::string column = details ? text_member(*details, "column") : "";
  if (project.kind == ProjectKind::kSingle) {
    result.error += fmt::format("  in {}{}{}{}{}\n", shown_file(deployment, project),
                                line.empty() ? "" : ":", line, column.empty() ? "" : ":", column);
  } else {
    result.error += fmt::format("  in {}\n", deployment.path);
    // Its paths are those of the folder.
    std::string stack = details ? text_member(*details, "stack_trace") : "";
    while (stack.ends_with('\n')) stack.pop_back();
    if (!stack.empty()) result.error += style.faint(harmless_lines(stack)) + "\n";
  }
  if (const std::string manifest = said_in(project, deployment.path); !manifest.empty())
    result.error +=
        style.faint(fmt::format("  entry, limits and other keys are from {}", manifest)) + "\n";
  return result;
}

// The version that all calls go to and whose content has this hash.
std::optional<std::string> version_of(const http::ClientResponse& answer, const std::string& hash) {
  const Result<JsonObjectText> body = JsonObjectText::parse(answer.body);
  if (!body) return std::nullopt;
  // "implementations" lists those that calls go to: one, unless it is a migration.
  const std::string_view listed = body->find("implementations").value_or("");
  if (!listed.starts_with("[{") || !listed.ends_with("}]")) return std::nullopt;
  const Result<JsonObjectText> only = JsonObjectText::parse(listed.substr(1, listed.size() - 2));
  if (!only || text_member(*only, "hash") != hash) return std::nullopt;
  return text_member(*only, "version");
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 10'000) return fmt::format("{} bytes", bytes);
  if (bytes < 10'000'000) return fmt::format("{:.0f} kB", static_cast<double>(bytes) / 1e3);
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

struct Outcome {
  std::string_view status = "deployed";  // or "unchanged", "dry run"
  std::string version = {};
  bool created = false;
};

CommandResult report(const Deployment& deployment, const Project& project, const Packed& packed,
                     const std::string& hash, const Outcome& outcome, const Style& style) {
  const std::string url =
      fmt::format("{}/api/v1/functions/{}/invoke", deployment.url, project.name);
  if (deployment.json) {
    std::string out = R"({"name":)";
    append_json_string(out, project.name);
    out += fmt::format(
        R"(,"status":"{}","version":{},"created":{},"files":{},"bytes":{},"packed_bytes":{},"hash":"{}","url":)",
        outcome.status, outcome.version.empty() ? "null" : outcome.version, outcome.created,
        packed.files, packed.bytes, packed.content.size(), hash);
    append_json_string(out, url);
    if (deployment.dry_run) {
      out += R"(,"paths":[)";
      for (const std::string& path : packed.paths) {
        if (&path != &packed.paths.front()) out += ',';
        append_json_string(out, path);
      }
      out += ']';
    }
    return {.out = out + "}\n"};
  }
  std::string out;
  if (deployment.dry_run) {
    constexpr std::size_t kShownMax = 40;
    for (const std::string& path : packed.paths) {
      if (&path - packed.paths.data() == static_cast<std::ptrdiff_t>(kShownMax)) break;
      out += fmt::format("  {}\n", path);
    }
    if (packed.paths.size() > kShownMax)
      out += fmt::format("  … and {} more: --json lists all\n", packed.paths.size() - kShownMax);
    out += fmt::format("{} would be sent as {}\n", bytes_text(packed.content.size()),
                       style.bold(project.name));
  } else if (outcome.status == "unchanged") {
    out += fmt::format("{} is unchanged: version {} has the same content\n",
                       style.bold(project.name), outcome.version);
  } else {
    out += fmt::format("{} {} version {}\n", style.bold(project.name),
                       style.good(outcome.created ? "is there:" : "has a new version:"),
                       outcome.version);
  }
  out += fmt::format("  content  {} file{}, {}{}\n", packed.files, packed.files == 1 ? "" : "s",
                     bytes_text(packed.bytes),
                     packed.content.size() == packed.bytes
                         ? ""
                         : fmt::format(", packed {}", bytes_text(packed.content.size())));
  out += fmt::format("  hash     {}\n", hash);
  if (deployment.dry_run) return {.out = out};
  out += fmt::format("  url      {}\n", url);
  const bool elsewhere = deployment.url != "http://127.0.0.1:8080";
  out += fmt::format("  try      seam invoke {} --params {}{}\n", project.name,
                     quoted_for_shell(example_params(project)),
                     elsewhere ? " --url " + deployment.url : "");
  return {.out = out};
}

http::ClientRequest put_request(const std::string& url, const std::string& manifest,
                                const std::string& content) {
  // Random: no content holds it.
  const std::string boundary = "seam-" + random_uuid() + random_uuid().substr(0, 8);
  http::ClientRequest request{.method = http::Method::kPut, .url = url, .timeout = kCallPatience};
  request.headers = {{"Content-Type", "multipart/form-data; boundary=" + boundary}};
  request.body.reserve(content.size() + manifest.size() + 512);
  request.body = fmt::format(
      "--{0}\r\nContent-Disposition: form-data; name=\"manifest\"\r\nContent-Type: "
      "application/json\r\n\r\n{1}\r\n"
      "--{0}\r\nContent-Disposition: form-data; name=\"content\"; filename=\"content\"\r\n"
      "Content-Type: application/octet-stream\r\n\r\n",
      boundary, manifest);
  request.body.append(content).append("\r\n--").append(boundary).append("--\r\n");
  return request;
}

}  // namespace

CommandResult deploy(const Deployment& deployment, const Progress& say, const Style& style,
                     const Style& error_style) {
  const Result<std::string> build = read_build(deployment.path);
  if (!build) return {.exit_code = kUsage, .error = build.error().message + "\n"};
  if (!build->empty()) {
    if (const Result<void> built = run_build(deployment.path, *build, say); !built)
      return {.exit_code = kUsage, .error = built.error().message + "\n"};
  }
  const Result<Project> project = read_project(deployment.path, deployment.name);
  if (!project) return {.exit_code = kUsage, .error = project.error().message + "\n"};
  say(fmt::format("{} from {}", project->name,
                  project->folder.empty() ? project->file : project->folder));
  const Result<Packed> packed = pack(*project, say);
  if (!packed) return {.exit_code = kUsage, .error = packed.error().message + "\n"};
  const std::string hash = sha256_hex(packed->content);
  if (deployment.dry_run)
    return report(deployment, *project, *packed, hash, {.status = "dry run"}, style);

  const std::string url = fmt::format("{}/api/v1/functions/{}", deployment.url, project->name);
  // Without a manifest in it, a content does not say how it is to run.
  if (packed->holds_manifest || project->said_in.empty()) {
    const Result<http::ClientResponse> there = http::fetch({.url = url});
    if (!there) return unreachable(deployment, there.error());
    if (there->status == 200) {
      if (const auto version = version_of(*there, hash))
        return report(deployment, *project, *packed, hash,
                      {.status = "unchanged", .version = *version}, style);
    }
  }
  say(fmt::format("sending {} file{}, {}", packed->files, packed->files == 1 ? "" : "s",
                  bytes_text(packed->content.size())));
  const Result<http::ClientResponse> answer =
      http::fetch(put_request(url, project->manifest, packed->content));
  if (!answer) return unreachable(deployment, answer.error());
  if (answer->status != 200 && answer->status != 201)
    return refused(*answer, deployment, *project, error_style);
  const Result<JsonObjectText> body = JsonObjectText::parse(answer->body);
  return report(deployment, *project, *packed, hash,
                {.version = body ? text_member(*body, "version") : std::string(),
                 .created = answer->status == 201},
                style);
}

}  // namespace seam::cli
