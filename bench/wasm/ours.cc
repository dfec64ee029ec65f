// The work, through the seven interfaces.
#include <cstring>
#include <fstream>
#include <vector>

#include "subjects.h"
#include "wasm/wasi.h"

namespace seam::bench {
namespace {

using namespace seam::wasm;

struct Counter {
  std::uint64_t sum = 0;
};

HostModule host() {
  HostModule module;
  module.add("env", "count", [](HostCall& call, std::int32_t value) -> std::int32_t {
    auto& counter = call.state<Counter>();
    counter.sum += static_cast<std::uint32_t>(value);
    return static_cast<std::int32_t>(counter.sum);
  });
  return module;
}

class Ours final : public Subject {
 public:
  Ours(std::unique_ptr<Runtime> runtime, const Guests& guests, bool caches)
      : runtime_(std::move(runtime)),
        guests_(guests),
        small_(take(runtime_->compile(guests.small))),
        context_(take(runtime_->link(*small_, host()))),
        instance_(take(context_->instantiate(options(), {}))),
        add_(instance_->function("add")),
        once_(instance_->function("once")),
        memory_(instance_->memory()) {
    if (caches) code_ = take(take(runtime_->compile(guests.larger))->serialise());
  }

  std::uint64_t run(Operation operation, std::uint64_t times) override {
    std::uint64_t sum = 0;
    switch (operation) {
      case Operation::kCall:
        for (std::uint64_t i = 0; i < times; ++i) {
          sum += static_cast<std::uint32_t>(
              take(add_->call<std::int32_t>(Deadline::never(), static_cast<std::int32_t>(i), 1)));
        }
        break;
      case Operation::kCallDeadline: {
        const Deadline deadline = Deadline::after(std::chrono::hours(1));
        for (std::uint64_t i = 0; i < times; ++i) {
          sum += static_cast<std::uint32_t>(
              take(add_->call<std::int32_t>(deadline, static_cast<std::int32_t>(i), 1)));
        }
        break;
      }
      case Operation::kCallUntyped:
        for (std::uint64_t i = 0; i < times; ++i) {
          std::array<Value, 2> slots = {Value::of(static_cast<std::int32_t>(i)), Value::of(1)};
          take(add_->call(Interruption{}, slots));
          sum += slots[0].as<std::uint32_t>();
        }
        break;
      case Operation::kRoundTrip:
        counter_.sum = 0;
        for (std::uint64_t i = 0; i < times; ++i) {
          sum += static_cast<std::uint32_t>(
              take(once_->call<std::int32_t>(Deadline::never(), static_cast<std::int32_t>(i))));
        }
        break;
      case Operation::kInstance:
        for (std::uint64_t i = 0; i < times; ++i) sum += instance(static_cast<std::int32_t>(i));
        break;
      case Operation::kCompile:
        for (std::uint64_t i = 0; i < times; ++i)
          sum += take(runtime_->compile(guests_.larger))->exports().size();
        break;
      case Operation::kLoad:
        for (std::uint64_t i = 0; i < times; ++i)
          sum += take(runtime_->load(code_))->exports().size();
        break;
      case Operation::kCopy: {
        const std::span<std::byte, kCopyBytes> bytes = copied();
        for (std::uint64_t i = 0; i < times; ++i) {
          bytes[i % kCopyBytes] = static_cast<std::byte>(i);
          take(memory_->write(0, bytes));
          touch_memory();
          const std::span<const std::byte> read = take(memory_->read(0, kCopyBytes));
          std::memcpy(bytes.data(), read.data(), kCopyBytes);
          sum += static_cast<std::uint64_t>(bytes[i % kCopyBytes]);
        }
        break;
      }
      case Operation::kLoop:
      case Operation::kTightLoop:
      case Operation::kCalls: {
        const std::unique_ptr<FunctionInstance> hot = instance_->function(hot_export(operation));
        const Deadline deadline = Deadline::after(std::chrono::hours(1));
        for (std::uint64_t i = 0; i < times; ++i)
          sum += static_cast<std::uint32_t>(take(hot->call<std::int32_t>(deadline)));
        break;
      }
    }
    return sum;
  }

  void keep_instances(std::uint32_t count) override {
    for (std::uint32_t i = 0; i < count; ++i) {
      kept_.push_back(take(context_->instantiate(options(), {})));
      (void)take(kept_.back()->function("touch")->call<std::int32_t>(Deadline::never(), 1));
    }
  }

 private:
  InstanceOptions options() { return {.limits = {}, .state = &counter_}; }

  std::uint32_t instance(std::int32_t value) {
    const std::unique_ptr<ModuleInstance> made = take(context_->instantiate(options(), {}));
    return static_cast<std::uint32_t>(
        take(made->function("touch")->call<std::int32_t>(Deadline::never(), value)));
  }

  std::unique_ptr<Runtime> runtime_;
  Guests guests_;
  Counter counter_;
  std::unique_ptr<CompiledModule> small_;
  std::unique_ptr<Context> context_;
  std::unique_ptr<ModuleInstance> instance_;
  std::unique_ptr<FunctionInstance> add_;
  std::unique_ptr<FunctionInstance> once_;
  std::unique_ptr<Memory> memory_;
  std::vector<std::unique_ptr<ModuleInstance>> kept_;
  std::string code_;
};

class OursStarter final : public Starter {
 public:
  OursStarter(const EngineAdapter& adapter, const SubjectOptions& options)
      : adapter_(adapter), options_(options) {}

  double start() override {
    const double begin = processor_ns();
    runtime_ = take(adapter_.make({.mode = options_.mode,
                                   .instances_max = options_.instances_max,
                                   .library_folder = options_.library_folder}));
    return processor_ns() - begin;
  }
  std::unique_ptr<Subject> finish(const Guests& guests) override {
    return std::make_unique<Ours>(std::move(runtime_), guests,
                                  adapter_.capabilities(options_.mode).code_cache);
  }

 private:
  EngineAdapter adapter_;
  SubjectOptions options_;
  std::unique_ptr<Runtime> runtime_;
};

}  // namespace

Done Subject::measure(Operation operation, std::uint64_t times) {
  const double begin = processor_ns();
  const std::uint64_t sum = run(operation, times);
  return {sum, processor_ns() - begin};
}

double Subject::own_bytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  std::string word;
  double kib = 0;
  while (file >> word) {
    if (word == "Private_Clean:" || word == "Private_Dirty:") {
      double value = 0;
      file >> value;
      kib += value;
    }
  }
  return kib * 1024;
}

std::unique_ptr<Starter> ours(const EngineAdapter& adapter, const SubjectOptions& options) {
  return std::make_unique<OursStarter>(adapter, options);
}

}  // namespace seam::bench
