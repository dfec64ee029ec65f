#include "store/call_record.h"

#include <cstring>
#include <type_traits>

#include "base/utf8_cut.h"

namespace seam::store {
namespace {

constexpr std::uint8_t kFormat = 2;
constexpr std::uint8_t kFormatWithoutMarks = 1;  // of Seam before it kept log_marks
constexpr std::uint8_t kHasSession = 1;
constexpr std::uint8_t kCached = 2;

template <class T>
void put(std::string& out, T value) {
  static_assert(std::is_integral_v<T>);
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}
void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

// Reads what put() wrote; `good` turns false at the first byte that is missing.
struct Reader {
  std::string_view rest;
  bool good = true;

  template <class T>
  T get() {
    T value{};
    if (rest.size() < sizeof(T)) {
      good = false;
      return value;
    }
    std::memcpy(&value, rest.data(), sizeof(T));
    rest.remove_prefix(sizeof(T));
    return value;
  }
  std::string get_text() {
    const auto size = get<std::uint32_t>();
    if (!good || size > rest.size()) {
      good = false;
      return {};
    }
    std::string text(rest.substr(0, size));
    rest.remove_prefix(size);
    return text;
  }
  WallTime get_time() { return WallTime(microseconds(get<std::int64_t>())); }
};

}  // namespace

void encode(const CallRecord& record, std::string& out) {
  put(out, kFormat);
  put(out, static_cast<std::uint8_t>((record.has_session ? kHasSession : 0) |
                                     (record.cached ? kCached : 0)));
  put(out, record.status_code);
  put(out, record.implementation_id);
  put(out, record.duration_us);
  put(out, std::int64_t{record.started_at.time_since_epoch().count()});
  put(out, std::int64_t{record.session_expires_at.time_since_epoch().count()});
  put_text(out, record.call_id);
  put_text(out, record.request_id);
  put_text(out, record.language_title);
  put_text(out, record.client_ip);
  put_text(out, record.user_id);
  put_text(out, record.request_headers);
  put_text(out, utf8_cut(record.request_payload, kPayloadBytesMax));
  put_text(out, utf8_cut(record.response_payload, kPayloadBytesMax));
  put_text(out, record.error_code);
  put_text(out, record.error_message);
  put_text(out, record.stack_trace);
  put_text(out, record.logs);
  put_text(out, record.runtime_metrics);
  put_text(out, record.log_marks);
}

Result<CallRecord> decode(std::string_view bytes) {
  Reader reader{bytes};
  CallRecord record;
  const auto format = reader.get<std::uint8_t>();
  const auto flags = reader.get<std::uint8_t>();
  if ((format != kFormat && format != kFormatWithoutMarks) ||
      (flags & ~(kHasSession | kCached)) != 0) {
    return fail(ErrorCode::kDataLoss, "not the record of a call");
  }
  record.has_session = (flags & kHasSession) != 0;
  record.cached = (flags & kCached) != 0;
  record.status_code = reader.get<std::uint16_t>();
  record.implementation_id = reader.get<std::int64_t>();
  record.duration_us = reader.get<std::uint64_t>();
  record.started_at = reader.get_time();
  record.session_expires_at = reader.get_time();
  record.call_id = reader.get_text();
  record.request_id = reader.get_text();
  record.language_title = reader.get_text();
  record.client_ip = reader.get_text();
  record.user_id = reader.get_text();
  record.request_headers = reader.get_text();
  record.request_payload = reader.get_text();
  record.response_payload = reader.get_text();
  record.error_code = reader.get_text();
  record.error_message = reader.get_text();
  record.stack_trace = reader.get_text();
  record.logs = reader.get_text();
  record.runtime_metrics = reader.get_text();
  if (format == kFormat) record.log_marks = reader.get_text();
  const bool whole = reader.good && reader.rest.empty() &&
                     record.request_payload.size() <= kPayloadBytesMax &&
                     record.response_payload.size() <= kPayloadBytesMax;
  if (!whole) return fail(ErrorCode::kDataLoss, "the record of a call is cut or damaged");
  return record;
}

}  // namespace seam::store
