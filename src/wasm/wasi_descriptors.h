#pragma once
// What the descriptors of one guest stand for: the standard streams, the directories that it was
// given, and what it has opened beneath those. Part of a WasiState (wasm/wasi.h).
//
//   SEAM_ASSIGN_OR_RETURN(const WasiDirectory data, parse_wasi_directory("./data::/data::ro"));
//   SEAM_RETURN_IF_ERROR(state.descriptors.give(data));
//
// A descriptor has rights, as preview 1 defines them: `base` for itself, `inheriting` for what is
// opened by way of it. A guest can drop rights and never gain any.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "wasm/wasi_abi.h"
#include "wasm/wasi_paths.h"

namespace seam::wasm {

// A directory of the host's for a guest, as configuration names it.
struct WasiDirectory {
  std::string host_path;
  std::string guest_path;  // what the guest calls it: "/data", "."
  bool writable = false;   // else nothing beneath it can be made, changed, linked or removed

  friend bool operator==(const WasiDirectory&, const WasiDirectory&) = default;
};

// "HOST" (the guest calls it the same), "HOST::GUEST", either with "::ro" at its end for read-only;
// writable without.
// errors    kInvalidArgument   an empty path, or a third part that is not `ro`
[[nodiscard]] Result<WasiDirectory> parse_wasi_directory(std::string_view text);

struct WasiDescriptor {
  enum class Kind : std::uint8_t { kClosed, kStdin, kStdout, kStderr, kFile, kDirectory };

  Kind kind = Kind::kClosed;
  std::uint16_t flags = 0;  // fdflags
  WasiRights base = 0;
  WasiRights inheriting = 0;
  FileDescriptor host;     // of a file or directory
  std::string guest_path;  // of a directory that was given; else empty

  [[nodiscard]] bool is_stream() const { return kind >= Kind::kStdin && kind <= Kind::kStderr; }
};

// Used by the thread that runs the guest. Costs no allocation until there is a fourth descriptor.
class WasiDescriptors {
 public:
  // How many a guest may have open at once, the streams among them; more are refused with EMFILE.
  std::size_t count_max = 128;
  // How paths are resolved beneath their directory.
  WasiPathWalk path_walk = wasi_path_walk_of_host();

  WasiDescriptors();

  // Gives the guest `directory`, under the number 3 if it is the first. Before the guest begins:
  // its C library asks once. errors    kNotFound, kPermissionDenied, kInternal   as the host says;
  // the message names both
  //                                paths
  //           kInvalidArgument     not a directory, or one of the paths is empty or holds a NUL
  //           kResourceExhausted   count_max are open
  [[nodiscard]] Result<> give(const WasiDirectory& directory);

  // An open one, or nothing. Dies with the next give(), open() or close().
  [[nodiscard]] WasiDescriptor* find(std::uint32_t number);
  [[nodiscard]] const WasiDescriptor* find(std::uint32_t number) const;

  [[nodiscard]] bool is_full() const { return count_ >= count_max; }
  // Takes the lowest free number from 3 on: what a guest opens never stands for a stream that it
  // closed. Not when is_full().
  [[nodiscard]] std::uint32_t open(WasiDescriptor descriptor);
  void close(std::uint32_t number);
  // Puts what `from` is at `to`, which is closed first. Both are open.
  void renumber(std::uint32_t from, std::uint32_t to);

 private:
  WasiDescriptor& slot(std::uint32_t number);

  std::array<WasiDescriptor, 3> first_;
  std::vector<WasiDescriptor> rest_;  // from number 3 on
  std::size_t count_ = 3;
};

}  // namespace seam::wasm
