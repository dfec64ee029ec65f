#include "functions/recorder.h"

#include "base/log.h"

namespace seam::functions {
namespace {
// A call is let in only if the largest record it may make has room: logs, payloads, a stack.
constexpr std::size_t kRecordBytesMax = 512U << 10U;
}  // namespace

Recorder::Recorder(journal::Journals& journals, std::span<EventLoop* const> loops,
                   WhenFull when_full)
    : journals_(journals), slots_(loops), when_full_(when_full) {}

bool Recorder::ready() {
  return when_full_ == WhenFull::kDrop ||
         journals_.writer(slots_.index()).reserve(kRecordBytesMax).has_value();
}

bool Recorder::append(const store::CallRecord& record) {
  std::string& buffer = slots_.here().buffer;
  buffer.clear();
  store::encode(record, buffer);
  const Result<std::uint64_t> appended = journals_.writer(slots_.index()).append(buffer);
  constexpr std::size_t kKeptBytesMax = 64U << 10U;
  if (buffer.capacity() > kKeptBytesMax) buffer = {};
  if (appended) return true;
  const std::uint64_t dropped = ++dropped_;
  // Each doubling is worth a line.
  if ((dropped & (dropped - 1)) == 0) {
    log_warning("{} records of calls could not be kept so far: {}", dropped,
                appended.error().message);
  }
  return when_full_ == WhenFull::kDrop;
}

}  // namespace seam::functions
