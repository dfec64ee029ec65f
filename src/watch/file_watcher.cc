// Each folder has a watch of its own, since inotify does not look below one. A folder that comes is
// watched first and looked through afterwards, so that no file in it is missed; one that is moved
// away takes its watches with it and loses them here. Where the kernel's queue has overflowed, all
// is looked through again.

#include "watch/file_watcher.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/file_descriptor.h"

namespace seam::watch {

namespace fs = std::filesystem;

namespace {

constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE |
                                  IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |
                                  IN_ONLYDIR | IN_EXCL_UNLINK | IN_DONT_FOLLOW;
constexpr milliseconds kLookAgain{100};  // for a folder that went away

std::unexpected<Error> cannot_watch(const std::string& path, int error_number) {
  if (error_number == ENOSPC || error_number == EMFILE) {
    return fail(
        ErrorCode::kResourceExhausted,
        fmt::format("cannot watch {}: this user's limit of watched folders is reached. "
                    "Raise it (sysctl fs.inotify.{}), or leave folders out by .seamignore",
                    path,
                    error_number == ENOSPC ? "max_user_watches=524288" : "max_user_instances=512"));
  }
  return fail_errno("cannot watch " + path, error_number);
}

}  // namespace

struct FileWatcher::Impl : std::enable_shared_from_this<FileWatcher::Impl> {
  Impl(EventLoop& its_loop, WatchOptions its_options, FileDescriptor its_fd)
      : loop(its_loop),
        options(std::move(its_options)),
        fd(std::move(its_fd)),
        readiness(loop, fd.get()),
        timer(loop) {}

  [[nodiscard]] std::string absolute(const std::string& path) const {
    return path.empty() ? options.folder : options.folder + "/" + path;
  }

  // Watches a folder and those below it. A folder that has gone again is none.
  Result<void> add(const std::string& path) {
    const std::string whole = absolute(path);
    const int watch = ::inotify_add_watch(fd.get(), whole.c_str(), kEvents);
    if (watch < 0) {
      const bool gone = errno == ENOENT || errno == ENOTDIR;
      if (gone && !path.empty()) return {};
      return cannot_watch(whole, errno);
    }
    paths[watch] = path;
    std::error_code error;
    std::vector<std::string> below;
    for (fs::directory_iterator each(whole, error); !error && each != fs::end(each);
         each.increment(error)) {
      std::error_code unknown;
      if (!fs::is_directory(each->symlink_status(unknown))) continue;
      std::string next = path.empty() ? each->path().filename().string()
                                      : path + "/" + each->path().filename().string();
      if (options.wanted(next, true)) below.push_back(std::move(next));
    }
    for (const std::string& next : below) SEAM_RETURN_IF_ERROR(add(next));
    return {};
  }

  void add_later(const std::string& path) {
    if (const Result<void> added = add(path); !added && options.on_problem)
      options.on_problem(added.error());
  }

  // A folder and those below it are elsewhere now.
  void forget(const std::string& path) {
    std::erase_if(paths, [&](const auto& each) {
      const bool within = each.second == path || each.second.starts_with(path + "/");
      if (within) ::inotify_rm_watch(fd.get(), each.first);
      return within;
    });
  }

  void forget_all() {
    for (const auto& [watch, path] : paths) ::inotify_rm_watch(fd.get(), watch);
    paths.clear();
    open_files.clear();
  }

  void wait() {
    readiness.when_readable([self = weak_from_this()] {
      if (const auto impl = self.lock()) impl->read_events();
    });
  }

  void read_events() {
    alignas(inotify_event) std::array<char, 65536> buffer{};
    for (;;) {
      const ssize_t size = ::read(fd.get(), buffer.data(), buffer.size());
      if (size <= 0) break;  // EAGAIN: all is read
      for (const char* at = buffer.data(); at < buffer.data() + size;) {
        const auto* event =
            reinterpret_cast<const inotify_event*>(at);  // NOLINT: as the kernel writes it
        at += sizeof(inotify_event) + event->len;
        take(*event, event->len > 0 ? std::string(event->name) : std::string());
      }
    }
    wait();
  }

  void take(const inotify_event& event, const std::string& name) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      add_later("");
      changed();
      return;
    }
    const auto found = paths.find(event.wd);
    if (found == paths.end()) return;
    const std::string folder = found->second;
    if ((event.mask & IN_IGNORED) != 0) {
      paths.erase(found);
      return;
    }
    if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
      if (folder.empty()) folder_gone();
      return;
    }
    if (name.empty()) return;
    const std::string path = folder.empty() ? name : folder + "/" + name;
    const bool is_folder = (event.mask & IN_ISDIR) != 0;
    if (!options.wanted(path, is_folder)) return;
    if (is_folder) {
      if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0) add_later(path);
      if ((event.mask & IN_MOVED_FROM) != 0) forget(path);
    } else if ((event.mask & IN_MODIFY) != 0) {
      open_files.insert(path);
    } else if ((event.mask & (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE)) != 0) {
      open_files.erase(path);
    }
    changed();
  }

  void changed() {
    const MonotonicTime now = Clock::real().now();
    if (!since) since = now;
    const MonotonicTime quiet_until = now + (open_files.empty() ? options.quiet : options.writing);
    timer.start(Deadline{std::min<MonotonicTime>(quiet_until, *since + options.longest)},
                [self = weak_from_this()] {
                  if (const auto impl = self.lock()) impl->tell();
                });
  }

  void tell() {
    since.reset();
    open_files.clear();
    options.on_change();
  }

  void folder_gone() {
    forget_all();
    if (options.on_problem)
      options.on_problem(Error{ErrorCode::kNotFound, options.folder + " is gone", {}});
    look_again();
  }

  void look_again() {
    timer.start(Deadline::after(kLookAgain), [self = weak_from_this()] {
      const auto impl = self.lock();
      if (!impl) return;
      if (impl->add("")) {
        impl->changed();
      } else {
        impl->look_again();
      }
    });
  }

  EventLoop& loop;
  const WatchOptions options;
  const FileDescriptor fd;
  Readiness readiness;
  Timer timer;
  std::unordered_map<int, std::string> paths;  // by watch
  std::set<std::string> open_files;            // written to and not closed yet
  std::optional<MonotonicTime> since;          // of the first event that is not told yet
};

FileWatcher::FileWatcher(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
FileWatcher::~FileWatcher() = default;

Result<std::unique_ptr<FileWatcher>> FileWatcher::start(EventLoop& loop, WatchOptions options) {
  FileDescriptor fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd) return cannot_watch(options.folder, errno);
  auto impl = std::make_shared<Impl>(loop, std::move(options), std::move(fd));
  SEAM_RETURN_IF_ERROR(impl->add(""));
  impl->wait();
  return std::unique_ptr<FileWatcher>(new FileWatcher(std::move(impl)));
}

}  // namespace seam::watch
