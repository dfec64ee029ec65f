#pragma once
// Host functions: what a guest may call. Written once, as ordinary C++, the same for every engine.
//
//   HostModule host;
//   host.add("env", "add", [](HostCall&, std::int32_t a, std::int32_t b) { return a + b; });
//   host.add("env", "read", [](HostCall& call, std::uint32_t at, std::uint32_t size) ->
//   Outcome<std::uint32_t> {
//     std::span<std::byte> bytes = call.slice(at, size);   // empty if it leaves the guest's memory
//     …
//   });
//
// A callable takes a HostCall& and numbers, and returns nothing, a number, or an Outcome of either;
// an error ends the guest's call with that error. It runs on the thread that runs the guest, must
// be callable from several threads at once (its own state is shared between instances; an
// instance's state comes from HostCall::state()), must not throw, and costs no allocation.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "wasm/error.h"
#include "wasm/value.h"

namespace seam::wasm {

// What a host function sees of its caller. Borrowed for the call.
class HostCall {
 public:
  // The memory that the guest exports as "memory", or nothing. Dies with the call, or when the
  // guest runs again.
  [[nodiscard]] virtual std::span<std::byte> memory() = 0;
  // What the instance was made with.
  template <class T>
  [[nodiscard]] T& state() {
    return *static_cast<T*>(state_);
  }

  // `size` bytes at `offset`; data() is null if they do not lie in the memory. Zero bytes inside
  // the memory, its end included, are a slice too.
  [[nodiscard]] std::span<std::byte> slice(std::uint32_t offset, std::uint32_t size) {
    const std::span<std::byte> all = memory();
    if (offset > all.size() || size > all.size() - offset || all.data() == nullptr) return {};
    return all.subspan(offset, size);
  }
  // Lets the guest go on only once `until` has passed, without holding a thread where the engine
  // can. Only in functions added with add_waiting().
  void wait_until(Deadline until) { wait_until_ = until; }

  [[nodiscard]] const std::optional<Deadline>& waits_until() const { return wait_until_; }

 protected:
  explicit HostCall(void* state) : state_(state) {}
  ~HostCall() = default;
  // For the next call, where one object serves all of an instance.
  void forget_wait() { wait_until_.reset(); }

 private:
  void* state_;
  std::optional<Deadline> wait_until_;
};

struct HostFunction {
  std::string module;
  std::string name;
  FunctionType type;
  bool may_wait = false;
  // Reads params from and leaves the result in the slots. A failure ends the guest's call.
  Failure (*invoke)(const void* callable, HostCall& call, Value* slots) = nullptr;
  std::shared_ptr<const void>
      callable;  // shared by the copies of this module and what was linked with it
};

namespace host_internal {

template <class R>
struct ResultOf {
  using type = R;
};
template <class R>
struct ResultOf<Outcome<R>> {
  using type = R;
};

template <class Callable, class R, class... Args>
HostFunction make(std::string module, std::string name, Callable callable,
                  R (Callable::*)(HostCall&, Args...) const) {
  HostFunction function;
  function.module = std::move(module);
  function.name = std::move(name);
  function.type.params = {value_type_of<Args>()...};
  using Number = typename ResultOf<R>::type;
  if constexpr (!std::is_void_v<Number>) function.type.results = {value_type_of<Number>()};
  function.callable = std::make_shared<Callable>(std::move(callable));
  function.invoke = [](const void* object, HostCall& call,
                       [[maybe_unused]] Value* slots) -> Failure {
    const auto& self = *static_cast<const Callable*>(object);
    const auto apply = [&]<std::size_t... i>(std::index_sequence<i...>) -> R {
      return self(call, slots[i].template as<Args>()...);
    };
    if constexpr (std::is_void_v<R>) {
      apply(std::index_sequence_for<Args...>());
    } else if constexpr (std::is_same_v<R, Number>) {
      slots[0] = Value::of(apply(std::index_sequence_for<Args...>()));
    } else {
      R result = apply(std::index_sequence_for<Args...>());
      if (!result) [[unlikely]]
        return std::move(result).error();
      if constexpr (!std::is_void_v<Number>) slots[0] = Value::of(*result);
    }
    return {};
  };
  return function;
}

}  // namespace host_internal

// A set of host functions. Copies share the callables. Filled by one thread, then read by any.
class HostModule {
 public:
  template <class Callable>
  void add(std::string module, std::string name, Callable callable) {
    functions_.push_back(host_internal::make(std::move(module), std::move(name),
                                             std::move(callable), &Callable::operator()));
  }
  // As add(), for one that may call HostCall::wait_until().
  template <class Callable>
  void add_waiting(std::string module, std::string name, Callable callable) {
    add(std::move(module), std::move(name), std::move(callable));
    functions_.back().may_wait = true;
  }
  [[nodiscard]] const std::vector<HostFunction>& functions() const { return functions_; }
  // The function that the import asks for; borrowed until one is added or the module goes.
  // errors    kModuleInstantiateFailed   there is none, or it is of another type; the message
  //                                      names the import, and both types
  [[nodiscard]] Outcome<const HostFunction*> resolve(const ExternType& import) const;

 private:
  std::vector<HostFunction> functions_;
};

}  // namespace seam::wasm
