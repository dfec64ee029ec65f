#include "wasm/wasmtime/engine.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <wasm.h>
#include <wasmtime.h>

#include "wasm/wasmtime/convert.h"
#include "wasm/wasmtime/sanitizer.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::wasm {
namespace {

constexpr milliseconds kTick{1};
constexpr int kIdleTicksBeforeSleep = 50;  // waking costs a call some microseconds
constexpr std::uint64_t kGiB = 1ULL << 30U;
constexpr std::uint64_t kSlotBytes = 4 * kGiB + (64U << 20U);  // a 32-bit memory and its guard
constexpr std::uint32_t kTablesPerModule = 16;
constexpr std::size_t kTableElementsMax = 20'000;
constexpr std::uint32_t kInstancesMin = 8;

// How many slots the machine's address space takes: the pool maps them all at once, and wasmtime's
// C API ends the process when that fails, so it is tried here first.
std::uint32_t slots_that_fit(std::uint32_t wanted) {
  for (std::uint32_t slots = wanted; slots >= kInstancesMin; slots /= 2) {
    const std::size_t bytes = (slots + 1) * kSlotBytes;
    void* probe =
        ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe != MAP_FAILED) {
      ::munmap(probe, bytes);
      return slots;
    }
  }
  return 0;
}

wasm_config_t* make_config(const WasmtimeOptions& options) {
  wasm_config_t* config = wasm_config_new();
  wasmtime_config_strategy_set(config, options.strategy == WasmtimeStrategy::kWinch
                                           ? WASMTIME_STRATEGY_WINCH
                                           : WASMTIME_STRATEGY_CRANELIFT);
  wasmtime_config_epoch_interruption_set(config, true);
  wasmtime_config_consume_fuel_set(config, options.fuel);
  wasmtime_config_parallel_compilation_set(config, options.parallel_compilation);
  wasmtime_config_memory_init_cow_set(config, true);
  // What the other engines do not have, or a limit does not cover.
  wasmtime_config_wasm_threads_set(config, false);
  wasmtime_config_wasm_multi_memory_set(config, false);
  wasmtime_config_wasm_memory64_set(config, false);
  const std::uint32_t slots = slots_that_fit(options.instances_max);
  if (slots == 0) return config;
  wasmtime_pooling_allocation_config_t* pool = wasmtime_pooling_allocation_config_new();
  wasmtime_pooling_allocation_config_total_core_instances_set(pool, slots);
  wasmtime_pooling_allocation_config_total_memories_set(pool, slots);
  wasmtime_pooling_allocation_config_total_tables_set(pool, slots * kTablesPerModule);
  wasmtime_pooling_allocation_config_total_stacks_set(pool, slots);
  wasmtime_pooling_allocation_config_max_tables_per_module_set(pool, kTablesPerModule);
  wasmtime_pooling_allocation_config_table_elements_set(pool, kTableElementsMax);
  wasmtime_pooling_allocation_config_max_memory_size_set(pool, 4 * kGiB);
  wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, 128U << 10U);
  wasmtime_pooling_allocation_config_table_keep_resident_set(pool, 16U << 10U);
  wasmtime_pooling_allocation_strategy_set(config, pool);
  wasmtime_pooling_allocation_config_delete(pool);
  return config;
}

void describe(ExternType& out, const wasm_externtype_t* type) {
  switch (wasm_externtype_kind(type)) {
    case WASM_EXTERN_FUNC:
      out.kind = ExternKind::kFunction;
      out.function = function_type(wasm_externtype_as_functype_const(type));
      break;
    case WASM_EXTERN_GLOBAL:
      out.kind = ExternKind::kGlobal;
      break;
    case WASM_EXTERN_TABLE:
      out.kind = ExternKind::kTable;
      break;
    case WASM_EXTERN_MEMORY:
      out.kind = ExternKind::kMemory;
      out.memory_pages_min = wasmtime_memorytype_minimum(wasm_externtype_as_memorytype_const(type));
      break;
    default:
      out.kind = ExternKind::kTag;
      break;
  }
}

std::string text_of(const wasm_name_t* name) { return {name->data, name->size}; }

