#include "functions/sessions.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/identifier.h"

namespace seam::functions {
namespace {

std::int64_t microseconds_of(WallTime time) { return time.time_since_epoch().count(); }

// Holds a session's `changing` mark, if it was free.
class Changing {
 public:
  explicit Changing(SessionUse& use) : use_(use), mine_(!use.changing.exchange(true)) {}
  Changing(const Changing&) = delete;
  Changing& operator=(const Changing&) = delete;
  ~Changing() {
    if (mine_) use_.changing = false;
  }
  [[nodiscard]] bool mine() const { return mine_; }

 private:
  SessionUse& use_;
  bool mine_;
};

std::unexpected<Error> changed_meanwhile(const Session& session) {
  return fail(
      ErrorCode::kAborted,
      fmt::format("session {} changed meanwhile: read it again, then retry", session.request_id));
}

}  // namespace

std::optional<WallTime> Session::last_executed_at() const {
  const std::int64_t at = use->last_executed_at_us.load();
  if (at == 0) return std::nullopt;
  return WallTime(microseconds(at));
}

Sessions::Sessions(store::Store& store, const Clock& clock, SessionsOptions options,
                   std::function<void(const Session&)> on_end)
    : store_(store), clock_(clock), options_(options), on_end_(std::move(on_end)) {}

Sessions::Shard& Sessions::shard_of(std::string_view request_id) {
  return shards_[std::hash<std::string_view>{}(request_id) % shards_.size()];
}

bool Sessions::expired(const Session& session) const {
  return session.expires_at() <= clock_.wall_now();
}

store::SessionRow Sessions::row_of(const Session& session) {
  store::SessionRow row;
  row.request_id = session.request_id;
  row.language_title = session.language_title;
  row.user_id = session.user_id;
  row.status = "initialized";
  row.context = session.context.text;
  if (session.script) {
    row.script_content = session.script->content;
    row.script_hash = session.script->hash;
  }
  row.compile_options = session.context.compile_options;
  row.created_at = session.created_at;
  row.expires_at = session.expires_at();
  row.last_executed_at = session.last_executed_at();
  row.execution_count = session.execution_count();
  row.lifetime_seconds = session.lifetime.count();
  return row;
}

void Sessions::restore(SessionPtr session) {
  Shard& shard = shard_of(session->request_id);
  const std::lock_guard lock(shard.mutex);
  std::string id = session->request_id;
  if (shard.sessions.insert_or_assign(std::move(id), std::move(session)).second) ++size_;
}

Task<Result<SessionPtr>> Sessions::create(Session fresh) {
  if (size_.load() >= options_.sessions_max) {
    co_return fail(ErrorCode::kUnavailable,
                   fmt::format("{} sessions are open, the most this server keeps: end some with "
                               "DELETE, or wait until some expire",
                               options_.sessions_max));
  }
  fresh.request_id = random_uuid();
  fresh.created_at = clock_.wall_now();
  fresh.lifetime = options_.lifetime;
  fresh.use = std::make_shared<SessionUse>();
  fresh.use->expires_at_us = microseconds_of(fresh.created_at + fresh.lifetime);
  auto session = std::make_shared<const Session>(std::move(fresh));
  Result<void> written = co_await store_.put_session(row_of(*session));
  SEAM_CO_RETURN_IF_ERROR(std::move(written));
  restore(session);
  co_return session;
}

SessionPtr Sessions::find(std::string_view request_id) {
  Shard& shard = shard_of(request_id);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.sessions.find(std::string(request_id));
  if (found == shard.sessions.end() || expired(*found->second)) return nullptr;
  return found->second;
}

Task<Result<SessionPtr>> Sessions::change(SessionPtr current, Session next) {
  const Changing changing(*current->use);
  if (!changing.mine() || find(current->request_id) != current)
    co_return changed_meanwhile(*current);
  auto session = std::make_shared<const Session>(std::move(next));
  Result<void> written = co_await store_.put_session(row_of(*session));
  SEAM_CO_RETURN_IF_ERROR(std::move(written));
  {
    Shard& shard = shard_of(session->request_id);
    const std::lock_guard lock(shard.mutex);
    shard.sessions[session->request_id] = session;
  }
  if (current->script && current->script != session->script) on_end_(*current);
  co_return session;
}

Task<Result<void>> Sessions::end(SessionPtr session) {
  const Changing changing(*session->use);
  if (!changing.mine()) co_return changed_meanwhile(*session);
  {
    Shard& shard = shard_of(session->request_id);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.sessions.find(session->request_id);
    if (found == shard.sessions.end()) {
      co_return fail(ErrorCode::kNotFound, fmt::format("no session {}", session->request_id));
    }
    shard.sessions.erase(found);
    --size_;
  }
  if (session->script) on_end_(*session);
  co_return co_await store_.delete_session(session->request_id);
}

WallTime Sessions::touch(const Session& session) {
  const std::int64_t now = microseconds_of(clock_.wall_now());
  session.use->execution_count.fetch_add(1, std::memory_order_relaxed);
  session.use->last_executed_at_us.store(now, std::memory_order_relaxed);
  // An expiry that a PATCH has put further away stays.
  const std::int64_t extended =
      now + std::chrono::duration_cast<microseconds>(session.lifetime).count();
  std::int64_t expires = session.use->expires_at_us.load(std::memory_order_relaxed);
  while (expires < extended &&
         !session.use->expires_at_us.compare_exchange_weak(expires, extended)) {
  }
  return WallTime(microseconds(std::max(expires, extended)));
}

std::vector<SessionPtr> Sessions::list(std::size_t skip, std::size_t count, std::size_t& total) {
  std::vector<SessionPtr> sessions;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [id, session] : shard.sessions) {
      if (!expired(*session)) sessions.push_back(session);
    }
  }
  total = sessions.size();
  std::ranges::sort(sessions, [](const SessionPtr& a, const SessionPtr& b) {
    return std::tie(b->created_at, b->request_id) < std::tie(a->created_at, a->request_id);
  });
  const std::size_t begin = std::min(skip, sessions.size());
  const std::size_t end = std::min(begin + count, sessions.size());
  return {sessions.begin() + static_cast<std::ptrdiff_t>(begin),
          sessions.begin() + static_cast<std::ptrdiff_t>(end)};
}

Task<> Sessions::end_expired() {
  std::vector<SessionPtr> over;
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [id, session] : shard.sessions) {
      if (expired(*session)) over.push_back(session);
    }
  }
  for (SessionPtr& session : over) {
    // One that fails now is found again the next time.
    [[maybe_unused]] const Result<void> ended = co_await end(std::move(session));
  }
}

}  // namespace seam::functions
