#include <fmt/format.h>

#include "base/json_text.h"
#include "cli/build_commit.h"
#include "cli/commands.h"

namespace seam::cli {

// The macros are set for this file in src/CMakeLists.txt.
std::string_view version() { return SEAM_VERSION; }

CommandResult show_version(bool json) {
  struct Line {
    std::string_view name;
    std::string_view value;
  };
  const Line lines[] = {
      {"version", version()},
      {"commit", build_commit()},
      {"build", SEAM_BUILD_TYPE},
      {"compiler", "clang " __clang_version__},
      {"wasmtime", SEAM_WASMTIME_VERSION},
  };
  std::string out;
  if (!json) {
    fmt::format_to(std::back_inserter(out), "seam {}\n", version());
    for (const Line& line : lines) {
      if (line.name != "version" && !line.value.empty()) {
        fmt::format_to(std::back_inserter(out), "{:<10}{}\n", line.name, line.value);
      }
    }
    return {.out = out};
  }
  for (const Line& line : lines) {
    if (line.value.empty()) continue;
    out += out.empty() ? "{" : ",";
    append_json_string(out, line.name);
    out += ':';
    append_json_string(out, line.value);
  }
  return {.out = indent_json(out + "}") + "\n"};
}

}  // namespace seam::cli
