// The server's side: numbers each request, keeps who waits for it, and hands the answer over on the
// loop the request came from. Everything but that first and last step happens on one loop.

#include "process/spawner.h"

#include <signal.h>

#include <atomic>
#include <cerrno>
#include <deque>
#include <unordered_map>

#include "base/check.h"
#include "base/log.h"
#include "process/spawner_messages.h"
#include "process/unix_message.h"

namespace seam::process {

namespace {

// An answer without its number and code.
struct Answer {
  std::string payload;
  std::vector<FileDescriptor> descriptors;
};
using Waiting = OneShot<Result<Answer>>;

constexpr const char* kGone = "the spawner has ended; the server cannot start workers any more";

}  // namespace

struct Spawner::Impl {
  Impl(SpawnerProcess started, EventLoop& on)
      : process(std::move(started)), loop(on), readiness(loop, process.socket_.get()) {}

  // Sends on the loop and resumes there, whatever loop it is called from.
  Task<Result<Answer>> ask(RequestKind kind, std::string payload, bool is_spawn);
  static Task<Result<SpawnedWorker>> ask_for_worker(Impl* self, RequestKind kind,
                                                    std::string payload);

  void listen();
  void receive();
  void send_waiting();
  void fail_all();

  SpawnerProcess process;
  EventLoop& loop;
  std::atomic<bool> gone{false};  // written on the loop
  bool waits_to_send = false;
  std::uint64_t number_next = 1;
  std::size_t spawns_waiting = 0;
  std::unordered_map<std::uint64_t, Waiting*> waiting;  // each in the frame of its coroutine
  std::deque<std::string> unsent;                       // one a waiting request at most
  Readiness readiness;
};

Spawner::Spawner(SpawnerProcess process, EventLoop& loop)
    : impl_(std::make_unique<Impl>(std::move(process), loop)) {
  // The constructor may run on another thread, before the loop does.
  loop.post([impl = impl_.get()] { impl->listen(); });
}

Spawner::~Spawner() {
  impl_->readiness.cancel();
  impl_->fail_all();
}

const IsolationReport& Spawner::report() const { return impl_->process.report(); }

bool Spawner::isolated() const { return impl_->process.isolated(); }

bool Spawner::alive() const { return !impl_->gone.load(); }

void Spawner::Impl::listen() {
  readiness.when_readable([this] { receive(); });
}

void Spawner::Impl::receive() {
  Message message;
  for (;;) {
    const int error_number = receive_message(process.socket_.get(), message);
    if (error_number == EAGAIN) return listen();
    if (error_number != 0 || message.bytes.empty()) {
      log_error("{}", kGone);
      return fail_all();
    }
    WireReader in(message.bytes);
    const std::uint64_t number = in.u64();
    const auto code = static_cast<ErrorCode>(in.u32());
    std::string text = in.text();
    CHECK(!in.failed());
    const auto found = waiting.find(number);
    CHECK(found != waiting.end());
    Waiting* const waiter = found->second;
    waiting.erase(found);
    if (code != ErrorCode{}) {
      waiter->set(fail(code, std::move(text)));
      continue;
    }
    const std::size_t head = sizeof number + sizeof(std::uint32_t) * 2 + text.size();
    waiter->set(Answer{message.bytes.substr(head), std::move(message.descriptors)});
  }
}

void Spawner::Impl::fail_all() {
  gone = true;
  unsent.clear();
  for (const auto& [number, waiter] : std::exchange(waiting, {}))
    waiter->set(fail(ErrorCode::kInternal, kGone));
}

void Spawner::Impl::send_waiting() {
  while (!unsent.empty()) {
    const int error_number = send_message(process.socket_.get(), unsent.front(), {});
    if (error_number == EAGAIN) {
      if (std::exchange(waits_to_send, true)) return;
      readiness.when_writable([this] {
        waits_to_send = false;
        send_waiting();
      });
      return;
    }
    unsent.pop_front();
    if (error_number != 0) return fail_all();
  }
}

Task<Result<Answer>> Spawner::Impl::ask(RequestKind kind, std::string payload, bool is_spawn) {
  EventLoop* const home = EventLoop::current();
  co_await loop.schedule();
  Result<Answer> answer = fail(ErrorCode::kInternal, kGone);
  if (is_spawn && spawns_waiting >= kSpawnsWaitingMax) {
    answer = fail(ErrorCode::kUnavailable, "too many workers are being started");
  } else if (!gone) {
    Waiting reply;
    WireWriter out;
    const std::uint64_t number = number_next++;
    out.u64(number);
    out.u32(static_cast<std::uint32_t>(kind));
    waiting.emplace(number, &reply);
    unsent.push_back(out.bytes() + payload);
    if (is_spawn) ++spawns_waiting;
    send_waiting();
    answer = co_await reply;
    if (is_spawn) --spawns_waiting;
  }
  if (home != nullptr) co_await home->schedule();
  co_return answer;
}

Task<Result<SpawnedWorker>> Spawner::Impl::ask_for_worker(Impl* self, RequestKind kind,
                                                          std::string payload) {
  Result<Answer> answer = co_await self->ask(kind, std::move(payload), true);
  if (!answer) co_return std::unexpected(std::move(answer).error());
  WireReader in(answer->payload);
  SpawnedWorker worker;
  worker.id = in.u64();
  worker.pid = static_cast<pid_t>(in.u32());
  CHECK(in.done() && answer->descriptors.size() >= 2);
  worker.output = std::move(answer->descriptors[0]);
  worker.pidfd = std::move(answer->descriptors[1]);
  if (answer->descriptors.size() > 2) worker.socket = std::move(answer->descriptors[2]);
  co_return worker;
}

namespace {

// errors    kInvalidArgument   too long for one message
Result<std::string> encode(const WorkerSpec& spec) {
  CHECK(!spec.argv.empty() && spec.argv.front().starts_with('/'));
  WireWriter out;
  write_spec(out, spec);
  if (out.bytes().size() > kMessageBytesMax - 64)
    return fail(ErrorCode::kInvalidArgument,
                "the arguments and environment of a worker are over 128 KiB");
  return out.bytes();
}

std::string encode(std::uint64_t id) {
  WireWriter out;
  out.u64(id);
  return out.bytes();
}

}  // namespace

Task<Result<SpawnedWorker>> Spawner::spawn(WorkerSpec spec) {
  SEAM_CO_ASSIGN_OR_RETURN(std::string payload, encode(spec));
  co_return co_await Impl::ask_for_worker(impl_.get(), RequestKind::kSpawn, std::move(payload));
}

Task<Result<SpawnedWorker>> Spawner::start_zygote(WorkerSpec spec) {
  SEAM_CO_ASSIGN_OR_RETURN(std::string payload, encode(spec));
  co_return co_await Impl::ask_for_worker(impl_.get(), RequestKind::kStartZygote,
                                          std::move(payload));
}

Task<Result<SpawnedWorker>> Spawner::fork_worker(std::uint64_t zygote_id,
                                                 std::vector<ReadOnlyBind> binds) {
  WireWriter out;
  out.u64(zygote_id);
  write_binds(out, binds);
  co_return co_await Impl::ask_for_worker(impl_.get(), RequestKind::kFork, out.bytes());
}

Task<Result<void>> Spawner::set_memory_limit(std::uint64_t worker_id, std::uint64_t bytes_max) {
  WireWriter out;
  out.u64(worker_id);
  out.u64(bytes_max);
  const Result<Answer> answer =
      co_await impl_->ask(RequestKind::kSetMemoryLimit, out.bytes(), false);
  if (!answer) co_return std::unexpected(answer.error());
  co_return Result<void>();
}

Task<WorkerExit> Spawner::reap(std::uint64_t worker_id) {
  const Result<Answer> answer = co_await impl_->ask(RequestKind::kReap, encode(worker_id), false);
  // All workers end with the spawner.
  if (!answer) co_return WorkerExit{.status = SIGKILL, .memory_exceeded = false};
  WireReader in(answer->payload);
  WorkerExit exit;
  exit.status = static_cast<int>(in.u32());
  exit.memory_exceeded = in.u32() != 0;
  co_return exit;
}

Task<std::uint64_t> Spawner::memory_bytes(std::uint64_t worker_id) {
  const Result<Answer> answer =
      co_await impl_->ask(RequestKind::kMemoryBytes, encode(worker_id), false);
  if (!answer) co_return 0;
  co_return WireReader(answer->payload).u64();
}

}  // namespace seam::process