class WasmtimeModule final : public CompiledModule {
 public:
  WasmtimeModule(std::shared_ptr<Engine> engine, wasmtime_module_t* module)
      : engine_(std::move(engine)), module_(module) {
    wasm_exporttype_vec_t exports;
    wasmtime_module_exports(module_, &exports);
    for (std::size_t i = 0; i < exports.size; ++i) {
      ExternType& out = exports_.emplace_back();
      out.name = text_of(wasm_exporttype_name(exports.data[i]));
      describe(out, wasm_exporttype_type(exports.data[i]));
    }
    wasm_exporttype_vec_delete(&exports);
    wasm_importtype_vec_t imports;
    wasmtime_module_imports(module_, &imports);
    for (std::size_t i = 0; i < imports.size; ++i) {
      ExternType& out = imports_.emplace_back();
      out.module = text_of(wasm_importtype_module(imports.data[i]));
      out.name = text_of(wasm_importtype_name(imports.data[i]));
      describe(out, wasm_importtype_type(imports.data[i]));
    }
    wasm_importtype_vec_delete(&imports);
  }
  WasmtimeModule(WasmtimeModule&&) = delete;
  ~WasmtimeModule() override { wasmtime_module_delete(module_); }

  const std::vector<ExternType>& exports() const override { return exports_; }
  const std::vector<ExternType>& imports() const override { return imports_; }
  Outcome<std::string> serialise() const override {
    wasm_byte_vec_t bytes;
    if (wasmtime_error_t* error = wasmtime_module_serialize(module_, &bytes)) {
      return std::unexpected(take_error(error, ErrorCode::kInvalidConfiguration));
    }
    std::string result(bytes.data, bytes.size);
    wasm_byte_vec_delete(&bytes);
    return result;
  }
  std::size_t code_bytes() const override {
    void* begin = nullptr;
    void* end = nullptr;
    wasmtime_module_image_range(module_, &begin, &end);
    return static_cast<std::size_t>(static_cast<char*>(end) - static_cast<char*>(begin));
  }
  const wasmtime_module_t* module() const { return module_; }

 private:
  std::shared_ptr<Engine> engine_;  // shared: see Engine
  wasmtime_module_t* module_;
  std::vector<ExternType> exports_;
  std::vector<ExternType> imports_;
};

class WasmtimeRuntime final : public Runtime {
 public:
  WasmtimeRuntime(std::shared_ptr<Engine> engine, std::string key)
      : engine_(std::move(engine)), key_(std::move(key)) {}

  std::string_view name() const override { return "wasmtime"; }
  std::string engine_key() const override { return key_; }

  Outcome<std::unique_ptr<CompiledModule>> compile(std::string_view bytes) override {
    wasmtime_module_t* module = nullptr;
    const UnseenLocks compilation;
    if (wasmtime_error_t* error = wasmtime_module_new(
            engine_->engine, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(),
            &module)) {
      Error taken = take_error(error, ErrorCode::kModuleCompileFailed);
      // The pool refuses a module that begins larger than any slot before it is asked for an
      // instance.
      if (taken.message.contains("which exceeds the limit") ||
          taken.message.contains("does not fit in pooling allocator requirements"))
        taken.code = ErrorCode::kLimitExceeded;
      return std::unexpected(std::move(taken));
    }
    return std::make_unique<WasmtimeModule>(engine_, module);
  }

  Outcome<std::unique_ptr<CompiledModule>> load(std::string_view machine_code) override {
    wasmtime_module_t* module = nullptr;
    if (wasmtime_error_t* error = wasmtime_module_deserialize(
            engine_->engine, reinterpret_cast<const std::uint8_t*>(machine_code.data()),
            machine_code.size(), &module)) {
      return std::unexpected(take_error(error, ErrorCode::kModuleCompileFailed));
    }
    return std::make_unique<WasmtimeModule>(engine_, module);
  }

  Outcome<std::unique_ptr<Context>> link(const CompiledModule& module,
                                         const HostModule& host) override {
    return make_context(engine_, static_cast<const WasmtimeModule&>(module).module(),
                        module.imports(), module.exports(), host);
  }

  Outcome<std::unique_ptr<ModuleInstance>> instantiate_linked(
      const CompiledModule& module, const HostModule& host, std::span<const LinkedInstance> linked,
      const InstanceOptions& options, const Interruption& interruption) override {
    return make_linked(*engine_, static_cast<const WasmtimeModule&>(module).module(), module, host,
                       linked, options, interruption);
  }

 private:
  std::shared_ptr<Engine> engine_;  // shared: see Engine
  std::string key_;
};

}  // namespace

