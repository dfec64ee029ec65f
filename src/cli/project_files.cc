#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include "cli/project.h"

namespace seam::cli {

namespace fs = std::filesystem;

namespace {

// What no function needs and many folders hold. A .env holds secrets: a function's are given in its
// manifest's environment.
constexpr std::string_view kNeverPacked =
    ".git/\n.hg/\n.svn/\n.seamignore\n.gitignore\n.gitattributes\n.DS_Store\n.env\n.env.*\n"
    "__pycache__/\n*.pyc\n.venv/\n.pytest_cache/\n.mypy_cache/\n.ruff_cache/\n.npmrc\n.idea/"
    "\n.vscode/\n*.swp\n*.swo\n*~\n.#*\n";

bool matches(std::span<const std::string> pattern, std::span<const std::string> path) {
  if (pattern.empty()) return path.empty();
  if (pattern.front() == "**") {
    if (pattern.size() == 1) return !path.empty();
    for (std::size_t skipped = 0; skipped <= path.size(); ++skipped) {
      if (matches(pattern.subspan(1), path.subspan(skipped))) return true;
    }
    return false;
  }
  return !path.empty() && ::fnmatch(pattern.front().c_str(), path.front().c_str(), 0) == 0 &&
         matches(pattern.subspan(1), path.subspan(1));
}

std::vector<std::string> parts_of(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    if (slash > 0) parts.emplace_back(text.substr(0, slash));
    text.remove_prefix(std::min(slash + 1, text.size()));
  }
  return parts;
}

Result<void> walk(const fs::path& folder, const std::string& prefix, const IgnoreRules& rules,
                  const std::vector<std::string>& left_out,
                  std::vector<packages::ArchiveFile>& found) {
  std::error_code error;
  fs::directory_iterator each(folder, error);
  for (; !error && each != fs::end(each); each.increment(error)) {
    const std::string path = prefix + each->path().filename().string();
    const fs::file_status status = each->symlink_status(error);
    if (error) break;
    const bool is_folder = fs::is_directory(status);
    if (prefix.empty() && std::ranges::find(left_out, path) != left_out.end()) continue;
    if (rules.ignores(path, is_folder)) continue;
    if (const std::string_view problem = packages::problem_of_path(path); !problem.empty())
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} {}: rename it, or leave it out by {}", each->path().string(),
                              problem, kIgnoreFile));
    if (is_folder) {
      SEAM_RETURN_IF_ERROR(walk(each->path(), path + "/", rules, left_out, found));
    } else {
      found.push_back({.path = path, .from = each->path().string()});
    }
  }
  if (error) return fail_errno("cannot read " + folder.string(), error.value());
  return {};
}

}  // namespace

void IgnoreRules::add(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r'))
      line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    Rule rule;
    rule.back = line.starts_with('!');
    if (rule.back) line.remove_prefix(1);
    rule.folders_only = line.ends_with('/');
    const std::string_view body = rule.folders_only ? line.substr(0, line.size() - 1) : line;
    rule.parts = parts_of(body);
    if (rule.parts.empty()) continue;
    if (!body.contains('/')) rule.parts.insert(rule.parts.begin(), "**");
    rules_.push_back(std::move(rule));
  }
}

bool IgnoreRules::ignores(std::string_view path, bool is_folder) const {
  const std::vector<std::string> parts = parts_of(path);
  bool ignored = false;
  for (const Rule& rule : rules_) {
    if (rule.folders_only && !is_folder) continue;
    if (matches(rule.parts, parts)) ignored = !rule.back;
  }
  return ignored;
}

Result<IgnoreRules> ignore_rules(const std::string& folder) {
  IgnoreRules rules;
  rules.add(kNeverPacked);
  const std::string own = fmt::format("{}/{}", folder, kIgnoreFile);
  if (fs::exists(own)) {
    std::ifstream file(own, std::ios::binary);
    if (!file) return fail_errno("cannot read " + own, errno);
    rules.add(std::string(std::istreambuf_iterator<char>(file), {}));
  }
  return rules;
}

Result<std::vector<packages::ArchiveFile>> list_files(const std::string& folder,
                                                      const std::vector<std::string>& left_out) {
  SEAM_ASSIGN_OR_RETURN(const IgnoreRules rules, ignore_rules(folder));
  std::vector<packages::ArchiveFile> found;
  SEAM_RETURN_IF_ERROR(walk(folder, "", rules, left_out, found));
  std::ranges::sort(found, {}, &packages::ArchiveFile::path);
  return found;
}

}  // namespace seam::cli
