#pragma once
// A question about the records of calls, and its answer.
//
//   CallQuery query{.language_title = "nodejs-calculator", .outcome = CallOutcome::kError};
//   SEAM_CO_ASSIGN_OR_RETURN(const CallPage page, co_await store.find_calls(query));
//
// Each question is answered from one index in the order of time: a page of twenty costs the same
// with a million records as with a hundred.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "store/call_record.h"

namespace seam::store {

enum class CallOutcome : std::uint8_t { kAny, kOk, kError };  // kError: status 400 and above

// How much of each record is read.
enum class CallDetail : std::uint8_t {
  kSummary,  // without headers, payloads, stack and logs
  kLogs,     // the summary, with logs
  kWhole,
};

// Conditions that are left empty hold for every record; the others hold together.
struct CallQuery {
  static constexpr std::size_t kCountMax = 10'000;

  std::string call_id = {};
  std::string language_title = {};
  std::string session_id = {};
  std::optional<WallTime> since = {};  // started at or after it
  std::optional<WallTime> until = {};  // started before it
  CallOutcome outcome = CallOutcome::kAny;
  int status_code = 0;
  std::string error_code = {};  // "RUNTIME_ERROR"
  bool logged = false;          // only calls that printed something

  CallDetail detail = CallDetail::kSummary;
  std::size_t skip = 0;  // with limit at most kCountMax
  std::size_t limit = 20;
  // Of the logs of one page, newest calls first; those that do not fit are left empty, and
  // log_bytes says how long they are. The first call's always fit.
  std::size_t page_log_bytes_max = 4U << 20U;
};

struct FoundCall {
  CallRecord record;                    // without session_expires_at
  std::optional<std::int64_t> version;  // of its function; none for a session's own script
  std::size_t log_bytes = 0;            // of its logs, whether they fitted or not; 0 in a summary
};

struct CallPage {
  std::vector<FoundCall> calls;
  std::size_t total = 0;  // how many there are, counted to kCountMax
};

}  // namespace seam::store
