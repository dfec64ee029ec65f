#include "runtimes/wait.h"

namespace seam::runtimes {

bool Wait::end(End how) {
  if (ended_.exchange(true)) return false;
  loop_.post([self = shared_from_this(), how] { self->outcome_.set(how); });
  return true;
}

Task<Wait::End> Wait::until(std::shared_ptr<Wait> wait, Deadline deadline,
                            std::stop_token cancelled) {
  Timer timer(wait->loop_);
  if (deadline != Deadline::never()) {
    timer.start(deadline, [wait] { wait->end(End::kDeadline); });
  }
  const auto cancel = [wait] { wait->end(End::kCancelled); };
  const std::stop_callback on_cancel(std::move(cancelled), cancel);
  const End how = co_await wait->outcome_;
  timer.cancel();
  co_return how;
}

Task<Gate::Entry> Gate::enter(Deadline deadline, std::stop_token cancelled) {
  std::shared_ptr<Wait> wait;
  {
    const std::lock_guard lock(mutex_);
    if (running_ < running_max_) {
      ++running_;
      co_return Entry::kEntered;
    }
    if (waiting_ >= waiting_max_) co_return Entry::kFull;
    ++waiting_;
    wait = std::make_shared<Wait>(*EventLoop::current());
    queue_.push_back(wait);
  }
  const Wait::End how = co_await Wait::until(wait, deadline, cancelled);
  {
    const std::lock_guard lock(mutex_);
    --waiting_;
    if (how != Wait::End::kReady) std::erase(queue_, wait);
  }
  if (how == Wait::End::kReady) co_return Entry::kEntered;
  co_return how == Wait::End::kDeadline ? Entry::kDeadline : Entry::kCancelled;
}

void Gate::leave() {
  const std::lock_guard lock(mutex_);
  while (!queue_.empty()) {
    const std::shared_ptr<Wait> next = std::move(queue_.front());
    queue_.pop_front();
    if (next->end(Wait::End::kReady)) return;  // it takes over the place
  }
  --running_;
}

bool Gate::idle() const {
  const std::lock_guard lock(mutex_);
  return running_ == 0 && waiting_ == 0;
}

std::size_t Gate::running() const {
  const std::lock_guard lock(mutex_);
  return running_;
}

std::size_t Gate::waiting() const {
  const std::lock_guard lock(mutex_);
  return waiting_;
}

}  // namespace seam::runtimes
