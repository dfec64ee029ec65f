#include "journal/segment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/file_descriptor.h"
#include "journal/crc32c.h"

namespace seam::journal {
namespace {

constexpr std::string_view kMagic = "SEAMJNL1";
constexpr std::size_t kHeaderChecked = 24;

constexpr std::size_t padded(std::size_t bytes) { return (bytes + 7) & ~std::size_t{7}; }

template <class T>
T read_at(std::span<const char> bytes, std::size_t offset) {
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

std::uint32_t record_crc(std::uint64_t sequence, std::uint32_t length, std::string_view bytes) {
  char head[12];
  std::memcpy(head, &sequence, 8);
  std::memcpy(head + 8, &length, 4);
  return crc32c(bytes, crc32c({head, sizeof(head)}));
}

// The length of the record at `place`, which another thread may be writing.
std::uint32_t load_length(const char* place) {
  // atomic_ref wants a mutable object; a load does not write.
  auto* length = reinterpret_cast<std::uint32_t*>(const_cast<char*>(place));
  return std::atomic_ref<std::uint32_t>(*length).load(std::memory_order_acquire);
}
void store_length(char* place, std::uint32_t length) {
  std::atomic_ref<std::uint32_t>(*reinterpret_cast<std::uint32_t*>(place))
      .store(length, std::memory_order_release);
}

std::unexpected<Error> fail_disk(const std::filesystem::path& path, int error_number) {
  if (error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG) {
    return fail(ErrorCode::kResourceExhausted,
                fmt::format("no room for the journal file {}: {}", path.string(),
                            std::strerror(error_number)));
  }
  return fail_errno(path.string(), error_number);
}

}  // namespace

std::string format_segment_name(SegmentName name) {
  return fmt::format("{}-{}.journal", name.writer, name.number);
}

std::optional<SegmentName> parse_segment_name(std::string_view file_name) {
  SegmentName name;
  const char* const end = file_name.data() + file_name.size();
  const auto writer = std::from_chars(file_name.data(), end, name.writer);
  if (writer.ec != std::errc() || writer.ptr == end || *writer.ptr != '-') return std::nullopt;
  const auto number = std::from_chars(writer.ptr + 1, end, name.number);
  if (number.ec != std::errc()) return std::nullopt;
  // Only the one spelling, so that no two files are one segment.
  if (format_segment_name(name) != file_name) return std::nullopt;
  return name;
}

SegmentReader::SegmentReader(std::span<const char> bytes) : bytes_(bytes) {
  CHECK(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 == 0);
  if (bytes_.size() < kSegmentHeaderBytes) {
    state_ = bytes_.empty() ? State::kEnded : State::kDamaged;
  }
}

void SegmentReader::check_header(SegmentName name) {
  if (state_ != State::kOpen) return;
  const std::span<const char> header = bytes_.first(kSegmentHeaderBytes);
  if (read_at<std::uint64_t>(header, 0) == 0) {
    // The header's writer was killed before its last step. Until then a segment holds no record; if
    // it does, the header was lost.
    const bool empty = bytes_.size() < kSegmentHeaderBytes + 4 ||
                       load_length(bytes_.data() + kSegmentHeaderBytes) == 0;
    state_ = empty ? State::kEnded : State::kDamaged;
    return;
  }
  const bool good =
      std::string_view(header.data(), kMagic.size()) == kMagic &&
      read_at<std::uint32_t>(header, 8) == name.writer &&
      read_at<std::uint32_t>(header, 12) == name.number &&
      read_at<std::uint64_t>(header, 16) == bytes_.size() &&
      read_at<std::uint32_t>(header, kHeaderChecked) == crc32c({header.data(), kHeaderChecked});
  if (!good) state_ = State::kDamaged;
}

std::optional<Record> SegmentReader::next() {
  if (state_ != State::kOpen) return std::nullopt;
  if (bytes_.size() - offset_ < kEndBytes) {
    state_ = State::kDamaged;  // a whole segment always has its end mark
    return std::nullopt;
  }
  const char* const place = bytes_.data() + offset_;
  const std::uint32_t length = load_length(place);
  if (length == 0) return std::nullopt;
  if (length == kEndMark) {
    state_ = State::kEnded;
    return std::nullopt;
  }
  if (length < kRecordHeaderBytes || length > bytes_.size() - offset_ - kEndBytes) {
    state_ = State::kDamaged;
    return std::nullopt;
  }
  Record record;
  record.sequence = read_at<std::uint64_t>(bytes_, offset_ + 8);
  record.bytes = {place + kRecordHeaderBytes, length - kRecordHeaderBytes};
  const bool good =
      record.sequence > sequence_ && read_at<std::uint32_t>(bytes_, offset_ + 4) ==
                                         record_crc(record.sequence, length, record.bytes);
  if (!good) {
    state_ = State::kDamaged;
    return std::nullopt;
  }
  sequence_ = record.sequence;
  offset_ += padded(length);
  return record;
}

Result<MappedSegment> MappedSegment::create(const std::filesystem::path& directory,
                                            SegmentName name, std::size_t bytes) {
  const std::filesystem::path path = directory / format_segment_name(name);
  const FileDescriptor file(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail_disk(path, errno);
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes));
  if (error != 0) {
    ::unlink(path.c_str());
    return fail_disk(path, error);
  }
  void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (mapped == MAP_FAILED) {
    const int map_error = errno;
    ::unlink(path.c_str());
    return fail_disk(path, map_error);
  }
  auto* const data = static_cast<char*>(mapped);
  const auto size = static_cast<std::uint64_t>(bytes);
  std::memcpy(data + 8, &name.writer, 4);
  std::memcpy(data + 12, &name.number, 4);
  std::memcpy(data + 16, &size, 8);
  // The magic comes last and at once: a process killed before it leaves an unfinished header, which
  // is no damage, and no reader takes a half of it for one.
  char checked[kHeaderChecked];
  std::memcpy(checked, data, kHeaderChecked);
  std::memcpy(checked, kMagic.data(), kMagic.size());
  const std::uint32_t crc = crc32c({checked, kHeaderChecked});
  std::memcpy(data + kHeaderChecked, &crc, 4);
  std::uint64_t magic = 0;
  std::memcpy(&magic, kMagic.data(), sizeof(magic));
  std::atomic_ref<std::uint64_t>(*reinterpret_cast<std::uint64_t*>(data))
      .store(magic, std::memory_order_release);
  return MappedSegment(data, bytes, name);
}

MappedSegment::MappedSegment(MappedSegment&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(other.size_),
      name_(other.name_),
      offset_(other.offset_) {}

MappedSegment::~MappedSegment() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

bool MappedSegment::fits(std::size_t record_bytes) const {
  const std::size_t whole = kRecordHeaderBytes + record_bytes;
  return whole <= size_ - kEndBytes - offset_ && padded(whole) <= size_ - kEndBytes - offset_;
}

bool MappedSegment::append(std::uint64_t sequence, std::string_view record) {
  if (!fits(record.size())) return false;
  const std::size_t whole = kRecordHeaderBytes + record.size();
  const auto length = static_cast<std::uint32_t>(whole);
  char* const place = data_ + offset_;
  if (!record.empty()) std::memcpy(place + kRecordHeaderBytes, record.data(), record.size());
  std::memcpy(place + 8, &sequence, 8);
  const std::uint32_t crc = record_crc(sequence, length, record);
  std::memcpy(place + 4, &crc, 4);
  store_length(place, length);
  offset_ += padded(whole);
  return true;
}

void MappedSegment::end() { store_length(data_ + offset_, kEndMark); }

void MappedSegment::populate() {
#ifdef MADV_POPULATE_WRITE
  // A kernel before 5.14 refuses; pages then come one by one, as they are written.
  (void)::madvise(data_, size_, MADV_POPULATE_WRITE);
#endif
}

}  // namespace seam::journal
