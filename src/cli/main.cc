#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/serve.h"
#include "cli/server_engines.h"

int main(int argc, char** argv) {
  // A reader that goes away must be an error of write(2), in the server and in `seam config |
  // head`.
  ::signal(SIGPIPE, SIG_IGN);
  if (argc > 1 && argv[1] == seam::runtimes::kEngineWorkerCommand) {
    const std::vector<std::string> arguments(argv + 2, argv + argc);
    return seam::cli::run_engine_worker(arguments);
  }
  seam::config::Environment environment = seam::config::environment();
  const bool plain = environment.contains("NO_COLOR");
  const seam::cli::CommandResult result = seam::cli::run(
      {argv + 1, argv + argc}, {.serve = seam::cli::serve,
                                .environment = std::move(environment),
                                .style = {.color = !plain && ::isatty(STDOUT_FILENO) == 1},
                                .error_style = {.color = !plain && ::isatty(STDERR_FILENO) == 1}});
  std::fwrite(result.out.data(), 1, result.out.size(), stdout);
  std::fflush(stdout);
  std::fwrite(result.error.data(), 1, result.error.size(), stderr);
  return result.exit_code;
}
