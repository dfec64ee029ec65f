#pragma once
// One T for each event loop, reached without a lock by the loop it belongs to.
//
//   PerLoop<Buffer> buffers(loops);
//   buffers.here().clear();            // on any of these loops

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/event_loop.h"

namespace seam {

template <class T>
class PerLoop {
 public:
  explicit PerLoop(std::span<EventLoop* const> loops) {
    for (EventLoop* loop : loops) slots_.push_back({loop, std::make_unique<T>()});
  }

  // The calling loop's own. Calling from elsewhere is a bug.
  [[nodiscard]] T& here() { return *slots_[index()].value; }
  [[nodiscard]] const T& here() const { return *slots_[index()].value; }

  // The position of the calling loop among the loops it was made with.
  [[nodiscard]] std::size_t index() const {
    const EventLoop* current = EventLoop::current();
    for (std::size_t i = 0; i < slots_.size(); ++i) {  // a few loops: faster than a table
      if (slots_[i].loop == current) return i;
    }
    check_failed(__FILE__, __LINE__, "called on one of its loops");
  }

  [[nodiscard]] std::size_t size() const { return slots_.size(); }
  [[nodiscard]] EventLoop& loop(std::size_t i) const { return *slots_[i].loop; }
  // Only before the loops run, or on loop(i).
  [[nodiscard]] T& at(std::size_t i) { return *slots_[i].value; }

 private:
  struct Slot {
    EventLoop* loop;
    std::unique_ptr<T> value;
  };
  std::vector<Slot> slots_;
};

}  // namespace seam
