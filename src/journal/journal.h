#pragma once
// The journal: a durable queue of records between the threads that answer calls and the one that
// writes tables. Appending is a copy into a memory-mapped file, so what was appended survives the
// process at once (a power loss may cost the last second). Each thread has a journal of its own;
// records carry a sequence number and are handed out in order, each until acknowledged.
//
//   SEAM_ASSIGN_OR_RETURN(auto journals, Journals::open({.directory = data / "journal",
//                                                        .writers = 2}, acknowledged));
//   Result<std::uint64_t> sequence = journals->writer(0).append(record);  // the writer's thread
//   journals->drain(2048, [&](const std::vector<Record>& batch) {         // the drain thread
//     … one transaction …
//     return committed;
//   });
//
// On disk: files `<writer>-<n>.journal` of segment_bytes, allocated in full when made, so that a
// full disk is an error of append() and never a SIGBUS; segment.h has their layout. A damaged
// record ends what is read of its file, is counted, and never stops the start. `journal.lock` keeps
// a second process out of the directory.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace seam::journal {

struct JournalOptions {
  std::filesystem::path directory;  // made with mode 0700 if it is not there
  std::size_t writers = 1;
  std::size_t segment_bytes = 8U << 20U;      // a multiple of 8, 4 KiB to 1 GiB
  std::size_t total_bytes_max = 256U << 20U;  // of all segments; append() is refused above it
};

struct Record {
  std::uint32_t writer = 0;
  std::uint64_t sequence = 0;  // from 1, without gaps within a writer, also over restarts
  std::string_view bytes;      // valid during the drain callback
};

struct JournalStats {
  std::uint64_t waiting = 0;           // appended and not yet acknowledged
  std::uint64_t damaged_segments = 0;  // files that could not be read to their end
};

// Appends; used by one thread at a time.
class Writer {
 public:
  virtual ~Writer() = default;
  // The record's sequence number.
  // errors    kResourceExhausted   the journal is full or the disk is: nothing was written, try
  // again when it has been drained
  //           kInvalidArgument     larger than a segment holds
  virtual Result<std::uint64_t> append(std::string_view bytes) = 0;
  // Makes sure that the next append of at most `bytes` will find room, so that work whose record
  // could not be kept is not begun.
  // errors    as append()
  virtual Result<void> reserve(std::size_t bytes) = 0;
};

class Journals {
 public:
  // Finds what an earlier process left and hands it out first. `acknowledged[w]` is the last
  // sequence number of writer w whose record is in the tables, so that none is handed out twice;
  // writers of an earlier, larger configuration are drained too.
  // errors    kFailedPrecondition   another process uses the directory; the message names both
  //           kPermissionDenied     the directory is another user's or cannot be written
  //           kResourceExhausted    no room for the first segments
  //           kInvalidArgument      options out of range
  //           kInternal             anything else; the message names the file
  [[nodiscard]] static Result<std::unique_ptr<Journals>> open(
      const JournalOptions& options, const std::vector<std::uint64_t>& acknowledged);
  // Not before the writers' threads and drain() are done. Leaves no file behind that holds no
  // waiting record.
  virtual ~Journals() = default;

  [[nodiscard]] virtual Writer& writer(std::size_t index) = 0;

  // Gives up to `records_max` waiting records, oldest first within each writer, to `consume`;
  // forgets them if it returns true and gives them again next time if not. Returns how many were
  // consumed. One thread at a time, beside the writers.
  virtual std::size_t drain(std::size_t records_max,
                            const std::function<bool(const std::vector<Record>&)>& consume) = 0;

  [[nodiscard]] virtual JournalStats stats() const = 0;  // any thread
};

}  // namespace seam::journal
