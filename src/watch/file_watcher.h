#pragma once
// Tells that files below a folder have changed: written, made, renamed, removed, in it or in a
// folder below it that is there now or comes later.
//
//   SEAM_ASSIGN_OR_RETURN(auto watcher, FileWatcher::start(loop, {.folder = "/home/ada/slugs",
//                                       .wanted = wanted, .on_change = [&] { reload(); }}));
//
// Many events are one change: it is told once it has been quiet for a moment. A file that is open
// and written to is waited for, so that it is not read in halves. Nothing says what has changed:
// whoever is told looks for himself. Uses inotify, so it sees what programs of this machine do.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/event_loop.h"
#include "base/result.h"

namespace seam::watch {

struct WatchOptions {
  std::string folder = {};  // absolute
  // Whether a path, relative to the folder, is of interest; a folder that is not is not looked
  // into.
  std::function<bool(std::string_view path, bool is_folder)> wanted = {};
  std::function<void()> on_change = {};  // on the loop; may destroy the watcher
  // A folder that came later and cannot be watched, or the folder itself that went away; on the
  // loop.
  std::function<void(const Error&)> on_problem = {};
  milliseconds quiet{8};       // without an event, before a change is told
  milliseconds writing{150};   // the same, while a file that was written to is open
  milliseconds longest{1000};  // that events may keep on coming before it is told all the same
};

// On one loop.
class FileWatcher {
 public:
  // Watches from now on. Blocks while it looks through the folder.
  // errors    kResourceExhausted   the machine's limit of watches: the message names it
  //           else                 the folder cannot be read
  [[nodiscard]] static Result<std::unique_ptr<FileWatcher>> start(EventLoop& loop,
                                                                  WatchOptions options);
  FileWatcher(const FileWatcher&) = delete;
  FileWatcher& operator=(const FileWatcher&) = delete;
  ~FileWatcher();

  struct Impl;

 private:
  explicit FileWatcher(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;  // shared with the event that it is handling
};

}  // namespace seam::watch
