// Runs modules on every engine and compares what they do: fuzz.py gives it random ones.
//
//   build/release/tests/differential/differential [--libraries DIR] FILE.wasm…
//
// Each exported function is called with numbers that follow from its name. What is compared, call
// by call: the results or the error's code and trap, what is in memory afterwards, and the exported
// globals. A stack that ends and a time that is up end the comparison of that module, for they come
// earlier on one engine than on another. Prints each difference; exits with 1 where there was one.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

#include "endurance/engines.h"

namespace seam::differential {
namespace {

using namespace seam::wasm;

constexpr std::uint64_t kMemoryMax = 64U << 20U;
constexpr std::uint64_t kOffset = 14695981039346656037ULL;  // FNV-1a

std::uint64_t hash_of(std::span<const std::byte> bytes, std::uint64_t hash = kOffset) {
  for (const std::byte byte : bytes)
    hash = (hash ^ static_cast<std::uint64_t>(byte)) * 1099511628211ULL;
  return hash;
}

// What a module did on one engine: a line an event.
struct Trace {
  std::vector<std::string> lines;
  bool comparable = true;  // false: what follows the last line depends on the engine
};

struct Engine {
  std::string name;
  std::unique_ptr<Runtime> runtime;
};

std::string number_of(ValueType type, const Value& value) {
  const auto hex = [&](std::size_t bytes) {
    std::string text;
    for (std::size_t i = bytes; i > 0; --i) text += fmt::format("{:02x}", value.bytes[i - 1]);
    return text;
  };
  switch (type) {
    case ValueType::kI32:
    case ValueType::kF32:
      return hex(4);
    case ValueType::kI64:
    case ValueType::kF64:
      return hex(8);
    case ValueType::kV128:
      return hex(16);
    case ValueType::kFuncref:
    case ValueType::kExternref:
      return value.bytes[8] == 0 ? "null" : "a reference";
  }
  return "";
}

// Small numbers, edges, and anything.
Value param(ValueType type, std::uint64_t& state) {
  state = state * 6364136223846793005ULL + 1442695040888963407ULL;
  const std::uint64_t random = state >> 16U;
  static constexpr std::int64_t kEdges[] = {0,     1,         -1,        2,         255,
                                            65536, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
  const std::int64_t number = random % 4 == 0 ? static_cast<std::int64_t>(state)
                                              : kEdges[(random >> 4U) % std::size(kEdges)];
  switch (type) {
    case ValueType::kI32:
      return Value::of(static_cast<std::int32_t>(number));
    case ValueType::kI64:
      return Value::of(number);
    case ValueType::kF32:
      return Value::of(static_cast<float>(number) / 3);
    case ValueType::kF64:
      return Value::of(static_cast<double>(number) / 7);
    default:
      return {};  // a vector of zeros, a null
  }
}

class Run {
 public:
  explicit Run(Engine& engine) : engine_(engine) {}

  Trace of(const std::string& bytes) {
    const auto module = engine_.runtime->compile(bytes);
    if (!add("compile", module)) return trace_;
    const auto context = engine_.runtime->link(**module, {});
    if (!add("link", context)) return trace_;
    std::vector<ExternType> exports = (*module)->exports();
    std::ranges::sort(exports, {}, &ExternType::name);
    std::unique_ptr<ModuleInstance> instance;
    for (const ExternType& item : exports) {
      if (item.kind != ExternKind::kFunction) continue;
      if (instance == nullptr) {
        auto made = (*context)->instantiate({.limits = {.memory_bytes_max = kMemoryMax}}, by());
        if (!add("instantiate", made)) return trace_;
        instance = *std::move(made);
        look(*instance, exports);
      }
      call(*instance, item, exports);
      if (spent_) instance.reset();
      if (!trace_.comparable) return trace_;
    }
    return trace_;
  }

 private:
  static Interruption by() { return {Deadline::after(seconds(20)), {}}; }

  template <class T>
  bool add(std::string_view what, const Outcome<T>& outcome) {
    if (outcome) return true;
    const wasm::Error& error = outcome.error();
    const bool trapped = error.code == wasm::ErrorCode::kTrapped;
    trace_.lines.push_back(
        fmt::format("{}: {}", what, trapped ? to_string(error.trap) : to_string(error.code)));
    trace_.comparable = !(trapped && error.trap == TrapKind::kStackOverflow) &&
                        error.code != wasm::ErrorCode::kDeadlineExceeded;
    return false;
  }

  void call(ModuleInstance& instance, const ExternType& item,
            const std::vector<ExternType>& exports) {
    std::uint64_t state = hash_of(std::as_bytes(std::span(item.name)));
    std::vector<Value> slots(item.function.slots());
    for (std::size_t i = 0; i < item.function.params.size(); ++i)
      slots[i] = param(item.function.params[i], state);
    const auto function = instance.function(item.name);
    if (function == nullptr) {
      trace_.lines.push_back(item.name + ": not exported");
      return;
    }
    const Outcome<> outcome = function->call(by(), slots);
    spent_ = !outcome;
    if (!add(item.name, outcome)) return;
    std::vector<std::string> results;
    for (std::size_t i = 0; i < item.function.results.size(); ++i)
      results.push_back(number_of(item.function.results[i], slots[i]));
    trace_.lines.push_back(fmt::format("{}: ({})", item.name, fmt::join(results, ", ")));
    look(instance, exports);
  }

  // At what can be seen from outside.
  void look(ModuleInstance& instance, const std::vector<ExternType>& exports) {
    for (const ExternType& item : exports) {
      if (item.kind == ExternKind::kMemory) {
        const std::span<const std::byte> bytes = instance.memory(item.name)->view();
        trace_.lines.push_back(
            fmt::format("memory {}: {} bytes, {:016x}", item.name, bytes.size(), hash_of(bytes)));
      } else if (item.kind == ExternKind::kGlobal) {
        const std::optional<TypedValue> value = instance.global(item.name);
        trace_.lines.push_back(fmt::format("global {}: {}", item.name,
                                           value ? number_of(value->type, value->value) : "none"));
      }
    }
  }

  Engine& engine_;
  Trace trace_;
  bool spent_ = false;
};

// The first line in which they differ, or nothing.
std::string difference(const Trace& a, const Trace& b) {
  const auto [left, right] = std::ranges::mismatch(a.lines, b.lines);
  const auto at = left - a.lines.begin();
  // Up to the line after which nothing can be compared, whichever came to it first.
  for (const Trace* trace : {&a, &b}) {
    if (!trace->comparable && at >= static_cast<std::ptrdiff_t>(trace->lines.size()) - 1) return "";
  }
  const auto line = [&](const Trace& trace, auto place) {
    return place == trace.lines.end() ? std::string("nothing more") : *place;
  };
  if (left == a.lines.end() && right == b.lines.end()) return "";
  return fmt::format("{} | {}", line(a, left), line(b, right));
}

int run(const std::vector<std::string>& files, const std::string& libraries) {
  std::vector<Engine> all;
  for (const EngineAdapter& adapter : endurance::engines()) {
    for (const std::string& mode : endurance::modes_of(adapter)) {
      auto runtime = adapter.make({.mode = mode, .instances_max = 8, .library_folder = libraries});
      if (!runtime) throw std::runtime_error(runtime.error().message);
      all.push_back({endurance::name_of(adapter, mode), *std::move(runtime)});
    }
  }
  int differences = 0;
  std::size_t lines = 0;
  for (const std::string& file : files) {
    fmt::print(stderr, "{}\n", file);  // the last one, should an engine end the process
    std::ifstream stream(file, std::ios::binary);
    if (!stream) throw std::runtime_error("cannot read " + file);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    const Trace first = Run(all.front()).of(bytes);
    lines += first.lines.size();
    for (std::size_t i = 1; i < all.size(); ++i) {
      const std::string found = difference(first, Run(all[i]).of(bytes));
      if (found.empty()) continue;
      ++differences;
      fmt::print("{}: {} | {}: {}\n", file, all.front().name, all[i].name, found);
    }
  }
  fmt::print("{} modules on {} engines, {} lines compared, {} differences\n", files.size(),
             all.size(), lines, differences);
  return differences == 0 ? 0 : 1;
}

}  // namespace
}  // namespace seam::differential

int main(int argc, char** argv) {
  std::vector<std::string> files;
  std::string libraries = seam::endurance::library_folder();
  CLI::App app("Compares what modules do on every engine.");
  app.add_option("files", files)->required()->check(CLI::ExistingFile);
  app.add_option("--libraries", libraries, "folder of the engines' shared libraries");
  CLI11_PARSE(app, argc, argv);
  try {
    return seam::differential::run(files, libraries);
  } catch (const std::exception& error) {
    fmt::print(stderr, "differential: {}\n", error.what());
    return 2;
  }
}
