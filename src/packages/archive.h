#pragma once
// Archives of a function with its dependencies: `.tar.gz`, what `tar czf` writes. Unpacking trusts
// nothing: an archive is refused whole where a part of it is not a plain file, a folder, or a link
// that stays within it. Packing writes the same bytes for the same files, whenever and wherever.
//
//   if (is_archive(content)) {
//     SEAM_ASSIGN_OR_RETURN(const ArchiveSize size, unpack_archive(content, "/data/new", {}));
//   }

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace seam::packages {

// docs/limits.md lists them.
struct ArchiveLimits {
  std::uint64_t bytes_max = 512ULL << 20U;  // of all files, unpacked
  std::uint64_t entries_max = 50'000;       // files, folders and links
  // Unpacked bytes for each packed one, beyond the first kRatioFreeBytes: a bomb is told by it
  // early.
  std::uint64_t ratio_max = 200;

  static constexpr std::uint64_t kRatioFreeBytes = 32ULL << 20U;
  static constexpr std::size_t kPathBytesMax = 1024;
  static constexpr std::size_t kNameBytesMax = 255;
};

// What was unpacked: folders count as entries, links and folders as no bytes.
struct ArchiveSize {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const ArchiveSize&, const ArchiveSize&) = default;
};

// Whether content is gzip data, which no source text and no WebAssembly module begins like.
// source    RFC 1952, section 2.3.1.
[[nodiscard]] bool is_archive(std::string_view content);

// Unpacks into `folder`, an empty one that exists. Files get mode 0644, or 0755 where their owner
// may execute them, and folders 0755. Blocks. Any thread.
// errors    kInvalidArgument     damaged, or with a path, a link or a kind of file that is not
// taken;
//                                the message names the entry. What was unpacked is still there
//           kResourceExhausted   beyond `limits`
//           else                 the disk's
[[nodiscard]] Result<ArchiveSize> unpack_archive(std::string_view packed, const std::string& folder,
                                                 const ArchiveLimits& limits);

// Counts what lies in `folder` as unpack_archive() does, without following links. Blocks.
[[nodiscard]] Result<ArchiveSize> measure_folder(const std::string& folder);

// A file or a link to pack.
struct ArchiveFile {
  std::string path;  // in the archive: "lib/index.js"
  std::string from;  // on disk
};

// A `.tar.gz` of them in the order of their paths, without times and owners: the same files make
// the same bytes. A link is kept as a link. Blocks.
// errors    kResourceExhausted   more than `bytes_max` when packed
//           else                 a file that cannot be read, by name
[[nodiscard]] Result<std::string> pack_archive(std::vector<ArchiveFile> files,
                                               std::uint64_t bytes_max);

// Nothing where an entry of an archive may have this path, or what is wrong with it: for names from
// outside. `path` is without "./" in front and "/" at its end.
[[nodiscard]] std::string_view problem_of_path(std::string_view path);

}  // namespace seam::packages
