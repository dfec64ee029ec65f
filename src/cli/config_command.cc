#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/json_text.h"
#include "cli/commands.h"

namespace seam::cli {

namespace {

void append_member(std::string& out, std::string_view name, std::string_view text) {
  if (out.back() != '{') out += ',';
  append_json_string(out, name);
  out += ':';
  append_json_string(out, text);
}

void append_value(std::string& out, const config::Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    out += std::to_string(*number);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    append_json_string(out, *text);
  } else {
    out += '[';
    for (const config::Entry& entry : std::get<std::vector<config::Entry>>(value)) {
      if (out.back() != '[') out += ',';
      out += '{';
      for (const auto& [name, field] : entry.fields) append_member(out, name, field);
      out += '}';
    }
    out += ']';
  }
}

// A cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string default_cell(const config::Setting& setting) {
  if (!setting.default_description.empty()) return setting.default_description;
  if (setting.type == config::Type::kEntries) return "see above";
  return fmt::format("`{}`", setting.default_text);
}

}  // namespace

CommandResult show_config_table(const LoadedSettings& loaded, const Style& style) {
  std::vector<std::vector<std::string>> rows{
      {style.bold("setting"), style.bold("value"), style.bold("from")}};
  for (const config::Effective& effective : loaded.effective) {
    const bool is_default = effective.source == "default";
    if (const auto* entries = std::get_if<std::vector<config::Entry>>(&effective.value)) {
      // One line a rule: the order matters and a long line hides it.
      rows.push_back({effective.setting->key,
                      fmt::format("{} rules, the first that fits wins:", entries->size()),
                      is_default ? style.faint(effective.source) : effective.source});
      for (const config::Entry& entry : *entries) {
        const std::string line =
            config::format_value(*effective.setting, std::vector<config::Entry>{entry});
        rows.push_back({"", line.substr(1, line.size() - 2)});
      }
      continue;
    }
    rows.push_back({effective.setting->key,
                    config::format_value(*effective.setting, effective.value),
                    is_default ? style.faint(effective.source) : effective.source});
  }
  return {.out = align(rows)};
}

CommandResult show_config_json(const LoadedSettings& loaded) {
  std::string out = "{\"settings\":[";
  for (const config::Effective& effective : loaded.effective) {
    if (out.back() != '[') out += ',';
    out += '{';
    append_member(out, "key", effective.setting->key);
    out += ",\"value\":";
    append_value(out, effective.value);
    append_member(out, "source", effective.source);
    append_member(out, "flag", effective.setting->flag());
    append_member(out, "environment", effective.setting->environment_name());
    append_member(out, "description", effective.setting->description);
    out += '}';
  }
  return {.out = indent_json(out + "]}") + "\n"};
}

CommandResult show_config_markdown() {
  std::string out =
      "| key of seam.yaml | flag | variables | default | may be | meaning "
      "|\n|---|---|---|---|---|---|\n";
  for (const config::Setting& setting : descriptors()) {
    std::string variables = fmt::format("`{}`", setting.environment_name());
    for (const config::EnvironmentName& name : setting.environment) {
      variables += fmt::format(", `{}`", name.name);
    }
    fmt::format_to(std::back_inserter(out), "| `{}` | `{}` | {} | {} | {} | {} |\n", setting.key,
                   setting.flag(), variables, default_cell(setting), cell(setting.allowed()),
                   cell(setting.description));
  }
  out +=
      "\nKnown names that this build refuses:\n\n| key of seam.yaml | variable | answer "
      "|\n|---|---|---|\n";
  for (const config::Unbuilt& name : unbuilt()) {
    const auto code = [](const std::string& text) {
      return text.empty() ? "" : fmt::format("`{}`", text);
    };
    fmt::format_to(std::back_inserter(out), "| {} | {} | {} |\n", code(name.key),
                   code(name.environment), cell(name.message));
  }
  return {.out = out};
}

}  // namespace seam::cli
