#pragma once
// The files that an earlier process left in a journal's directory: finding them, and reading one
// into memory. They are read, not mapped, so that a bad disk is an error and never a SIGBUS.
//
//   SEAM_ASSIGN_OR_RETURN(FoundSegments found, find_segments(directory, acknowledged));
//   SEAM_ASSIGN_OR_RETURN(RecoveredSegment segment, RecoveredSegment::read(directory, name));
//   SegmentReader reader = segment.reader();

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"
#include "journal/segment.h"

namespace seam::journal {

inline constexpr std::size_t kSegmentBytesMax = 1U << 30U;

class RecoveredSegment {
 public:
  // errors    kInternal, kPermissionDenied, …   it cannot be read; the message names the file
  [[nodiscard]] static Result<RecoveredSegment> read(const std::filesystem::path& directory,
                                                     SegmentName name);
  // A reader at the start, with the header checked; borrows from this.
  [[nodiscard]] SegmentReader reader() const;
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  SegmentName name_;
  std::vector<std::uint64_t> words_;  // for their alignment
  std::size_t size_ = 0;
};

struct FoundSegment {
  SegmentName name;
  std::size_t file_bytes = 0;
  std::uint64_t first_sequence = 0;
  std::uint64_t last_sequence = 0;
  std::uint64_t waiting = 0;  // records that are not acknowledged
};

struct FoundSegments {
  std::vector<FoundSegment> segments;
  std::uint64_t damaged = 0;  // of these, and files that cannot be read at all, which stay
};

[[nodiscard]] Result<FoundSegments> find_segments(const std::filesystem::path& directory,
                                                  const std::vector<std::uint64_t>& acknowledged);

}  // namespace seam::journal
