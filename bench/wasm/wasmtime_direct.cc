// The work, as a host would write it on wasmtime's C API: the same configuration, the same limits,
// and calls that can be interrupted by an epoch that a thread advances every millisecond; or, where
// it is asked for, code that looks at no epoch.
#include <wasm.h>
#include <wasmtime.h>

#include <atomic>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "subjects.h"

namespace seam::bench {
namespace {

constexpr std::int64_t kMemoryMax = 256LL << 20U;
constexpr std::int64_t kTableMax = 20'000;
constexpr std::uint64_t kGiB = 1ULL << 30U;
constexpr milliseconds kTick{1};

void check(wasmtime_error_t* error, wasm_trap_t* trap = nullptr) {
  if (error == nullptr && trap == nullptr) return;
  wasm_byte_vec_t text;
  if (error != nullptr) {
    wasmtime_error_message(error, &text);
  } else {
    wasm_trap_message(trap, &text);
  }
  throw std::runtime_error(std::string(text.data, text.size));
}

struct Counter {
  std::uint64_t sum = 0;
};

wasm_trap_t* count(void* /*env*/, wasmtime_caller_t* caller, wasmtime_val_raw_t* slots,
                   std::size_t /*count*/) {
  auto& counter =
      *static_cast<Counter*>(wasmtime_context_get_data(wasmtime_caller_context(caller)));
  counter.sum += static_cast<std::uint32_t>(slots[0].i32);
  slots[0].i32 = static_cast<std::int32_t>(counter.sum);
  return nullptr;
}

wasmtime_error_t* go_on(wasmtime_context_t* /*context*/, void* /*data*/, std::uint64_t* delta,
                        wasmtime_update_deadline_kind_t* kind) {
  *delta = 1;
  *kind = WASMTIME_UPDATE_DEADLINE_CONTINUE;
  return nullptr;
}

struct Engine {
  wasm_engine_t* engine = nullptr;
  wasmtime_linker_t* linker = nullptr;
  std::atomic<bool> stopping{false};
  std::thread ticker;

  explicit Engine(const SubjectOptions& options) {
    const std::uint32_t instances_max = options.instances_max;
    wasm_config_t* config = wasm_config_new();
    wasmtime_config_strategy_set(
        config, options.mode == "winch" ? WASMTIME_STRATEGY_WINCH : WASMTIME_STRATEGY_CRANELIFT);
    wasmtime_config_epoch_interruption_set(config, options.interruptible);
    wasmtime_config_consume_fuel_set(config, false);
    wasmtime_config_parallel_compilation_set(config, false);
    wasmtime_config_memory_init_cow_set(config, true);
    wasmtime_config_wasm_threads_set(config, false);
    wasmtime_config_wasm_multi_memory_set(config, false);
    wasmtime_config_wasm_memory64_set(config, false);
    wasmtime_pooling_allocation_config_t* pool = wasmtime_pooling_allocation_config_new();
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, instances_max);
    wasmtime_pooling_allocation_config_total_memories_set(pool, instances_max);
    wasmtime_pooling_allocation_config_total_tables_set(pool, instances_max * 4);
    wasmtime_pooling_allocation_config_total_stacks_set(pool, instances_max);
    wasmtime_pooling_allocation_config_max_tables_per_module_set(pool, 4);
    wasmtime_pooling_allocation_config_table_elements_set(pool, kTableMax);
    wasmtime_pooling_allocation_config_max_memory_size_set(pool, 4 * kGiB);
    wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, 128U << 10U);
    wasmtime_pooling_allocation_config_table_keep_resident_set(pool, 16U << 10U);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
    engine = wasm_engine_new_with_config(config);
    linker = wasmtime_linker_new(engine);
    if (!options.interruptible) return;
    ticker = std::thread([this] {
      while (!stopping) {
        std::this_thread::sleep_for(kTick);
        wasmtime_engine_increment_epoch(engine);
      }
    });
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() {
    stopping = true;
    if (ticker.joinable()) ticker.join();
    wasmtime_linker_delete(linker);
    wasm_engine_delete(engine);
  }

  wasmtime_module_t* compile(const std::string& bytes) const {
    wasmtime_module_t* module = nullptr;
    check(wasmtime_module_new(engine, reinterpret_cast<const std::uint8_t*>(bytes.data()),
                              bytes.size(), &module));
    return module;
  }
};

struct Instance {
  wasmtime_store_t* store;
  wasmtime_context_t* context;
  wasmtime_instance_t instance{};

