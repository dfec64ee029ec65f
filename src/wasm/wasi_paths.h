#pragma once
// Paths that guests give, resolved beneath a directory and never outside it: not by an absolute
// path, not by `..`, not by a symbolic link, not by a link or directory that is exchanged
// meanwhile.
//
//   SEAM_… found = open_beneath(walk, directory, "a/../b", O_PATH | O_CLOEXEC);   // a descriptor
//   if (!found) return wasi_errno_of(found.error());                              // or an errno
//
// What would lead outside is EXDEV here, as the kernel says it, and ENOTCAPABLE to a guest.

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <span>
#include <string_view>

#include "base/file_descriptor.h"

namespace seam::wasm {

enum class WasiPathWalk : std::uint8_t {
  kKernel,  // openat2 with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS; Linux 5.6
  kSteps,   // a component at a time, none of them followed by the kernel: works everywhere
};

// kKernel where the kernel has openat2 and lets us call it. Asked once a process.
[[nodiscard]] WasiPathWalk wasi_path_walk_of_host();

// openat() beneath `directory`. O_CLOEXEC, O_NOCTTY and O_NONBLOCK are always added.
// errors    a number of <errno.h>: EXDEV for what would lead outside, ELOOP for more than 40
//           symbolic links (or one at the end, with O_NOFOLLOW), else as openat()'s
[[nodiscard]] std::expected<FileDescriptor, int> open_beneath(WasiPathWalk walk, int directory,
                                                              const char* path, int flags,
                                                              mode_t mode = 0);

// The directory that a path's last component stands in, and that component: for what makes,
// removes or renames an entry, where the kernel does not follow it.
struct WasiEntry {
  FileDescriptor opened;  // none if it stands in the directory itself
  int directory = -1;     // borrowed from `opened` or from the caller
  // With the slashes that end the path; lies in the path that was split. Never "..", and never a
  // path of several components: it is safe in unlinkat() and its like.
  const char* name = nullptr;
};

// Splits `path`, which is changed. `dotdot_error` is what the caller's operation makes of a path
// that ends in "..", once that is known to exist beneath.
// errors    as open_beneath()'s; `dotdot_error`
[[nodiscard]] std::expected<WasiEntry, int> entry_beneath(WasiPathWalk walk, int directory,
                                                          char* path, int dotdot_error);

}  // namespace seam::wasm
