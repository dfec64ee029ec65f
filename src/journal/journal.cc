#include "journal/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <deque>
#include <map>
#include <mutex>

#include "base/check.h"
#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/log.h"
#include "journal/recovered_segment.h"
#include "journal/segment.h"

namespace seam::journal {
namespace {

constexpr std::size_t kSegmentBytesMin = 4U << 10U;
// After the disk refused a new file, how long appends are refused without asking it again.
constexpr milliseconds kDiskRetry{100};

// Takes the directory for this process until the descriptor is closed.
Result<FileDescriptor> lock_directory(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / "journal.lock";
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return fail_errno(path.string(), errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno(path.string(), errno);
    char text[32] = {};
    const ssize_t count = ::pread(file.get(), text, sizeof(text) - 1, 0);
    std::string_view holder(text, count > 0 ? static_cast<std::size_t>(count) : 0);
    holder = holder.substr(0, holder.find('\n'));
    return fail(ErrorCode::kFailedPrecondition,
                fmt::format("{} is in use by process {}: end it, or choose another data directory",
                            directory.string(), holder.empty() ? "unknown" : holder));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(file.get(), 0) != 0 ||
      ::pwrite(file.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    // The lock holds without it; only the other's message would be poorer.
    log_warning("cannot write the process id into {}", path.string());
  }
  return file;
}

Result<void> prepare_directory(const std::filesystem::path& directory) {
  std::error_code error;
  if (directory.has_parent_path())
    std::filesystem::create_directories(directory.parent_path(), error);
  if (error) return fail_errno(directory.parent_path().string(), error.value());
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(directory.string(), errno);
  }
  struct stat status{};
  if (::stat(directory.c_str(), &status) != 0) return fail_errno(directory.string(), errno);
  if (!S_ISDIR(status.st_mode)) return fail_errno(directory.string(), ENOTDIR);
  if (status.st_uid != ::geteuid()) {
    return fail(ErrorCode::kPermissionDenied,
                fmt::format("{} belongs to user {}, but this process runs as user {}: change its "
                            "owner, or choose another data directory",
                            directory.string(), status.st_uid, ::geteuid()));
  }
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) != 0) {
    return fail_errno(directory.string(), errno);
  }
  return {};
}

// What all writers share. Any thread.
struct Shared {
  JournalOptions options;
  std::atomic<std::size_t> total_bytes{0};  // of all files
  std::atomic<std::uint64_t> removals{0};   // of files; room may be there again
  std::atomic<std::uint64_t> damaged{0};

  Result<MappedSegment> create(SegmentName name) {
    if (total_bytes.fetch_add(options.segment_bytes) + options.segment_bytes >
        options.total_bytes_max) {
      total_bytes.fetch_sub(options.segment_bytes);
      return fail(ErrorCode::kResourceExhausted,
                  fmt::format("the journal in {} is full: its limit is {} bytes",
                              options.directory.string(), options.total_bytes_max));
    }
    Result<MappedSegment> segment =
        MappedSegment::create(options.directory, name, options.segment_bytes);
    if (!segment.has_value()) total_bytes.fetch_sub(options.segment_bytes);
    return segment;
  }
  void remove(SegmentName name, std::size_t bytes) {
    const std::filesystem::path path = options.directory / format_segment_name(name);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      log_warning("cannot remove {}: error {}", path.string(), errno);
    }
    total_bytes.fetch_sub(bytes);
    removals.fetch_add(1);
  }
};

// One file as the drain sees it: left by an earlier process, or being written by this one.
struct Segment {
  SegmentName name;
  std::size_t file_bytes = 0;
  std::unique_ptr<MappedSegment> live;        // null for one that was found
  std::optional<RecoveredSegment> recovered;  // its bytes, once they are needed
  std::optional<SegmentReader> reader;        // stands after what was acknowledged
  std::optional<SegmentReader> ahead;         // stands after what was handed out
  bool unreadable = false;                    // its file stays, for a person to look at
};

// A writer and the files it wrote. The writer's thread appends; the drain's thread does the rest.
class WriterImpl final : public Writer {
 public:
  WriterImpl(Shared& shared, std::uint32_t index) : shared_(shared), index_(index) {}
  ~WriterImpl() override { close(); }