  Instance(const Engine& engine, const wasmtime_instance_pre_t* pre, Counter& counter)
      : store(wasmtime_store_new(engine.engine, &counter, nullptr)),
        context(wasmtime_store_context(store)) {
    wasmtime_store_limiter(store, kMemoryMax, kTableMax, -1, -1, -1);
    wasmtime_store_epoch_deadline_callback(store, go_on, nullptr, nullptr);
    wasmtime_context_set_epoch_deadline(context, 1);
    wasm_trap_t* trap = nullptr;
    wasmtime_error_t* error = wasmtime_instance_pre_instantiate(pre, context, &instance, &trap);
    check(error, trap);
  }
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;
  ~Instance() { wasmtime_store_delete(store); }

  wasmtime_extern_t find(std::string_view name) const {
    wasmtime_extern_t found;
    if (!wasmtime_instance_export_get(context, &instance, name.data(), name.size(), &found)) {
      throw std::runtime_error("no such export");
    }
    return found;
  }
  // As a host calls that has no limit of time for it, but must be able to look in.
  std::uint32_t call(const wasmtime_func_t& function, std::int32_t a, std::int32_t b) const {
    wasmtime_val_raw_t slots[2];
    slots[0].i32 = a;
    slots[1].i32 = b;
    wasm_trap_t* trap = nullptr;
    wasmtime_context_set_epoch_deadline(context, 1);
    wasmtime_error_t* error = wasmtime_func_call_unchecked(context, &function, slots, 2, &trap);
    check(error, trap);
    return static_cast<std::uint32_t>(slots[0].i32);
  }
  std::uint32_t call_by(MonotonicTime deadline, const wasmtime_func_t& function, std::int32_t a,
                        std::int32_t b) const {
    const MonotonicTime now = MonotonicClock::now();
    if (now >= deadline) throw std::runtime_error("too late");
    wasmtime_val_raw_t slots[2];
    slots[0].i32 = a;
    slots[1].i32 = b;
    wasm_trap_t* trap = nullptr;
    wasmtime_context_set_epoch_deadline(context,
                                        static_cast<std::uint64_t>((deadline - now) / kTick) + 1);
    wasmtime_error_t* error = wasmtime_func_call_unchecked(context, &function, slots, 2, &trap);
    check(error, trap);
    return static_cast<std::uint32_t>(slots[0].i32);
  }
  std::uint32_t call_checked(const wasmtime_func_t& function, std::int32_t a,
                             std::int32_t b) const {
    wasmtime_val_t params[2];
    params[0].kind = params[1].kind = WASMTIME_I32;
    params[0].of.i32 = a;
    params[1].of.i32 = b;
    wasmtime_val_t result;
    wasm_trap_t* trap = nullptr;
    wasmtime_context_set_epoch_deadline(context, 1);
    wasmtime_error_t* error = wasmtime_func_call(context, &function, params, 2, &result, 1, &trap);
    check(error, trap);
    return static_cast<std::uint32_t>(result.of.i32);
  }
};

class WasmtimeDirect final : public Subject {
 public:
  WasmtimeDirect(std::unique_ptr<Engine> engine, const Guests& guests)
      : engine_(std::move(engine)), guests_(guests) {
    wasm_functype_t* type = wasm_functype_new_1_1(wasm_valtype_new_i32(), wasm_valtype_new_i32());
    check(wasmtime_linker_define_func_unchecked(engine_->linker, "env", 3, "count", 5, type, count,
                                                nullptr, nullptr));
    wasm_functype_delete(type);
    small_ = engine_->compile(guests.small);
    check(wasmtime_linker_instantiate_pre(engine_->linker, small_, &pre_));
    live_ = std::make_unique<Instance>(*engine_, pre_, counter_);
    add_ = live_->find("add").of.func;
    once_ = live_->find("once").of.func;
    memory_ = live_->find("memory").of.memory;
    wasmtime_module_t* larger = engine_->compile(guests.larger);
    check(wasmtime_module_serialize(larger, &code_));
    wasmtime_module_delete(larger);
  }
  WasmtimeDirect(WasmtimeDirect&&) = delete;
  ~WasmtimeDirect() override {
    kept_.clear();
    live_.reset();
    wasm_byte_vec_delete(&code_);
    wasmtime_instance_pre_delete(pre_);
    wasmtime_module_delete(small_);
  }

