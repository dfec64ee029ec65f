#pragma once
// Sessions: a name, a context and perhaps a script of its own, made once and called many times.
// They are kept in memory, in shards with a lock each (held for a look-up, never across a wait),
// and in the store, which has them before the client is answered.
//
//   SEAM_CO_ASSIGN_OR_RETURN(SessionPtr session, co_await sessions.create(std::move(fresh)));
//   SessionPtr session = sessions.find(request_id);

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "functions/call_context.h"
#include "runtimes/runtime.h"
#include "store/store.h"

namespace seam::functions {

// What changes with every execute. Shared by the successive states of one session.
struct SessionUse {
  std::atomic<std::int64_t> expires_at_us{0};
  std::atomic<std::int64_t> execution_count{0};
  std::atomic<std::int64_t> last_executed_at_us{0};  // 0: never
  std::atomic<bool> changing{false};                 // a PATCH or DELETE is under way
};

// One state of a session. Immutable but for `use`; a change puts another in its place.
struct Session {
  std::string request_id;
  std::string language_title;
  std::string user_id;
  std::string runtime;  // of the script; empty where the registered function is called
  CallContext context;
  runtimes::ProgramPtr script;  // null: the registered function
  WallTime created_at;
  seconds lifetime{3600};
  std::shared_ptr<SessionUse> use;

  [[nodiscard]] WallTime expires_at() const {
    return WallTime(microseconds(use->expires_at_us.load()));
  }
  [[nodiscard]] std::int64_t execution_count() const { return use->execution_count.load(); }
  [[nodiscard]] std::optional<WallTime> last_executed_at() const;
};
using SessionPtr =
    std::shared_ptr<const Session>;  // shared: a call in flight outlives a change or the end

struct SessionsOptions {
  seconds lifetime{3600};              // from the last execute
  std::size_t sessions_max = 200'000;  // open at once; the next is refused
};

class Sessions {
 public:
  // `on_end` hears of every session whose script is not wanted any more, to give its worker back.
  // Any thread calls it.
  Sessions(store::Store& store, const Clock& clock, SessionsOptions options,
           std::function<void(const Session&)> on_end);

  // Takes in what an earlier process left. Before calls come.
  void restore(SessionPtr session);

  // Makes it durable, then known. Fills request_id, created_at, lifetime and use.
  // errors    kUnavailable   too many sessions; else the store's
  [[nodiscard]] Task<Result<SessionPtr>> create(Session session);

  // Null: no such session, or expired.
  [[nodiscard]] SessionPtr find(std::string_view request_id);

  // Puts `next`, made from `current`, in its place.
  // errors    kAborted   it changed or ended meanwhile: read it again; else the store's
  [[nodiscard]] Task<Result<SessionPtr>> change(SessionPtr current, Session next);

  // errors    kNotFound, kAborted; else the store's
  [[nodiscard]] Task<Result<void>> end(SessionPtr session);

  // Notes one execute and moves the expiry. Returns the new expiry.
  WallTime touch(const Session& session);

  // Open sessions, newest first; `total` receives how many there are.
  [[nodiscard]] std::vector<SessionPtr> list(std::size_t skip, std::size_t count,
                                             std::size_t& total);
  [[nodiscard]] std::size_t size() const { return size_.load(std::memory_order_relaxed); }

  // Ends those that have expired. Now and then, on a loop.
  [[nodiscard]] Task<> end_expired();

 private:
  struct Shard {
    std::mutex mutex;
    std::unordered_map<std::string, SessionPtr> sessions;  // guarded by mutex
  };
  Shard& shard_of(std::string_view request_id);
  [[nodiscard]] bool expired(const Session& session) const;
  static store::SessionRow row_of(const Session& session);

  store::Store& store_;
  const Clock& clock_;
  SessionsOptions options_;
  std::function<void(const Session&)> on_end_;
  std::array<Shard, 64> shards_;
  std::atomic<std::size_t> size_{0};
};

}  // namespace seam::functions