  Result<std::uint64_t> append(std::string_view bytes) override {
    if (bytes.size() > record_bytes_max(shared_.options.segment_bytes)) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("a record of {} bytes is larger than a journal segment holds ({})",
                              bytes.size(), record_bytes_max(shared_.options.segment_bytes)));
    }
    const std::uint64_t sequence = next_sequence_;
    if (current_ == nullptr || !current_->append(sequence, bytes)) {
      SEAM_RETURN_IF_ERROR(next_segment());
      CHECK(current_->append(sequence, bytes));
    }
    ++next_sequence_;
    appended_.store(++appcounts_, std::memory_order_relaxed);
    return sequence;
  }

  Result<void> reserve(std::size_t bytes) override {
    if (bytes > record_bytes_max(shared_.options.segment_bytes)) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} bytes are more than a journal segment holds ({})", bytes,
                              record_bytes_max(shared_.options.segment_bytes)));
    }
    if (current_ != nullptr && current_->fits(bytes)) return {};
    return next_segment();
  }

  // The rest is for the drain's thread, or before the threads start.

  void add_found(Segment segment) { segments_.push_back(std::move(segment)); }
  void set_acknowledged(std::uint64_t sequence) { acknowledged_ = sequence; }
  void set_next_sequence(std::uint64_t sequence) { next_sequence_ = sequence; }
  void set_next_number(std::uint32_t number) { next_number_ = number; }

  Result<void> prepare_spare() {
    if (spare_.load(std::memory_order_relaxed) != nullptr) return {};
    SEAM_ASSIGN_OR_RETURN(MappedSegment segment, shared_.create(new_name()));
    segment.populate();
    // Only this thread sets it to other than null.
    spare_.store(new MappedSegment(std::move(segment)), std::memory_order_release);
    return {};
  }

  // Appends waiting records to `out` until it holds `records_max`.
  void peek(std::size_t records_max, std::vector<Record>& out) {
    take_incoming();
    for (Segment& segment : segments_) {
      if (!open_reader(segment)) continue;
      segment.ahead = segment.reader;
      while (out.size() < records_max) {
        std::optional<Record> record = segment.ahead->next();
        if (!record.has_value()) break;
        record->writer = index_;
        if (record->sequence > acknowledged_) out.push_back(*record);
      }
      if (out.size() >= records_max) return;
    }
  }

  // Forgets what peek() handed out.
  void acknowledge(std::uint64_t last_sequence, std::size_t records) {
    acknowledged_ = std::max(acknowledged_, last_sequence);
    consumed_.fetch_add(records, std::memory_order_relaxed);
  }
  // Removes files that are read to their end; after peek(), if its records were acknowledged.
  void advance() {
    for (Segment& segment : segments_) {
      if (segment.ahead.has_value()) segment.reader = segment.ahead;
      segment.ahead.reset();
    }
    std::erase_if(segments_, [](const Segment& segment) { return segment.unreadable; });
    while (!segments_.empty() && finished(segments_.front())) {
      remove_front();
    }
    // Half of the last file is used: have the next one ready before the writer needs it, unless
    // that would take room which another writer may need more.
    if (!segments_.empty() && segments_.back().live != nullptr && segments_.back().reader &&
        segments_.back().reader->offset() > shared_.options.segment_bytes / 2 &&
        shared_.total_bytes.load() <= shared_.options.total_bytes_max / 2) {
      (void)prepare_spare();  // without one the writer makes its own, and reports why not
    }
  }
  void forget_peek() {
    for (Segment& segment : segments_) segment.ahead.reset();
  }

  [[nodiscard]] std::uint64_t consumed() const { return consumed_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t appended() const { return appended_.load(std::memory_order_relaxed); }

 private:
  SegmentName new_name() { return {index_, next_number_.fetch_add(1)}; }

  // The writer's thread: ends the current file and goes on in another.
  Result<void> next_segment() {
    std::unique_ptr<MappedSegment> next(spare_.exchange(nullptr, std::memory_order_acquire));
    if (next == nullptr) {
      const std::uint64_t removals = shared_.removals.load();
      const MonotonicTime now = MonotonicClock::now();
      if (refusal_.has_value() && removals == refused_removals_ && now < refused_until_) {
        return std::unexpected(*refusal_);
      }
      Result<MappedSegment> made = shared_.create(new_name());
      if (!made.has_value()) {
        refusal_ = made.error();
        refused_removals_ = removals;
        refused_until_ = now + kDiskRetry;
        return std::unexpected(std::move(made).error());
      }
      refusal_.reset();
      next = std::make_unique<MappedSegment>(*std::move(made));
    }
    // After its end mark the drain may remove the old file at any moment.
    if (current_ != nullptr) current_->end();
    current_ = next.get();
    const std::scoped_lock lock(mutex_);
    incoming_.push_back(std::move(next));
    return {};
  }

  void take_incoming() {
    const std::scoped_lock lock(mutex_);
    for (std::unique_ptr<MappedSegment>& live : incoming_) {
      Segment segment;
      segment.name = live->name();
      segment.file_bytes = live->bytes().size();
      segment.reader.emplace(live->bytes());
      segment.live = std::move(live);
      segments_.push_back(std::move(segment));
    }
    incoming_.clear();
  }

  // False for a file that cannot be read (any more).
  bool open_reader(Segment& segment) {
    if (segment.reader.has_value()) return true;
    if (segment.unreadable) return false;
    Result<RecoveredSegment> found =
        RecoveredSegment::read(shared_.options.directory, segment.name);
    if (!found.has_value()) {
      log_error("journal: {}; it is left as it is", found.error().message);
      shared_.damaged.fetch_add(1);
      segment.unreadable = true;
      return false;
    }
    segment.recovered = *std::move(found);
    segment.reader = segment.recovered->reader();
    return true;
  }

  [[nodiscard]] bool finished(const Segment& segment) const {
    if (!segment.reader.has_value()) return false;
    if (segment.live == nullptr) {
      // Nobody appends to a file that was found: no more for now is no more ever. But what was not
      // handed out yet is still to come.
      SegmentReader rest = *segment.reader;
      return !rest.next().has_value();
    }
    switch (segment.reader->state()) {
      case SegmentReader::State::kEnded:
        return true;
      case SegmentReader::State::kOpen: {
        SegmentReader rest = *segment.reader;
        return !rest.next().has_value() && rest.state() == SegmentReader::State::kEnded;
      }
      case SegmentReader::State::kDamaged:
        // The writer may still be in it, unless it has begun another.
        return &segment != &segments_.back();
    }
    return false;
  }

  void remove_front() {
    Segment& front = segments_.front();
    if (front.live != nullptr && front.reader->state() == SegmentReader::State::kDamaged) {
      shared_.damaged.fetch_add(1);
      log_error("journal: {} was damaged while in use; records after byte {} are lost",
                format_segment_name(front.name), front.reader->offset());
    }
    const SegmentName name = front.name;
    const std::size_t bytes = front.file_bytes;
    segments_.pop_front();
    shared_.remove(name, bytes);
  }

  // Removes what holds nothing that waits; the threads are gone.
  void close() {
    take_incoming();
    while (!segments_.empty()) {
      Segment& front = segments_.front();
      bool waits = !front.reader.has_value();
      if (!waits) {
        SegmentReader rest = *front.reader;
        waits = rest.next().has_value() || rest.state() == SegmentReader::State::kDamaged;
      }
      if (waits) {
        segments_.pop_front();  // the file stays
      } else {
        remove_front();
      }
    }
    const std::unique_ptr<MappedSegment> spare(spare_.exchange(nullptr));
    if (spare != nullptr) shared_.remove(spare->name(), spare->bytes().size());
  }

  Shared& shared_;
  const std::uint32_t index_;
  std::atomic<std::uint32_t> next_number_{1};
  std::atomic<std::uint64_t> appended_{0};
  std::atomic<std::uint64_t> consumed_{0};
  std::atomic<MappedSegment*> spare_{nullptr};  // made by the drain, taken by the writer

  // The writer's thread.
  MappedSegment* current_ = nullptr;  // owned by incoming_ or segments_ until its end mark
  std::uint64_t next_sequence_ = 1;
  std::uint64_t appcounts_ = 0;
  std::optional<Error> refusal_;  // of the disk or the limit, repeated until room may be there
  std::uint64_t refused_removals_ = 0;
  MonotonicTime refused_until_{};

  std::mutex mutex_;                                      // held for a moment, once a file
  std::vector<std::unique_ptr<MappedSegment>> incoming_;  // guarded by mutex_

  // The drain's thread.
  std::deque<Segment> segments_;  // oldest first
  std::uint64_t acknowledged_ = 0;
};