  std::uint64_t run(Operation operation, std::uint64_t times) override {
    std::uint64_t sum = 0;
    switch (operation) {
      case Operation::kCall:
        for (std::uint64_t i = 0; i < times; ++i)
          sum += live_->call(add_, static_cast<std::int32_t>(i), 1);
        break;
      case Operation::kCallDeadline: {
        const MonotonicTime deadline = MonotonicClock::now() + std::chrono::hours(1);
        for (std::uint64_t i = 0; i < times; ++i) {
          sum += live_->call_by(deadline, add_, static_cast<std::int32_t>(i), 1);
        }
        break;
      }
      case Operation::kCallUntyped:
        for (std::uint64_t i = 0; i < times; ++i)
          sum += live_->call_checked(add_, static_cast<std::int32_t>(i), 1);
        break;
      case Operation::kRoundTrip:
        counter_.sum = 0;
        for (std::uint64_t i = 0; i < times; ++i)
          sum += live_->call(once_, static_cast<std::int32_t>(i), 0);
        break;
      case Operation::kInstance:
        for (std::uint64_t i = 0; i < times; ++i) {
          const Instance made(*engine_, pre_, counter_);
          sum += made.call(made.find("touch").of.func, static_cast<std::int32_t>(i), 0);
        }
        break;
      case Operation::kCompile:
        for (std::uint64_t i = 0; i < times; ++i) sum += drop(engine_->compile(guests_.larger));
        break;
      case Operation::kLoad:
        for (std::uint64_t i = 0; i < times; ++i) {
          wasmtime_module_t* module = nullptr;
          check(wasmtime_module_deserialize(engine_->engine,
                                            reinterpret_cast<const std::uint8_t*>(code_.data),
                                            code_.size, &module));
          sum += drop(module);
        }
        break;
      case Operation::kCopy: {
        const std::span<std::byte, kCopyBytes> bytes = copied();
        for (std::uint64_t i = 0; i < times; ++i) {
          bytes[i % kCopyBytes] = static_cast<std::byte>(i);
          if (wasmtime_memory_data_size(live_->context, &memory_) < kCopyBytes)
            throw std::runtime_error("too small");
          std::uint8_t* data = wasmtime_memory_data(live_->context, &memory_);
          std::memcpy(data, bytes.data(), kCopyBytes);
          touch_memory();
          std::memcpy(bytes.data(), data, kCopyBytes);
          sum += static_cast<std::uint64_t>(bytes[i % kCopyBytes]);
        }
        break;
      }
      case Operation::kLoop:
      case Operation::kTightLoop:
      case Operation::kCalls: {
        const wasmtime_func_t hot = live_->find(hot_export(operation)).of.func;
        for (std::uint64_t i = 0; i < times; ++i) sum += live_->call(hot, 0, 0);
        break;
      }
    }
    return sum;
  }

  void keep_instances(std::uint32_t count) override {
    for (std::uint32_t i = 0; i < count; ++i) {
      kept_.push_back(std::make_unique<Instance>(*engine_, pre_, counter_));
      (void)kept_.back()->call(kept_.back()->find("touch").of.func, 1, 0);
    }
  }

 private:
  // A host that is to choose an export reads their names and types, as ours does for its callers.
  static std::uint64_t drop(wasmtime_module_t* module) {
    wasm_exporttype_vec_t exports;
    wasmtime_module_exports(module, &exports);
    const std::uint64_t count = exports.size;
    wasm_exporttype_vec_delete(&exports);
    wasmtime_module_delete(module);
    return count;
  }

  std::unique_ptr<Engine> engine_;
  Guests guests_;
  Counter counter_;
  wasmtime_module_t* small_ = nullptr;
  wasmtime_instance_pre_t* pre_ = nullptr;
  std::unique_ptr<Instance> live_;
  std::vector<std::unique_ptr<Instance>> kept_;
  wasmtime_func_t add_{};
  wasmtime_func_t once_{};
  wasmtime_memory_t memory_{};
  wasm_byte_vec_t code_{};
};

class WasmtimeStarter final : public Starter {
 public:
  explicit WasmtimeStarter(const SubjectOptions& options) : options_(options) {}
  double start() override {
    const double begin = processor_ns();
    engine_ = std::make_unique<Engine>(options_);
    return processor_ns() - begin;
  }
  std::unique_ptr<Subject> finish(const Guests& guests) override {
    return std::make_unique<WasmtimeDirect>(std::move(engine_), guests);
  }

 private:
  SubjectOptions options_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace

std::unique_ptr<Starter> wasmtime_direct(const SubjectOptions& options) {
  return std::make_unique<WasmtimeStarter>(options);
}

}  // namespace seam::bench
