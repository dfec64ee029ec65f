#include <array>

#include "cli/function_commands.h"

namespace seam::cli {

CommandResult run_functions(const Arguments& arguments, const CommandLineOptions& options) {
  const std::array<Command, 7> commands{
      {{"list", "list functions by name", functions_list},
       {"get", "show one", functions_get},
       {"put", "register one, or a new version of it", functions_put},
       {"delete", "remove one", functions_delete},
       {"versions", "list its versions", functions_versions},
       {"route", "send its calls to another version", functions_route},
       {"check", "run its examples", functions_check}}};
  return run_group("functions", "The functions of a running server.", commands, arguments, options);
}

CommandResult run_sessions(const Arguments& arguments, const CommandLineOptions& options) {
  const std::array<Command, 3> commands{{{"list", "list sessions, newest first", sessions_list},
                                         {"get", "show one", sessions_get},
                                         {"delete", "end one", sessions_delete}}};
  return run_group("sessions", "The sessions of a running server.", commands, arguments, options);
}

}  // namespace seam::cli