class JournalsImpl final : public Journals {
 public:
  JournalsImpl(JournalOptions options, FileDescriptor lock) : lock_(std::move(lock)) {
    shared_.options = std::move(options);
  }

  Result<void> recover(const std::vector<std::uint64_t>& acknowledged) {
    SEAM_ASSIGN_OR_RETURN(FoundSegments found,
                          find_segments(shared_.options.directory, acknowledged));
    shared_.damaged = found.damaged;
    // A file with a wild number of a writer must not make a table of that size.
    std::map<std::uint32_t, WriterFound> by_writer;
    for (std::size_t i = 0; i < shared_.options.writers; ++i) {
      by_writer[static_cast<std::uint32_t>(i)];
    }
    for (const FoundSegment& segment : found.segments) {
      WriterFound& writer = by_writer[segment.name.writer];
      writer.last_sequence = std::max(writer.last_sequence, segment.last_sequence);
      writer.last_number = std::max(writer.last_number, segment.name.number);
      shared_.total_bytes += segment.file_bytes;
      if (segment.waiting == 0) {
        shared_.remove(segment.name, segment.file_bytes);
      } else {
        recovered_ += segment.waiting;
        writer.segments.push_back(segment);
      }
    }
    for (auto& [index, writer_found] : by_writer) {
      auto writer = std::make_unique<WriterImpl>(shared_, index);
      const std::uint64_t done = index < acknowledged.size() ? acknowledged[index] : 0;
      writer->set_acknowledged(done);
      writer->set_next_sequence(std::max(done, writer_found.last_sequence) + 1);
      writer->set_next_number(writer_found.last_number + 1);
      // By content, not by number: a file made ahead is taken late.
      std::ranges::sort(writer_found.segments, {}, &FoundSegment::first_sequence);
      for (const FoundSegment& segment : writer_found.segments) {
        Segment waiting;
        waiting.name = segment.name;
        waiting.file_bytes = segment.file_bytes;
        writer->add_found(std::move(waiting));
      }
      if (index < shared_.options.writers) {
        Result<void> made = writer->prepare_spare();
        // With old records in the way the drain will make room; without any it never will.
        if (!made.has_value() && recovered_ == 0) return made;
      }
      writers_.push_back(std::move(writer));
    }
    return {};
  }

