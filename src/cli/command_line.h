#pragma once
// The command line of `seam`: finds the command, reads its flags and runs it.
//
//   int main(int argc, char** argv) {
//     return seam::cli::run({argv + 1, argv + argc}, {.serve = seam::cli::serve});
//   }

#include <functional>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace seam::cli {

struct CommandLineOptions {
  // Runs the server until it is told to stop; the exit code. Called before any thread exists.
  // json: say where it listens as one line of JSON.
  std::function<int(const LoadedSettings&, bool json)> serve;
  config::Environment environment = {};
  Style style = {};        // of stdout
  Style error_style = {};  // of stderr
};

// Runs the command that `arguments` (without the program's own name) ask for.
[[nodiscard]] CommandResult run(const std::vector<std::string>& arguments,
                                const CommandLineOptions& options);

}  // namespace seam::cli
