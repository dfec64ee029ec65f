// The order is what makes this safe and free of name clashes. First every source is opened as a
// detached copy of its mount (open_tree with OPEN_TREE_CLONE) while the old root is still there,
// and made read-only, nosuid and nodev in one step with all that is mounted below it. Then a tmpfs
// goes over /usr, a place that every machine has, and becomes the root by pivot_root(".", "."),
// which puts the old root on top of the same place, to be detached at once. The copies are then
// moved in. So a source may lie anywhere, /tmp and /usr included, and links on its way mean what
// they mean outside.

#include "process/mount_view.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <optional>

#include "base/file_descriptor.h"

// After <linux/mount.h>, which declares the same constants as macros.
#include <sys/mount.h>

namespace seam::process {

namespace {

constexpr off_t kCopyBytesMax = 512 << 10;
constexpr unsigned kTmpInodesMax = 4096;  // each takes about a kilobyte of kernel memory

// A mount that is not attached yet, and where it will be.
struct Detached {
  FileDescriptor mount;
  std::string target;
  bool directory = true;
  // Of a file that was replaced outside since a zygote's root was made, as every installation of a
  // library replaces /etc/ld.so.cache: it goes on under its mount, but what has no name any more
  // cannot be attached again (ENOENT), so that this is written instead.
  std::optional<std::string> copy = {};
};

// Nothing beyond what the new root has room for: libraries are then found in the usual folders.
std::string read_copy(const std::string& source, off_t size) {
  const FileDescriptor file(::open(source.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || size > kCopyBytesMax) return {};
  std::string text(static_cast<std::size_t>(size), '\0');
  if (::read(file.get(), text.data(), text.size()) != size) text.clear();
  return text;
}

enum class Access { kReadOnly, kDevice };

std::expected<Detached, SandboxFailure> detach(const std::string& source, std::string target,
                                               Access access) {
  Detached detached{FileDescriptor(static_cast<int>(
                        ::syscall(SYS_open_tree, AT_FDCWD, source.c_str(),
                                  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE))),
                    std::move(target)};
  if (!detached.mount) return failure("bind " + source);
  struct stat status{};
  if (::fstatat(detached.mount.get(), "", &status, AT_EMPTY_PATH) != 0)
    return failure("stat " + source);
  detached.directory = S_ISDIR(status.st_mode);
  if (S_ISREG(status.st_mode) && status.st_nlink == 0)
    detached.copy = read_copy(source, status.st_size);
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID;
  if (access == Access::kReadOnly) attributes.attr_set |= MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV;
  if (access == Access::kDevice) attributes.attr_set |= MOUNT_ATTR_NOEXEC;
  if (::syscall(SYS_mount_setattr, detached.mount.get(), "", AT_EMPTY_PATH | AT_RECURSIVE,
                &attributes, sizeof attributes) != 0)
    return failure("make read-only " + source);
  return detached;
}

// Makes the directories above the last component of `path`, which is absolute, and the last one as
// a directory or an empty file.
SandboxResult make_mount_point(const std::string& path, bool directory) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const std::string above = path.substr(0, slash);
    if (::mkdir(above.c_str(), 0755) != 0 && errno != EEXIST) return failure("mkdir " + above);
  }
  if (directory) {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return failure("mkdir " + path);
    return {};
  }
  const FileDescriptor file(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  if (!file && errno != EEXIST) return failure("create " + path);
  return {};
}

SandboxResult write_file(const char* path, const std::string& text) {
  const FileDescriptor file(::open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return failure(std::string("write ") + path);
  return {};
}

SandboxResult attach(const Detached& detached) {
  if (SandboxResult made = make_mount_point(detached.target, detached.directory); !made)
    return made;
  if (detached.copy) return write_file(detached.target.c_str(), *detached.copy);
  if (::syscall(SYS_move_mount, detached.mount.get(), "", AT_FDCWD, detached.target.c_str(),
                MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return failure("attach " + detached.target);
  return {};
}

struct Link {
  std::string path;
  std::string points_to;
};

// What of the old root is seen in the new one.
struct Kept {
  std::vector<Detached> mounts;
  std::vector<Link> links;
};

// /lib and its like are links into /usr on most machines and directories on some.
SandboxResult keep_system(Kept& kept) {
  for (const char* path : {"/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/etc/localtime",
                           "/usr", "/etc/ld.so.cache"}) {
    std::array<char, PATH_MAX> points_to{};
    const ssize_t size = ::readlink(path, points_to.data(), points_to.size());
    if (size >= 0) {
      kept.links.push_back({path, {points_to.data(), static_cast<std::size_t>(size)}});
      continue;
    }
    if (errno == ENOENT) continue;
    auto mount = detach(path, path, Access::kReadOnly);
    if (!mount) return std::unexpected(std::move(mount).error());
    kept.mounts.push_back(std::move(*mount));
  }
  return {};
}

SandboxResult keep_devices(Kept& kept, bool zero_device) {
  for (const char* path : {"/dev/null", "/dev/urandom", "/dev/random", "/dev/zero"}) {
    if (!zero_device && std::string_view(path) == "/dev/zero") continue;
    auto mount = detach(path, path, Access::kDevice);
    if (!mount) return std::unexpected(std::move(mount).error());
    kept.mounts.push_back(std::move(*mount));
  }
  return {};
}

SandboxResult keep_outer_proc(Kept& kept) {
  Detached proc{
      FileDescriptor(static_cast<int>(::syscall(
          SYS_open_tree, AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE))),
      "/proc", true};
  if (!proc.mount) return failure("bind /proc");
  kept.mounts.push_back(std::move(proc));
  return {};
}

SandboxResult enter_empty_root() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return failure("make mounts private");
  if (::mount("seam-root", "/usr", "tmpfs", MS_NOSUID | MS_NODEV,
              "size=1m,nr_inodes=512,mode=755") != 0)
    return failure("mount the root");
  if (::chdir("/usr") != 0) return failure("enter the root");
  if (::syscall(SYS_pivot_root, ".", ".") != 0) return failure("pivot_root");
  if (::umount2(".", MNT_DETACH) != 0) return failure("detach the old root");
  if (::chdir("/") != 0) return failure("enter the root");
  return {};
}

SandboxResult mount_own_proc() {
  if (::mkdir("/proc", 0555) != 0) return failure("mkdir /proc");
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount("proc", "/proc", "proc", flags, "hidepid=invisible,subset=pid") == 0) return {};
  // A kernel before 5.8 does not know the words. A container whose own /proc is partly covered lets
  // nobody mount a whole one: the worker then goes without.
  if (errno == EINVAL && ::mount("proc", "/proc", "proc", flags, "hidepid=2") == 0) return {};
  return errno == EPERM ? SandboxResult() : failure("mount /proc");
}

SandboxResult write_etc(std::uint32_t uid) {
  if (::mkdir("/etc", 0755) != 0 && errno != EEXIST) return failure("mkdir /etc");
  const std::string id = std::to_string(uid);
  if (SandboxResult written = write_file("/etc/passwd", "worker:x:" + id + ":" + id + "::/tmp:/\n");
      !written)
    return written;
  return write_file("/etc/group", "worker:x:" + id + ":\n");
}

}  // namespace

SandboxResult build_mount_view(const MountView& view) {
  Kept kept;
  if (SandboxResult done = keep_system(kept); !done) return done;
  if (SandboxResult done = keep_devices(kept, view.zero_device); !done) return done;
  for (const SandboxBind& bind : view.binds) {
    auto mount = detach(bind.source, bind.target, Access::kReadOnly);
    if (!mount) return std::unexpected(std::move(mount).error());
    kept.mounts.push_back(std::move(*mount));
  }
  if (view.proc == MountView::Proc::kOuter) {
    if (SandboxResult done = keep_outer_proc(kept); !done) return done;
  }

  if (SandboxResult done = enter_empty_root(); !done) return done;

  for (const Detached& mount : kept.mounts) {
    if (SandboxResult done = attach(mount); !done) return done;
  }
  if (SandboxResult done = write_etc(view.uid); !done) return done;
  for (const Link& link : kept.links) {
    if (::symlink(link.points_to.c_str(), link.path.c_str()) != 0)
      return failure("link " + link.path);
  }
  if (::symlink("/proc/self/fd", "/dev/fd") != 0) return failure("link /dev/fd");
  if (view.proc == MountView::Proc::kOwn) {
    if (SandboxResult done = mount_own_proc(); !done) return done;
  }

  if (::mkdir("/tmp", 0755) != 0) return failure("mkdir /tmp");
  const std::string options = "size=" + std::to_string(view.tmp_bytes) +
                              ",nr_inodes=" + std::to_string(kTmpInodesMax) + ",mode=1777";
  if (::mount("seam-tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options.c_str()) != 0)
    return failure("mount /tmp");
  if (::mount(nullptr, "/", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
              nullptr) != 0)
    return failure("make the root read-only");
  if (::chdir("/tmp") != 0) return failure("enter /tmp");
  return {};
}

}  // namespace seam::process
