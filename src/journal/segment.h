#pragma once
// One file of a journal: how records lie in it, how it is made, mapped and read. Used by journal.cc
// alone; apart so that the format can be tested and fuzzed by itself.
//
//   SEAM_ASSIGN_OR_RETURN(auto segment, MappedSegment::create(path, {.writer = 0, .number = 1},
//   8 << 20));
//   segment.append(1, "bytes");
//   SegmentReader reader(segment.bytes());
//   while (std::optional<Record> record = reader.next()) { … }
//   if (reader.state() == SegmentReader::State::kDamaged) { … }
//
// Layout, in the machine's byte order (a journal never leaves its machine):
//
//   0    "SEAMJNL1" | u32 writer | u32 number of the file | u64 bytes of the file | u32 CRC-32C of
//        these 24 | zeros; the magic is written last
//   64   records, each at a multiple of 8: u32 length | u32 CRC-32C | u64 sequence | bytes
//        length counts the 16 bytes of this header too, so that it is never 0; the CRC is of the
//        sequence, the length and the bytes
//   end  u32 kEndMark, once the writer has gone on to the next file; until then zeros
//
// The length is written last, with release order: a reader that sees it sees the record, be it a
// thread of this process now or the next process after a kill.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "journal/journal.h"

namespace seam::journal {

inline constexpr std::size_t kSegmentHeaderBytes = 64;
inline constexpr std::size_t kRecordHeaderBytes = 16;
inline constexpr std::size_t kEndBytes = 8;  // kept free for the end mark
inline constexpr std::uint32_t kEndMark = 0xFFFFFFFFU;

struct SegmentName {
  std::uint32_t writer = 0;
  std::uint32_t number = 0;

  friend auto operator<=>(const SegmentName&, const SegmentName&) = default;
};

// "3-12.journal"
[[nodiscard]] std::string format_segment_name(SegmentName name);
// Nothing for a file that is not a segment's.
[[nodiscard]] std::optional<SegmentName> parse_segment_name(std::string_view file_name);

// The most bytes that a record of such a segment can hold.
[[nodiscard]] constexpr std::size_t record_bytes_max(std::size_t segment_bytes) {
  return segment_bytes - kSegmentHeaderBytes - kRecordHeaderBytes - kEndBytes;
}

// Reads a segment from its start. The bytes may be anything at all, and may be appended to by one
// other thread meanwhile; they are borrowed and aligned to 8.
class SegmentReader {
 public:
  enum class State {
    kOpen,     // no more for now
    kEnded,    // the end mark: no more ever
    kDamaged,  // what follows cannot be trusted: no more ever
  };

  explicit SegmentReader(std::span<const char> bytes);

  // Checks that the header is `name`'s. A file without a magic and without a record is a segment
  // that was being made: it reads as kEnded.
  void check_header(SegmentName name);
  // The next record; its `writer` is left 0. Nothing at the end: see state().
  [[nodiscard]] std::optional<Record> next();
  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] std::size_t offset() const { return offset_; }

 private:
  std::span<const char> bytes_;
  std::size_t offset_ = kSegmentHeaderBytes;
  std::uint64_t sequence_ = 0;
  State state_ = State::kOpen;
};

// A new segment, mapped for its writer. Moves; the mapping goes with the object, the file stays.
class MappedSegment {
 public:
  // Makes the file, allocated in full on the disk.
  // errors    kResourceExhausted   no room on the disk, or over a quota or limit; no file is left
  //           kPermissionDenied, kInternal   the message names the file
  [[nodiscard]] static Result<MappedSegment> create(const std::filesystem::path& directory,
                                                    SegmentName name, std::size_t bytes);
  MappedSegment(MappedSegment&& other) noexcept;
  MappedSegment& operator=(MappedSegment&&) = delete;
  ~MappedSegment();

  // The writer's thread only, as append() and end().
  [[nodiscard]] bool fits(std::size_t record_bytes) const;
  // False when it does not fit.
  [[nodiscard]] bool append(std::uint64_t sequence, std::string_view record);
  void end();  // writes the end mark
  // Makes the kernel map every page now, so that no append waits for it.
  void populate();

  [[nodiscard]] std::span<const char> bytes() const { return {data_, size_}; }
  [[nodiscard]] SegmentName name() const { return name_; }

 private:
  MappedSegment(char* data, std::size_t size, SegmentName name)
      : data_(data), size_(size), name_(name) {}

  char* data_;
  std::size_t size_;
  SegmentName name_;
  std::size_t offset_ = kSegmentHeaderBytes;
};

}  // namespace seam::journal
