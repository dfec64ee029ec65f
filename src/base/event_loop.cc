#include "base/event_loop.h"

#include <pthread.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace seam {
namespace asio = boost::asio;

namespace {
thread_local EventLoop* current_loop = nullptr;

// Sets the current loop for as long as it lives.
class CurrentLoop {
 public:
  explicit CurrentLoop(EventLoop* loop) : before_(std::exchange(current_loop, loop)) {}
  CurrentLoop(const CurrentLoop&) = delete;
  CurrentLoop& operator=(const CurrentLoop&) = delete;
  ~CurrentLoop() { current_loop = before_; }

 private:
  EventLoop* before_;
};
}  // namespace

struct EventLoop::Impl {
  asio::io_context context{1};  // one thread: Asio leaves out the wake-ups among several
  asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
};

EventLoop::EventLoop(std::string name) : name_(std::move(name)), impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  const CurrentLoop current(this);
  impl_->context.run();
}

void EventLoop::stop() { impl_->context.stop(); }

bool EventLoop::poll() {
  const CurrentLoop current(this);
  impl_->context.restart();
  return impl_->context.poll() > 0;
}

bool EventLoop::is_current() const { return current_loop == this; }
EventLoop* EventLoop::current() { return current_loop; }

void EventLoop::post(Work work) { asio::post(impl_->context, std::move(work)); }

void EventLoop::resume_later(std::coroutine_handle<> waiter) {
  asio::post(impl_->context, [waiter] { waiter.resume(); });
}

asio::io_context& EventLoop::context() { return impl_->context; }

Task<> EventLoop::sleep(Deadline deadline) {
  OneShot<bool> passed;
  Timer timer(*this);
  timer.start(deadline, [&passed] { passed.set(true); });
  co_await passed;
}

struct Timer::Impl {
  explicit Impl(asio::io_context& context) : timer(context) {}
  asio::steady_timer timer;
  Work on_deadline;
  std::uint64_t round = 0;  // tells a late completion of an earlier start from the present one
};

Timer::Timer(EventLoop& loop) : impl_(std::make_shared<Impl>(loop.impl_->context)) {}

Timer::~Timer() { cancel(); }

void Timer::start(Deadline deadline, Work on_deadline) {
  impl_->on_deadline = std::move(on_deadline);
  const std::uint64_t round = ++impl_->round;
  impl_->timer.expires_at(deadline.at);
  impl_->timer.async_wait([impl = impl_, round](const boost::system::error_code& error) {
    if (error || round != impl->round) return;
    ++impl->round;
    Work work = std::move(impl->on_deadline);
    work();
  });
}

void Timer::cancel() {
  ++impl_->round;
  impl_->on_deadline = nullptr;
  impl_->timer.cancel();
}

struct Readiness::Impl {
  Impl(asio::io_context& context, int fd) : descriptor(context, fd) {}
  ~Impl() { descriptor.release(); }
  asio::posix::stream_descriptor descriptor;
  Work on_readable;
  Work on_writable;
  ReadDone on_read = nullptr;
  void* read_context = nullptr;
  std::uint64_t read_round = 0;  // tells a read that was cancelled too late from the present one
  bool dropped = false;
};

Readiness::Readiness(EventLoop& loop, int fd)
    : impl_(std::make_shared<Impl>(loop.impl_->context, fd)) {}

Readiness::~Readiness() {
  cancel();
  impl_->dropped = true;
  impl_->descriptor.release();
}

void Readiness::when_readable(Work work) {
  impl_->on_readable = std::move(work);
  impl_->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                               [impl = impl_](const boost::system::error_code& error) {
                                 if (error == asio::error::operation_aborted || impl->dropped)
                                   return;
                                 if (Work ready = std::exchange(impl->on_readable, nullptr))
                                   ready();
                               });
}

void Readiness::when_writable(Work work) {
  impl_->on_writable = std::move(work);
  impl_->descriptor.async_wait(asio::posix::stream_descriptor::wait_write,
                               [impl = impl_](const boost::system::error_code& error) {
                                 if (error == asio::error::operation_aborted || impl->dropped)
                                   return;
                                 if (Work ready = std::exchange(impl->on_writable, nullptr))
                                   ready();
                               });
}

void Readiness::read(char* buffer, std::size_t size, ReadDone done, void* context) {
  impl_->on_read = done;
  impl_->read_context = context;
  const std::uint64_t round = ++impl_->read_round;
  impl_->descriptor.async_read_some(
      asio::buffer(buffer, size),
      [impl = impl_, round](const boost::system::error_code& error, std::size_t count) {
        if (impl->dropped || round != impl->read_round || impl->on_read == nullptr) return;
        const ReadDone finished = std::exchange(impl->on_read, nullptr);
        finished(impl->read_context, !error ? static_cast<std::ptrdiff_t>(count)
                                     : error == asio::error::eof ? 0
                                                                 : -error.value());
      });
}

void Readiness::cancel() {
  impl_->on_readable = nullptr;
  impl_->on_writable = nullptr;
  impl_->on_read = nullptr;
  ++impl_->read_round;
  boost::system::error_code ignored;
  static_cast<void>(impl_->descriptor.cancel(ignored));
}

}  // namespace seam