  Writer& writer(std::size_t index) override {
    CHECK(index < shared_.options.writers);
    return *writers_[index];  // in order of their index, without a gap among the configured
  }

  std::size_t drain(std::size_t records_max,
                    const std::function<bool(const std::vector<Record>&)>& consume) override {
    batch_.clear();
    counts_.assign(writers_.size(), 0);
    // Another writer first each time, so that one that is always busy does not starve the rest.
    first_ = (first_ + 1) % writers_.size();
    for (std::size_t i = 0; i < writers_.size() && batch_.size() < records_max; ++i) {
      const std::size_t at = (first_ + i) % writers_.size();
      const std::size_t before = batch_.size();
      writers_[at]->peek(records_max, batch_);
      counts_[at] = batch_.size() - before;
    }
    const bool consumed = batch_.empty() || consume(batch_);
    std::size_t begin = 0;
    for (std::size_t i = 0; i < writers_.size(); ++i) {
      const std::size_t at = (first_ + i) % writers_.size();
      if (!consumed) {
        writers_[at]->forget_peek();
        continue;
      }
      if (counts_[at] > 0) {
        begin += counts_[at];
        writers_[at]->acknowledge(batch_[begin - 1].sequence, counts_[at]);
      }
      writers_[at]->advance();
    }
    return consumed ? batch_.size() : 0;
  }

  [[nodiscard]] JournalStats stats() const override {
    // Consumed first: what is appended meanwhile then counts as waiting, never the reverse.
    std::uint64_t consumed = 0;
    for (const auto& writer : writers_) consumed += writer->consumed();
    std::uint64_t appended = recovered_;
    for (const auto& writer : writers_) appended += writer->appended();
    return {.waiting = appended > consumed ? appended - consumed : 0,
            .damaged_segments = shared_.damaged.load()};
  }

 private:
  struct WriterFound {
    std::vector<FoundSegment> segments;
    std::uint64_t last_sequence = 0;
    std::uint32_t last_number = 0;
  };

  FileDescriptor lock_;
  Shared shared_;
  std::uint64_t recovered_ = 0;
  std::vector<std::unique_ptr<WriterImpl>> writers_;
  // The drain's thread.
  std::size_t first_ = 0;
  std::vector<Record> batch_;
  std::vector<std::size_t> counts_;  // records of the batch, by writer
};

}  // namespace

Result<std::unique_ptr<Journals>> Journals::open(const JournalOptions& options,
                                                 const std::vector<std::uint64_t>& acknowledged) {
  if (options.writers == 0 || options.segment_bytes % 8 != 0 ||
      options.segment_bytes < kSegmentBytesMin || options.segment_bytes > kSegmentBytesMax ||
      options.total_bytes_max / options.segment_bytes < options.writers) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a journal of {} writers, segments of {} bytes and {} bytes in all "
                            "cannot be: segments take 4 KiB to 1 GiB in steps of 8 bytes, and "
                            "each writer needs one",
                            options.writers, options.segment_bytes, options.total_bytes_max));
  }
  SEAM_RETURN_IF_ERROR(prepare_directory(options.directory));
  SEAM_ASSIGN_OR_RETURN(FileDescriptor lock, lock_directory(options.directory));
  auto journals = std::make_unique<JournalsImpl>(options, std::move(lock));
  SEAM_RETURN_IF_ERROR(journals->recover(acknowledged));
  return journals;
}

}  // namespace seam::journal
