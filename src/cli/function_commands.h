#pragma once
// `seam functions …` and `seam sessions …`: thin over the API of a running server. Each reads its
// own flags and lives in a file of its own, functions_<name>.cc and sessions_<name>.cc.

#include <span>
#include <string>
#include <vector>

#include "cli/flags.h"

namespace seam::cli {

using Arguments = std::vector<std::string>;

[[nodiscard]] CommandResult functions_list(const Arguments&, const CommandLineOptions&);
[[nodiscard]] CommandResult functions_get(const Arguments&, const CommandLineOptions&);
[[nodiscard]] CommandResult functions_put(const Arguments&, const CommandLineOptions&);
[[nodiscard]] CommandResult functions_delete(const Arguments&, const CommandLineOptions&);
[[nodiscard]] CommandResult functions_versions(const Arguments&, const CommandLineOptions&);
[[nodiscard]] CommandResult functions_route(const Arguments&, const CommandLineOptions&);
// Runs the function's examples; exit code 1 where one does not answer as it says.
[[nodiscard]] CommandResult functions_check(const Arguments&, const CommandLineOptions&);
[[nodiscard]] CommandResult sessions_list(const Arguments&, const CommandLineOptions&);
[[nodiscard]] CommandResult sessions_get(const Arguments&, const CommandLineOptions&);
[[nodiscard]] CommandResult sessions_delete(const Arguments&, const CommandLineOptions&);

// The groups.
[[nodiscard]] CommandResult run_functions(const Arguments&, const CommandLineOptions&);
[[nodiscard]] CommandResult run_sessions(const Arguments&, const CommandLineOptions&);
// `seam health`: the parts of a running server, or whether it takes calls.
[[nodiscard]] CommandResult run_health(const Arguments&, const CommandLineOptions&);
// `seam new`: refuses to overwrite anything.
[[nodiscard]] CommandResult run_new(const Arguments&, const CommandLineOptions&);
// `seam run`.
[[nodiscard]] CommandResult run_run(const Arguments&, const CommandLineOptions&);
// `seam completions bash|zsh`.
[[nodiscard]] CommandResult run_completions(const Arguments&, const CommandLineOptions&);

}  // namespace seam::cli
