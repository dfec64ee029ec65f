#pragma once
// `seam run`: one function, served while it is being written. A host in this process, with all its
// sandboxes, on loopback and with a data directory that goes when it ends; the files are watched,
// and each change that loads becomes the version that answers.
//
//   return develop({.path = "greet.js", .settings = settings});

#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/settings.h"

namespace seam::cli {

struct Development {
  std::string path;                   // a folder or a file
  std::string name = {};              // the function's; empty: as `seam deploy` makes it
  std::optional<std::string> params;  // JSON: it is called with them after each reload
  bool json = false;                  // one JSON object a line
  // host, port and threads as they are to be; data is not looked at.
  Settings settings = {};
  bool other_port = false;  // where the port is taken, any other will do
  Style style = {};
};

// Serves until SIGINT, SIGTERM, SIGHUP or the end of stdout. Call before any thread exists.
// What it says on the way goes to stdout; the result has what it could not start for.
[[nodiscard]] CommandResult develop(const Development& development);

}  // namespace seam::cli
