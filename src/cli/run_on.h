#pragma once
// Runs a task on a loop from a thread that runs none, and waits for its end.
//
//   const Result<Written> written = run_on(home, registry.put(std::move(request)));

#include <future>
#include <type_traits>

#include "base/event_loop.h"
#include "base/task.h"

namespace seam::cli {

template <class T>
T run_on(EventLoop& loop, Task<T> task) {
  std::promise<T> done;
  std::future<T> value = done.get_future();
  // The task is handed over through a pointer, since posted work is called once and not copied.
  loop.post([task = std::move(task), &done]() mutable {
    if constexpr (std::is_void_v<T>) {
      start(std::move(task), [&done] { done.set_value(); });
    } else {
      start(std::move(task), [&done](T result) { done.set_value(std::move(result)); });
    }
  });
  return value.get();
}

}  // namespace seam::cli
