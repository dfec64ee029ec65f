#include "runtimes/rust/sandboxed_run.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <utility>

#include "runtimes/wait.h"
#include "runtimes/worker_messages.h"

namespace seam::runtimes {

namespace {

constexpr std::size_t kReadBytesAtOnce = 64U << 10U;

// What is under way with one worker. On its loop alone.
class Talk {
 public:
  enum class End { kClosed, kTooMuch };

  Talk(EventLoop& loop, process::SpawnedWorker& worker, std::string input,
       std::size_t answer_bytes_max, std::shared_ptr<Wait> ended)
      : worker_(worker),
        input_(std::move(input)),
        answer_bytes_max_(answer_bytes_max),
        ended_(std::move(ended)),
        socket_(loop, worker.socket.get()),
        output_(loop, worker.output.get()) {
    send();
    receive();
    drain();
  }

  // Nothing more is read from here on.
  void stop() {
    socket_.cancel();
    output_.cancel();
  }
  [[nodiscard]] bool too_much() const { return too_much_; }
  [[nodiscard]] std::string take_answer() { return std::move(answer_); }
  [[nodiscard]] std::string take_tail() {
    take_output();
    return std::move(tail_);
  }

 private:
  void send() {
    while (sent_ < input_.size()) {
      const ssize_t count =
          ::send(worker_.socket.get(), input_.data() + sent_, input_.size() - sent_, MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) {
        socket_.when_writable([this] { send(); });
        return;
      }
      if (count < 0) return;  // it has ended; its answer says more
      sent_ += static_cast<std::size_t>(count);
    }
    ::shutdown(worker_.socket.get(), SHUT_WR);
  }

  void receive() {
    std::array<char, kReadBytesAtOnce> buffer;
    while (true) {
      const ssize_t count = ::read(worker_.socket.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) {
        socket_.when_readable([this] { receive(); });
        return;
      }
      if (count <= 0) break;
      answer_.append(buffer.data(), static_cast<std::size_t>(count));
      too_much_ = answer_.size() > answer_bytes_max_;
      if (too_much_) break;
    }
    ended_->end(Wait::End::kReady);
  }

  // False at its end.
  bool take_output() {
    std::array<char, 4096> buffer;
    while (true) {
      const ssize_t count = ::read(worker_.output.get(), buffer.data(), buffer.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0 && errno == EAGAIN) return true;
      if (count <= 0) return false;
      append_tail(tail_, {buffer.data(), static_cast<std::size_t>(count)});
    }
  }
  void drain() {
    if (take_output()) output_.when_readable([this] { drain(); });
  }

  process::SpawnedWorker& worker_;
  const std::string input_;
  std::size_t sent_ = 0;
  std::string answer_;
  const std::size_t answer_bytes_max_;
  bool too_much_ = false;
  std::string tail_;
  const std::shared_ptr<Wait> ended_;  // shared with its timer
  Readiness socket_;
  Readiness output_;
};

}  // namespace

Task<Result<SandboxedRun>> run_sandboxed(EventLoop& loop, process::Spawner& spawner,
                                         process::WorkerSpec spec, std::string input,
                                         SandboxedRunLimits limits, std::stop_token stop) {
  const Deadline deadline = Deadline::after(limits.time_max);
  SEAM_CO_ASSIGN_OR_RETURN(process::SpawnedWorker worker, co_await spawner.spawn(std::move(spec)));
  auto ended = std::make_shared<Wait>(loop);
  SandboxedRun run;
  Wait::End how = Wait::End::kReady;
  bool too_much = false;
  {
    Talk talk(loop, worker, std::move(input), limits.answer_bytes_max, ended);
    how = co_await Wait::until(ended, deadline, std::move(stop));
    talk.stop();
    too_much = talk.too_much();
    run.answer = talk.take_answer();
    run.tail = talk.take_tail();
  }
  run.exit = co_await spawner.reap(worker.id);
  if (how == Wait::End::kDeadline)
    co_return fail(ErrorCode::kDeadlineExceeded, "it took too long and was ended");
  if (how == Wait::End::kCancelled) co_return fail(ErrorCode::kCancelled, "it was stopped");
  if (too_much) co_return fail(ErrorCode::kResourceExhausted, "it answered too much and was ended");
  co_return run;
}

}  // namespace seam::runtimes
