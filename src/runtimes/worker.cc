#include "runtimes/worker.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "base/check.h"
#include "base/json_text.h"
#include "runtimes/limits.h"
#include "runtimes/worker_protocol.h"

namespace seam::runtimes {

namespace {

constexpr std::uint8_t kDroppedCountStream = 2;

template <std::size_t kSize = 4>
std::array<char, kSize> le_bytes(std::uint64_t value) {
  std::array<char, kSize> bytes{};
  for (char& byte : bytes) {
    byte = static_cast<char>(value & 0xFFU);
    value >>= 8U;
  }
  return bytes;
}

template <std::size_t kSize>
std::string_view view(const std::array<char, kSize>& bytes) {
  return {bytes.data(), bytes.size()};
}

}  // namespace

Worker::Worker(EventLoop& loop, process::SpawnedWorker process, const WorkerKind& kind,
               WorkerOwner& owner)
    : started_at(MonotonicClock::now()),
      process_(std::move(process)),
      kind_(kind),
      owner_(owner),
      channel_(loop, std::move(process_.socket), *this),
      output_(loop, process_.output.get()),
      pidfd_(loop, process_.pidfd.get()) {
  output_.when_readable([this] { on_output(); });
  pidfd_.when_readable([this] { on_exit(); });
}

Worker::~Worker() { CHECK(call_ == nullptr); }

void Worker::adopt(ProgramPtr program) {
  CHECK(state_ == State::kIdle && !program_);
  program_ = std::move(program);
}

void Worker::begin(PendingCall& call) {
  CHECK(state_ == State::kIdle && program_ && call_ == nullptr);
  call_ = &call;
  call.worker = this;
  call.given_at = MonotonicClock::now();
  output_in_call_ = false;
  std::string header;
  std::array<char, 4> header_size{};
  std::array<char, 4> context_size{};
  std::array<char, 8> deadline{};
  std::array<char, 4> id_size{};
  std::array<std::string_view, 3> load_parts;
  std::array<std::string_view, 6> call_parts;
  std::array<process::FrameView, 2> frames;
  std::size_t count = 0;
  if (!loaded_) {
    header = load_header(*program_, folder);
    header_size = le_bytes(header.size());
    load_parts = {view(header_size), header, program_->content};
    frames[count++] = {static_cast<std::uint8_t>(FrameType::kLoad), load_parts};
  }
  if (call.call != nullptr) {
    ++calls_;
    const Call& wanted = *call.call;
    context_size = le_bytes(wanted.context.size());
    deadline = le_bytes<8>(static_cast<std::uint64_t>(
        std::chrono::nanoseconds(call.deadline.at.time_since_epoch()).count()));
    id_size = le_bytes(wanted.call_id.size());
    call_parts = {view(deadline),     view(id_size),  wanted.call_id,
                  view(context_size), wanted.context, wanted.params};
    std::span<const std::string_view> parts = call_parts;
    if (!kind_.ends_calls_itself) parts = parts.last(3);
    const FrameType type = kind_.ends_calls_itself ? FrameType::kTimedCall : FrameType::kCall;
    frames[count++] = {static_cast<std::uint8_t>(type), parts};
  }
  state_ = loaded_ ? State::kRunning : State::kLoading;
  CHECK(count > 0);
  // Where the worker is gone already, the reading side hears of it.
  static_cast<void>(channel_.send(std::span(frames.data(), count)));
}

void Worker::abandon() {
  CHECK(call_ != nullptr);
  call_->worker = nullptr;
  call_ = nullptr;
  done();
}

void Worker::finish() {
  CHECK(call_ == nullptr && state_ != State::kDone);
  state_ = State::kDone;
  channel_.close();
  output_.cancel();
  pidfd_.cancel();
}

void Worker::done() {
  if (state_ == State::kDone) return;
  state_ = State::kDone;
  half_ended_ = false;
  channel_.close();
  pidfd_.cancel();
  owner_.on_worker_done(*this);
}

std::optional<std::size_t> Worker::frame_bytes_max(std::uint8_t type) const {
  constexpr std::size_t kEmptyObjectMax = 64;
  const bool in_turn = state_ == State::kLoading || state_ == State::kRunning;
  switch (static_cast<FrameType>(type)) {
    case FrameType::kReady:
      if (state_ == State::kStarting) return kEmptyObjectMax;
      return std::nullopt;
    case FrameType::kLoaded:
      if (state_ == State::kLoading) return kEmptyObjectMax;
      return std::nullopt;
    case FrameType::kResult:
      if (state_ == State::kRunning) return program_->limits.result_bytes_max;
      return std::nullopt;
    case FrameType::kFailure:
      if (in_turn) return kFailureFrameBytesMax;
      return std::nullopt;
    case FrameType::kLog:
      if (in_turn) return kLogFrameBytesMax;
      return std::nullopt;
    case FrameType::kLoad:
    case FrameType::kCall:
    case FrameType::kTimedCall:
      return std::nullopt;
  }
  return std::nullopt;
}

void Worker::on_frame(std::uint8_t type, std::string_view payload) {
  switch (static_cast<FrameType>(type)) {
    case FrameType::kReady:
      return on_ready(payload);
    case FrameType::kLoaded:
      return on_loaded(payload);
    case FrameType::kResult:
      return on_result(payload);
    case FrameType::kFailure:
      return on_failure(payload);
    case FrameType::kLog:
      return on_log(payload);
    case FrameType::kLoad:
    case FrameType::kCall:
    case FrameType::kTimedCall:
      break;
  }
  CHECK(false);  // frame_bytes_max() lets no other through
}

void Worker::on_ready(std::string_view payload) {
  if (!check_json(payload)) return nonsense("a kReady that is not JSON");
  ready_ = true;
  state_ = State::kIdle;
  owner_.on_worker_ready(*this);
}

void Worker::on_loaded(std::string_view payload) {
  if (loaded_ || !check_json(payload)) return nonsense("a kLoaded that is not JSON or came twice");
  loaded_ = true;
  call_->loaded_at = MonotonicClock::now();
  if (call_->call == nullptr) return end_call(Completed{});
  state_ = State::kRunning;
}

void Worker::on_log(std::string_view payload) {
  if (payload.empty()) return nonsense("a kLog without a stream");
  const auto stream = static_cast<std::uint8_t>(payload.front());
  payload.remove_prefix(1);
  if (stream == kDroppedCountStream) {
    std::uint64_t dropped = 0;
    const auto [end, error] =
        std::from_chars(payload.data(), payload.data() + payload.size(), dropped);
    if (error != std::errc() || end != payload.data() + payload.size())
      return nonsense("a kLog whose count of dropped bytes is no number");
    call_->stats.log_bytes_dropped += dropped;
    return;
  }
  if (stream > kDroppedCountStream) return nonsense("a kLog of an unknown stream");
  keep_log(static_cast<LogStream>(stream), payload);
}

void Worker::keep_log(LogStream stream, std::string_view bytes) {
  const std::size_t left = program_->limits.log_bytes_max - call_->log_bytes;
  const std::size_t kept = std::min(left, bytes.size());
  call_->log_bytes += kept;
  call_->stats.log_bytes_dropped += bytes.size() - kept;
  if (kept > 0 && call_->sink != nullptr) call_->sink->on_log(stream, bytes.substr(0, kept));
}

void Worker::on_result(std::string_view payload) {
  if (channel_.sending()) return nonsense("a result before it had read the call");
  if (const auto checked = check_json(payload); !checked)
    return nonsense("a result that is not JSON: " + checked.error().message);
  if (output_in_call_) static_cast<void>(read_output(kOutputBytesAtOnce));
  call_->sink->on_result(payload);
  end_call(Completed{});
}

void Worker::on_failure(std::string_view payload) {
  if (channel_.sending() && loaded_) return nonsense("a failure before it had read the call");
  Result<Failure> failure = parse_failure(payload, kind_.ends_calls_itself);
  if (!failure)
    return nonsense("a failure that is not as it should be: " + failure.error().message);
  auto* const error = std::get_if<FunctionError>(&*failure);
  if ((error != nullptr && error->kind == FunctionError::Kind::kLoadFailed) == loaded_)
    return nonsense("a failure of the wrong kind");
  if (output_in_call_) static_cast<void>(read_output(kOutputBytesAtOnce));
  if (error == nullptr) return end_call(std::get<Error>(*std::move(failure)));
  if (kind_.is_memory_failure(*error)) {
    error->kind = FunctionError::Kind::kMemoryExceeded;
    error->message = fmt::format("the function passed its memory limit of {} MiB: {}",
                                 program_->limits.memory_bytes_max >> 20U, error->message);
  }
  end_call(std::move(*error));
}

// After a frame that ends a turn the worker has nothing to say; a program that did not load leaves
// a worker of no use.
void Worker::end_call(std::variant<Completed, FunctionError, Error> outcome) {
  PendingCall& call = *std::exchange(call_, nullptr);
  call.worker = nullptr;
  if (channel_.buffered() > 0 && nonsense_.empty()) nonsense_ = "frames after the end of its call";
  state_ = State::kIdle;
  retire = retire || !loaded_ || !nonsense_.empty() || half_ended_ || !channel_.is_open();
  idle_since = MonotonicClock::now();
  owner_.on_call_end(*this, call, std::move(outcome));
}

void Worker::nonsense(std::string what) {
  nonsense_ = std::move(what);
  done();
}

void Worker::on_channel_end(Error error) {
  if (error.code == ErrorCode::kInvalidArgument) return nonsense(std::move(error.message));
  if (exited_) return done();
  half_end();
}

void Worker::on_exit() {
  exited_ = true;
  if (!channel_.is_open()) return done();
  half_end();
}

// The socket and the process end within moments of each other, and what the socket still holds
// comes before its end; the tick does not wait for ever.
void Worker::half_end() {
  if (half_ended_ || state_ == State::kDone) return;
  half_ended_ = true;
  half_ended_at_ = MonotonicClock::now();
}

void Worker::tick(MonotonicTime now) {
  if (half_ended_ && now - half_ended_at_ > kEndingMax) {
    if (!exited_) nonsense_ = "nothing: it closed its connection to the server";
    return done();
  }
  if (state_ == State::kStarting && now - started_at > kWorkerStartMax) done();
}

void Worker::on_output() {
  if (read_output(kOutputBytesAtOnce)) output_.when_readable([this] { on_output(); });
}

bool Worker::read_output(std::size_t bytes_max) {
  std::array<char, 32U << 10U> buffer;
  while (bytes_max > 0) {
    const ssize_t count =
        ::read(process_.output.get(), buffer.data(), std::min(buffer.size(), bytes_max));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    if (count <= 0) return false;
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
    bytes_max -= bytes.size();
    append_tail(output_tail_, bytes);
    if (call_ == nullptr) continue;
    output_in_call_ = true;
    keep_log(LogStream::kStdout, bytes);
  }
  return true;
}

void Worker::explain_end(const process::WorkerExit& exit) {
  output_.cancel();
  static_cast<void>(read_output(16 * kOutputBytesAtOnce));
  if (call_ == nullptr) return;
  PendingCall& call = *std::exchange(call_, nullptr);
  call.worker = nullptr;
  FunctionError error;
  const char* const when = loaded_ ? "during the call" : "while the program was loaded";
  if (!nonsense_.empty()) {
    error.kind = FunctionError::Kind::kProtocol;
    error.message = fmt::format(
        "the worker was ended because it sent the server {}; descriptor 3 is not the function's to "
        "use",
        nonsense_);
  } else if (exit.memory_exceeded || kind_.is_memory_end(output_tail_)) {
    error.kind = FunctionError::Kind::kMemoryExceeded;
    error.message =
        fmt::format("the function passed its memory limit of {} MiB and its worker was ended",
                    program_->limits.memory_bytes_max >> 20U);
    if (kind_.memory_bytes_beside > 0)
      error.message += fmt::format(" (with the {} MiB that its engine may take)",
                                   kind_.memory_bytes_beside >> 20U);
  } else {
    error.kind = FunctionError::Kind::kWorkerDied;
    error.message = fmt::format("the worker {} {}", describe_exit(exit), when);
    if (WIFEXITED(exit.status) && !kind_.ending_words.empty()) {
      error.message += fmt::format(": {} it, return a value instead", kind_.ending_words);
    }
  }
  owner_.on_call_end(*this, call, std::move(error));
}

Error Worker::start_error(const process::WorkerExit& exit) const {
  if (!nonsense_.empty()) return {ErrorCode::kUnavailable, "a new one sent " + nonsense_, {}};
  return {ErrorCode::kUnavailable,
          fmt::format("a new one {} before it was ready; it wrote: {}", describe_exit(exit),
                      printable_tail(output_tail_)),
          {}};
}

}  // namespace seam::runtimes
