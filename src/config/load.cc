#include "config/load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/file_descriptor.h"
#include "config/nearest.h"
#include "config/yaml.h"

extern char** environ;

namespace seam::config {

namespace {

constexpr std::string_view kFileVariable = "SEAM_CONFIG";
constexpr std::string_view kDefaultFile = "seam.yaml";

std::unexpected<Error> invalid(std::string message) {
  return fail(ErrorCode::kInvalidArgument, std::move(message));
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string meant = nearest(word, candidates);
  return meant.empty() ? "See `seam config --help` for all of them."
                       : fmt::format("Did you mean {}?", meant);
}

// Reads at most one byte more than parse_yaml() takes, so a device or a huge file ends here.
Result<std::string> read_file(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return fail_errno(path, errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail_errno(path, errno);
  if (!S_ISREG(status.st_mode))
    return invalid(fmt::format("{}: not a regular file. Name a YAML file.", path));
  std::string text(kYamlBytesMax + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(path, errno);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  text.resize(size);
  return text;
}

Result<Value> parse_entries(const Setting& setting, const YamlNode& node, std::string_view where) {
  const auto wrong = [&](int line, std::string_view what) {
    const std::string place =
        where.ends_with(':') ? fmt::format("{}{}", where, line) : std::string(where);
    return invalid(
        fmt::format("{}: {}: {}. Give {}.", place, setting.key, what, setting.allowed()));
  };
  if (node.kind != YamlNode::Kind::kList) return wrong(node.line, "not a list");
  std::vector<Entry> entries;
  for (const YamlNode& item : node.items) {
    if (item.kind != YamlNode::Kind::kMap)
      return wrong(item.line, "holds something that is not a map");
    Entry entry;
    for (const YamlNode& value : item.items) {
      if (std::ranges::find(setting.fields, value.key) == setting.fields.end()) {
        return wrong(value.key_line, fmt::format("\"{}\" is unknown here", shown(value.key)));
      }
      if (value.kind != YamlNode::Kind::kScalar)
        return wrong(value.line, fmt::format("{} is not a text", shown(value.key)));
      entry.fields.emplace(value.key, value.scalar);
    }
    entries.push_back(std::move(entry));
    if (!setting.check) continue;
    if (const std::string problem = setting.check(std::vector<Entry>{entries.back()});
        !problem.empty()) {
      return wrong(item.line, problem);
    }
  }
  if (entries.empty()) return wrong(node.line, "is empty");
  return Value(std::move(entries));
}

// A value out of a flag, a variable or a default.
Result<Value> parse_text(const Setting& setting, std::string_view text, std::int64_t scale,
                         std::string_view source) {
  if (setting.type == Type::kEntries) {
    SEAM_ASSIGN_OR_RETURN(const YamlNode node, parse_yaml(text, source));
    return parse_entries(setting, node, source);
  }
  Result<Value> value = parse_value(setting, text, scale);
  if (!value)
    value.error().message = fmt::format("{}: {}: {}", source, setting.key, value.error().message);
  return value;
}

class Loader {
 public:
  Loader(std::span<const Setting> settings, std::span<const Unbuilt> unbuilt,
         const Sources& sources)
      : settings_(settings),
        unbuilt_(unbuilt),
        sources_(sources),
        found_(settings.size()),
        in_file_(settings.size()) {}

  Result<std::vector<Effective>> run() {
    SEAM_RETURN_IF_ERROR(refuse_variables());
    SEAM_RETURN_IF_ERROR(read_flags());
    SEAM_RETURN_IF_ERROR(read_environment());
    SEAM_RETURN_IF_ERROR(read_default_or_named_file());
    std::vector<Effective> out;
    for (std::size_t i = 0; i < settings_.size(); ++i) {
      if (!found_[i]) {
        const Setting& setting = settings_[i];
        const std::string text = setting.default_from ? setting.default_from(sources_.environment)
                                                      : setting.default_text;
        SEAM_ASSIGN_OR_RETURN(Value value, parse_text(setting, text, 1, "default"));
        found_[i] = {.setting = &settings_[i], .value = std::move(value), .source = "default"};
      }
      out.push_back(*std::move(found_[i]));
    }
    return out;
  }

 private:
  [[nodiscard]] std::string_view variable(std::string_view name) const {
    const auto it = sources_.environment.find(std::string(name));
    return it == sources_.environment.end() ? std::string_view() : it->second;
  }

  // The weaker sources come later, so the first value stays; a weaker one is still checked.
  void keep(std::size_t index, Value value, std::string source) {
    if (!found_[index])
      found_[index] = {
          .setting = &settings_[index], .value = std::move(value), .source = std::move(source)};
  }

  Result<void> refuse_variables() {
    for (const Unbuilt& unbuilt : unbuilt_) {
      if (!unbuilt.environment.empty() && !variable(unbuilt.environment).empty()) {
        return invalid(fmt::format("environment {}: {}", unbuilt.environment, unbuilt.message));
      }
    }
    // Other variables of this prefix may belong to tools around Seam; one that is nearly a setting
    // is a slip.
    constexpr std::string_view kPrefix = "SEAM_";
    std::vector<std::string> known{std::string(kFileVariable.substr(kPrefix.size()))};
    for (const Setting& setting : settings_) {
      known.push_back(setting.environment_name().substr(kPrefix.size()));
    }
    for (const auto& [name, value] : sources_.environment) {
      if (!name.starts_with(kPrefix) || value.empty()) continue;
      const std::string word = name.substr(kPrefix.size());
      const std::string meant = nearest(word, known);
      if (meant.empty() || meant == word) continue;
      return invalid(fmt::format("environment {}: no such setting. Did you mean {}{}?", shown(name),
                                 kPrefix, meant));
    }
    return {};
  }

  Result<void> read_flags() {
    for (auto flag = sources_.flags.rbegin(); flag != sources_.flags.rend(); ++flag) {
      const auto setting = std::ranges::find_if(
          settings_, [&](const Setting& s) { return s.flag() == flag->first; });
      if (setting == settings_.end())
        return invalid(explain_unknown_flag(flag->first, settings_, unbuilt_, {}));
      const std::string source = "flag " + flag->first;
      SEAM_ASSIGN_OR_RETURN(Value value, parse_text(*setting, flag->second, 1, source));
      keep(static_cast<std::size_t>(setting - settings_.begin()), std::move(value), source);
    }
    return {};
  }

  Result<void> read_environment() {
    for (std::size_t i = 0; i < settings_.size(); ++i) {
      std::vector<EnvironmentName> names{{.name = settings_[i].environment_name()}};
      names.insert(names.end(), settings_[i].environment.begin(), settings_[i].environment.end());
      for (const EnvironmentName& name : names) {
        if (variable(name.name).empty()) continue;
        const std::string source = "environment " + name.name;
        SEAM_ASSIGN_OR_RETURN(Value value,
                              parse_text(settings_[i], variable(name.name), name.scale, source));
        keep(i, std::move(value), source);
      }
    }
    return {};
  }

  Result<void> read_default_or_named_file() {
    const std::string named =
        sources_.file.empty() ? std::string(variable(kFileVariable)) : sources_.file;
    const std::string path = named.empty() ? std::string(kDefaultFile) : named;
    Result<std::string> text = read_file(path);
    if (!text) {
      if (named.empty() && text.error().code == ErrorCode::kNotFound) return {};
      return std::unexpected(std::move(text).error());
    }
    SEAM_ASSIGN_OR_RETURN(const YamlNode root, parse_yaml(*text, path));
    if (root.kind == YamlNode::Kind::kNull) return {};
    if (root.kind != YamlNode::Kind::kMap) {
      return invalid(
          fmt::format("{}:{}: not a map. Write one \"key: value\" a line.", path, root.line));
    }
    read_map(root, "", path);
    if (wrong_in_file_.empty()) return {};
    // One message a line; a file that is wrong throughout, or another's, is not worth a page.
    constexpr std::size_t kToldMax = 20;
    const std::size_t more = wrong_in_file_.size() - std::min(wrong_in_file_.size(), kToldMax);
    wrong_in_file_.resize(wrong_in_file_.size() - more);
    if (more > 0) wrong_in_file_.push_back(fmt::format("{}: {} more are wrong.", path, more));
    return invalid(fmt::format("{}", fmt::join(wrong_in_file_, "\n")));
  }

  // Goes on after a key that is wrong, so that all of them are told at once. `prefix` ends with a
  // dot, or is empty.
  void read_map(const YamlNode& map, const std::string& prefix, const std::string& path) {
    for (const YamlNode& node : map.items) {
      Result<void> read = read_key(node, prefix, path);
      if (!read) wrong_in_file_.push_back(std::move(read).error().message);
    }
  }

  Result<void> read_key(const YamlNode& node, const std::string& prefix, const std::string& path) {
    const std::string key = prefix + node.key;
    const std::string place = fmt::format("{}:{}", path, node.key_line);
    const auto setting = std::ranges::find_if(settings_, [&](const Setting& s) {
      return s.key == key || (!s.older_key.empty() && s.older_key == key);
    });
    if (setting != settings_.end())
      return read_leaf(static_cast<std::size_t>(setting - settings_.begin()), node, path, place);
    SEAM_RETURN_IF_ERROR(refuse_unbuilt_key(key, place));
    if (!is_group(key)) {
      return invalid(fmt::format("{}: {}: no such setting. {}", place, shown(key),
                                 remedy_of_key(key, prefix)));
    }
    if (node.kind == YamlNode::Kind::kNull) return {};
    if (node.kind != YamlNode::Kind::kMap) {
      return invalid(fmt::format("{}: {}: is a group of settings. Write them below it, indented.",
                                 place, key));
    }
    read_map(node, key + ".", path);
    return {};
  }

  Result<void> read_leaf(std::size_t index, const YamlNode& node, const std::string& path,
                         const std::string& place) {
    const Setting& setting = settings_[index];
    if (in_file_[index]) {
      return invalid(fmt::format("{}: {}: is set twice. Keep one.", place, setting.key));
    }
    in_file_[index] = true;
    if (setting.type == Type::kEntries) {
      SEAM_ASSIGN_OR_RETURN(Value value, parse_entries(setting, node, path + ":"));
      keep(index, std::move(value), place);
      return {};
    }
    if (node.kind != YamlNode::Kind::kScalar) {
      return invalid(
          fmt::format("{}: {}: {}. Give {}.", place, setting.key,
                      node.kind == YamlNode::Kind::kNull ? "has no value" : "is not a single value",
                      setting.allowed()));
    }
    SEAM_ASSIGN_OR_RETURN(Value value, parse_text(setting, node.scalar, 1, place));
    keep(index, std::move(value), place);
    return {};
  }

  [[nodiscard]] Result<void> refuse_unbuilt_key(const std::string& key,
                                                const std::string& place) const {
    for (const Unbuilt& unbuilt : unbuilt_) {
      if (unbuilt.key == key)
        return invalid(fmt::format("{}: {}: {}", place, key, unbuilt.message));
    }
    return {};
  }

  [[nodiscard]] bool is_group(const std::string& key) const {
    const std::string begin = key + ".";
    return std::ranges::any_of(settings_,
                               [&](const Setting& s) {
                                 return s.key.starts_with(begin) || s.older_key.starts_with(begin);
                               }) ||
           std::ranges::any_of(unbuilt_,
                               [&](const Unbuilt& u) { return u.key.starts_with(begin); });
  }

  // What was meant; else what its group has, where that is little.
  [[nodiscard]] std::string remedy_of_key(const std::string& key, const std::string& prefix) const {
    constexpr std::size_t kListedMax = 8;
    std::vector<std::string> group;
    for (const Setting& setting : settings_) {
      if (prefix.empty() || !setting.key.starts_with(prefix)) continue;
      const std::string rest = setting.key.substr(prefix.size());
      const std::string name = rest.substr(0, rest.find('.'));
      if (std::ranges::find(group, name) == group.end()) group.push_back(name);
    }
    const std::string meant = nearest(key, keys());
    if (group.empty() || group.size() > kListedMax) return did_you_mean(key, keys());
    return fmt::format("{}{} may have {}.",
                       meant.empty() ? "" : fmt::format("Did you mean {}? ", meant),
                       prefix.substr(0, prefix.size() - 1), fmt::join(group, ", "));
  }

  [[nodiscard]] std::vector<std::string> keys() const {
    std::vector<std::string> out;
    for (const Setting& setting : settings_) out.push_back(setting.key);
    return out;
  }

  std::span<const Setting> settings_;
  std::span<const Unbuilt> unbuilt_;
  const Sources& sources_;
  std::vector<std::optional<Effective>> found_;
  std::vector<std::string> wrong_in_file_;  // what is wrong in seam.yaml, in its order
  std::vector<bool> in_file_;  // seam.yaml has it; "log.level" may be written in two ways
};

}  // namespace

Environment environment() {
  Environment out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals != std::string_view::npos)
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

Result<std::vector<Effective>> load(std::span<const Setting> settings,
                                    std::span<const Unbuilt> unbuilt, const Sources& sources) {
  return Loader(settings, unbuilt, sources).run();
}

std::string explain_unknown_flag(std::string_view flag, std::span<const Setting> settings,
                                 std::span<const Unbuilt> unbuilt,
                                 std::span<const std::string> other_flags) {
  const std::string name(flag.substr(0, flag.find('=')));
  for (const Unbuilt& entry : unbuilt) {
    if (!entry.key.empty() && Setting{.key = entry.key}.flag() == name) {
      return fmt::format("flag {}: {}", name, entry.message);
    }
  }
  std::vector<std::string> known(other_flags.begin(), other_flags.end());
  for (const Setting& setting : settings) known.push_back(setting.flag());
  return fmt::format("flag {}: no such flag. {}", shown(name), did_you_mean(name, known));
}

}  // namespace seam::config