EpochTicker::EpochTicker(wasm_engine_t* engine) : engine_(engine), thread_([this] { tick(); }) {}

EpochTicker::~EpochTicker() {
  stopping_ = true;
  wake();
  thread_.join();
}

void EpochTicker::wake() {
  if (state_.exchange(State::kBusy) != State::kAsleep) return;
  const std::lock_guard lock(mutex_);
  wakened_.notify_one();
}

void EpochTicker::tick() {
  int idle = 0;
  while (!stopping_) {
    std::this_thread::sleep_for(kTick);
    wasmtime_engine_increment_epoch(engine_);
    const bool busy = state_.exchange(State::kIdle) == State::kBusy || long_runs_ > 0;
    idle = busy ? 0 : idle + 1;
    if (idle < kIdleTicksBeforeSleep) continue;
    sleep();
    idle = 0;
  }
}

void EpochTicker::sleep() {
  std::unique_lock lock(mutex_);
  State idle = State::kIdle;
  if (!state_.compare_exchange_strong(idle, State::kAsleep)) return;  // one has just entered
  // One that was counted before it could see kAsleep is seen here; one that is later wakes us.
  if (long_runs_ > 0 || stopping_) {
    state_ = State::kBusy;
    return;
  }
  wakened_.wait(lock, [this] { return state_ != State::kAsleep; });
}

Engine::~Engine() {
  ticker.reset();
  if (engine != nullptr) wasm_engine_delete(engine);
}

#ifdef WASMTIME_FEATURE_WINCH
constexpr bool kHasWinch = true;
#else
constexpr bool kHasWinch = false;
#endif

Outcome<std::unique_ptr<Runtime>> make_wasmtime(const WasmtimeOptions& options) {
  const bool winch = options.strategy == WasmtimeStrategy::kWinch;
  if (winch && !kHasWinch)
    return fail(ErrorCode::kInvalidConfiguration, "this wasmtime was built without winch");
  if (options.instances_max == 0)
    return fail(ErrorCode::kInvalidConfiguration, "instances_max is 0: give at least 1");
  auto engine = std::make_shared<Engine>();
  engine->engine = wasm_engine_new_with_config(make_config(options));
  engine->fuel = options.fuel;
  engine->ticker = std::make_unique<EpochTicker>(engine->engine);
  // wasmtime itself compares processor features when it loads; the key keeps configurations apart.
  return std::make_unique<WasmtimeRuntime>(
      std::move(engine), fmt::format("wasmtime-{}-{}{}", WASMTIME_VERSION,
                                     winch ? "winch" : "cranelift", options.fuel ? "-fuel" : ""));
}

EngineAdapter wasmtime_adapter() {
  EngineAdapter adapter;
  adapter.name = "wasmtime";
  adapter.mode_key = "strategy";
  adapter.modes = {"cranelift"};
  if (kHasWinch) adapter.modes.emplace_back("winch");
  adapter.capabilities = [](std::string_view mode) {
    EngineCapabilities can;
    can.fuel = true;
    can.slices = true;
    can.code_cache = true;
    can.generates_code = true;
    can.proposals = {"extended-const"};
    if (mode != "winch") {
      for (const char* proposal :
           {"tail-call", "relaxed-simd", "function-references", "gc", "exceptions"})
        can.proposals.emplace_back(proposal);
    }
    return can;
  };
  adapter.version = [](const EngineOptions&) -> Outcome<std::string> { return WASMTIME_VERSION; };
  adapter.make = [](const EngineOptions& options) {
    return make_wasmtime({.strategy = options.mode == "winch" ? WasmtimeStrategy::kWinch
                                                              : WasmtimeStrategy::kCranelift,
                          .instances_max = options.instances_max,
                          .fuel = options.fuel,
                          .parallel_compilation = options.parallel_compilation});
  };
  return adapter;
}

Outcome<std::string> wasm_from_text(std::string_view text) {
  wasm_byte_vec_t bytes;
  if (wasmtime_error_t* error = wasmtime_wat2wasm(text.data(), text.size(), &bytes)) {
    return std::unexpected(take_error(error, ErrorCode::kModuleCompileFailed));
  }
  std::string result(bytes.data, bytes.size);
  wasm_byte_vec_delete(&bytes);
  return result;
}

}  // namespace seam::wasm
