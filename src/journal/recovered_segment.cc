#include "journal/recovered_segment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file_descriptor.h"
#include "base/log.h"

namespace seam::journal {

Result<RecoveredSegment> RecoveredSegment::read(const std::filesystem::path& directory,
                                                SegmentName name) {
  const std::filesystem::path path = directory / format_segment_name(name);
  // Without O_NONBLOCK a pipe of that name would hold up the start for good.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno(path.string(), errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return fail_errno(path.string(), errno);
  if (!S_ISREG(status.st_mode) || status.st_size > static_cast<off_t>(kSegmentBytesMax)) {
    return fail(ErrorCode::kInternal, fmt::format("{} is not a journal file", path.string()));
  }
  RecoveredSegment segment;
  segment.name_ = name;
  segment.size_ = static_cast<std::size_t>(status.st_size);
  segment.words_.resize((segment.size_ + 7) / 8);
  std::size_t done = 0;
  while (done < segment.size_) {
    const ssize_t count = ::pread(file.get(), reinterpret_cast<char*>(segment.words_.data()) + done,
                                  segment.size_ - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(path.string(), errno);
    if (count == 0) break;  // it shrank; the rest reads as zeros
    done += static_cast<std::size_t>(count);
  }
  return segment;
}

SegmentReader RecoveredSegment::reader() const {
  SegmentReader reader({reinterpret_cast<const char*>(words_.data()), size_});
  reader.check_header(name_);
  return reader;
}

Result<FoundSegments> find_segments(const std::filesystem::path& directory,
                                    const std::vector<std::uint64_t>& acknowledged) {
  FoundSegments found;
  std::error_code error;
  std::filesystem::directory_iterator entries(directory, error);
  if (error) return fail_errno(directory.string(), error.value());
  for (const auto& entry : entries) {
    const std::optional<SegmentName> name = parse_segment_name(entry.path().filename().native());
    if (!name.has_value()) continue;
    Result<RecoveredSegment> bytes = RecoveredSegment::read(directory, *name);
    if (!bytes.has_value()) {
      ++found.damaged;
      log_error("journal: {}; it is left as it is", bytes.error().message);
      continue;
    }
    FoundSegment segment;
    segment.name = *name;
    segment.file_bytes = bytes->size();
    const std::uint64_t done = name->writer < acknowledged.size() ? acknowledged[name->writer] : 0;
    SegmentReader reader = bytes->reader();
    while (const std::optional<Record> record = reader.next()) {
      if (segment.first_sequence == 0) segment.first_sequence = record->sequence;
      segment.last_sequence = record->sequence;
      if (record->sequence > done) ++segment.waiting;
    }
    if (reader.state() == SegmentReader::State::kDamaged) {
      ++found.damaged;
      log_warning("journal: {} is damaged after byte {} of {}; what came before it is kept",
                  entry.path().string(), reader.offset(), bytes->size());
    }
    found.segments.push_back(segment);
  }
  return found;
}

}  // namespace seam::journal
