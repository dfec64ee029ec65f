// Completions are made from what the commands say of themselves (shape_of), at the moment they are
// asked for: a flag that is added is completed, and one that is gone is not.

#include <fmt/format.h>

#include <algorithm>

#include "cli/function_commands.h"

namespace seam::cli {
namespace {

// The words that may follow a command: its commands, or its flags.
std::string words_of(const CommandShape& shape) {
  std::string words;
  const auto add = [&](const std::string& word) { words += (words.empty() ? "" : " ") + word; };
  for (const CommandShape& command : shape.commands) add(command.name);
  for (const CommandShape::Flag& flag : shape.flags) {
    if (flag.name.starts_with('-')) add(flag.name);
  }
  if (!shape.commands.empty()) add("--help");
  return words;
}

std::string files_of(const CommandShape& shape) {
  std::string flags;
  for (const CommandShape::Flag& flag : shape.flags) {
    if (flag.type == "FILE" && flag.name.starts_with('-'))
      flags += (flags.empty() ? "" : "|") + flag.name;
  }
  return flags;
}

std::string values_of(const CommandShape& shape) {
  std::string flags;
  for (const CommandShape::Flag& flag : shape.flags) {
    if (!flag.type.empty() && flag.type != "FILE" && flag.name.starts_with('-'))
      flags += (flags.empty() ? "" : "|") + flag.name;
  }
  return flags;
}

void bash_case(std::string& out, const std::string& path, const CommandShape& shape) {
  out += fmt::format("    {})\n", path.empty() ? "\"\"" : "\"" + path + "\"");
  out += fmt::format("      words=\"{}\"\n", words_of(shape));
  if (const std::string files = files_of(shape); !files.empty())
    out += fmt::format("      files=\"|{}|\"\n", files);
  if (const std::string values = values_of(shape); !values.empty())
    out += fmt::format("      values=\"|{}|\"\n", values);
  out += "      ;;\n";
  for (const CommandShape& command : shape.commands)
    bash_case(out, path.empty() ? command.name : path + " " + command.name, command);
}

void add_groups(std::string& groups, const std::string& path, const CommandShape& shape) {
  if (shape.commands.empty()) return;
  groups += fmt::format("|{}|", path);
  for (const CommandShape& command : shape.commands)
    add_groups(groups, path.empty() ? command.name : path + " " + command.name, command);
}

std::string bash(const CommandShape& root) {
  std::string cases;
  bash_case(cases, "", root);
  std::string groups;
  add_groups(groups, "", root);
  return fmt::format(R"(# Completions of seam for bash. Made by `seam completions bash`.
_seam() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
  local path="" words="" files="" values="" groups="{}" i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    [[ $groups == *"|$path|"* && ${{COMP_WORDS[i]}} != -* ]] || break
    path="${{path:+$path }}${{COMP_WORDS[i]}}"
  done
  case $path in
{}  esac
  COMPREPLY=()
  if [[ $files == *"|$before|"* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  elif [[ $values == *"|$before|"* ]]; then
    return
  elif [[ $current == -* || $groups == *"|$path|"* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}}
complete -o filenames -F _seam seam
)",
                     groups, cases);
}

// For zsh, within single quotes: brackets and colons have a meaning of their own there.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '[' || c == ']' || c == ':' || c == '\\') {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

void zsh_function(std::string& out, const std::string& function, const CommandShape& shape) {
  out += fmt::format("{}() {{\n", function);
  if (shape.commands.empty()) {
    out += "  _arguments -s";
    for (const CommandShape::Flag& flag : shape.flags) {
      if (!flag.name.starts_with('-')) {
        out += fmt::format(" \\\n    ':{}:{}'", zsh_text(flag.name),
                           flag.name == "FILE" ? "_files" : " ");
        continue;
      }
      const std::string value =
          flag.type.empty()
              ? ""
              : fmt::format(":{}:{}", zsh_text(flag.type), flag.type == "FILE" ? "_files" : " ");
      out += fmt::format(" \\\n    '*{}[{}]{}'", flag.name, zsh_text(flag.help), value);
    }
    out += "\n}\n";
    return;
  }
  out += "  local -a commands=(";
  for (const CommandShape& command : shape.commands)
    out += fmt::format("\n    '{}:{}'", command.name, zsh_text(command.summary));
  out += fmt::format(R"(
  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  shift words
  ((--CURRENT))
  case $words[1] in
)");
  for (const CommandShape& command : shape.commands)
    out += fmt::format("    {}) {}_{} ;;\n", command.name, function, command.name);
  out += "  esac\n}\n";
  for (const CommandShape& command : shape.commands)
    zsh_function(out, fmt::format("{}_{}", function, command.name), command);
}

std::string zsh(const CommandShape& root) {
  std::string out =
      "#compdef seam\n# Completions of seam for zsh. Made by `seam completions zsh`.\n";
  zsh_function(out, "_seam", root);
  // Read by source, or from $fpath, where the file is itself the function.
  return out + "if [[ $funcstack[1] == _seam ]]; then _seam \"$@\"; else compdef _seam seam; fi\n";
}

}  // namespace

CommandResult run_completions(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("completions", "Prints what makes a shell complete the commands and flags of seam.",
              R"(source <(seam completions bash)                          # now
  seam completions bash > ~/.local/share/bash-completion/completions/seam
  seam completions zsh > ~/.zsh/completions/_seam          # a directory of $fpath)");
  std::string shell;
  flags.option("SHELL", shell, "bash or zsh");
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (shell != "bash" && shell != "zsh") {
    return refuse({ErrorCode::kInvalidArgument,
                   fmt::format("{}: give the shell, bash or zsh: seam completions bash",
                               shell.empty() ? "SHELL" : shell),
                   {}});
  }
  CommandShape root;
  root.name = "seam";
  for (const Command& command : all_commands()) root.commands.push_back(shape_of(command, options));
  return {.out = shell == "bash" ? bash(root) : zsh(root)};
}

}  // namespace seam::cli
