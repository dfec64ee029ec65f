#pragma once
// The record of one call, as it is journaled and later written to `request_logs` and `error_logs`.
//
//   writer.append(encode(record));                       // before the call is answered
//   Result<CallRecord> record = decode(bytes);           // when drained

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace seam::store {

struct CallRecord {
  std::string call_id;
  std::string request_id;  // the session's, or the call's own for an invoke
  bool has_session = false;
  std::string language_title;
  std::int64_t implementation_id = 0;  // 0: the session's own script
  WallTime started_at;
  std::string client_ip;
  std::string user_id;
  std::string request_headers;   // JSON object of the few that are kept; never a secret
  std::string request_payload;   // params, at most kPayloadBytesMax
  std::string response_payload;  // result, at most kPayloadBytesMax
  std::uint16_t status_code = 200;
  std::uint64_t duration_us = 0;
  bool cached = false;
  std::string error_code;  // "RUNTIME_ERROR", or empty
  std::string error_message;
  std::string stack_trace;
  std::string logs;             // what the function printed, at most its log_bytes_max
  std::string log_marks;        // of logs: which stream and when, as store/call_log.h writes it
  std::string runtime_metrics;  // JSON object: queue, start and run time, memory, log bytes dropped
  WallTime session_expires_at;  // of the session after this call, where it has one

  friend bool operator==(const CallRecord&, const CallRecord&) = default;
};

inline constexpr std::size_t kPayloadBytesMax = 4U << 10U;

// Appends the record's bytes to `out`, which a caller keeps and clears to save allocations.
// Payloads over their limit are cut at a UTF-8 character.
void encode(const CallRecord& record, std::string& out);

// Reads what this version or an earlier one of Seam wrote.
// errors    kDataLoss   not what encode() wrote
[[nodiscard]] Result<CallRecord> decode(std::string_view bytes);

struct JournaledRecord {
  std::uint32_t writer = 0;
  std::uint64_t sequence = 0;
  CallRecord record;
};

}  // namespace seam::store
