#include "script.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <deque>
#include <fstream>
#include <sstream>

#include "base/check.h"
#include "proposals.h"
#include "values.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::wasm {
namespace {

using boost::json::object;

// What the scripts know as module "spectest". Its functions are the host's, and do nothing.
constexpr std::string_view kSpectest = R"((module
  (func (export "print") (import "host" "print"))
  (func (export "print_i32") (import "host" "print_i32") (param i32))
  (func (export "print_i64") (import "host" "print_i64") (param i64))
  (func (export "print_f32") (import "host" "print_f32") (param f32))
  (func (export "print_f64") (import "host" "print_f64") (param f64))
  (func (export "print_i32_f32") (import "host" "print_i32_f32") (param i32 f32))
  (func (export "print_f64_f64") (import "host" "print_f64_f64") (param f64 f64))
  (global (export "global_i32") i32 (i32.const 666))
  (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6))
  (global (export "global_f64") f64 (f64.const 666.6))
  (table (export "table") 10 20 funcref)
  (memory (export "memory") 1 2)))";
constexpr std::string_view kSpectest64 = R"((module (table (export "table64") i64 10 20 funcref)))";

// As large as a test may ask for.
constexpr Limits kLimits{.memory_bytes_max = 4ULL << 30U, .table_elements_max = 0xffffffffU};

// The kind of trap that a script's words mean, or nothing where TrapKind has no name for it.
std::optional<TrapKind> trap_of(std::string_view words) {
  static constexpr std::array<std::pair<std::string_view, TrapKind>, 12> kTraps = {{
      {"unreachable", TrapKind::kUnreachable},
      {"out of bounds memory access", TrapKind::kMemoryOutOfBounds},
      {"out of bounds table access", TrapKind::kTableOutOfBounds},
      {"undefined element", TrapKind::kTableOutOfBounds},
      {"uninitialized element", TrapKind::kIndirectCallToNull},
      {"indirect call type mismatch", TrapKind::kBadSignature},
      {"integer overflow", TrapKind::kIntegerOverflow},
      {"integer divide by zero", TrapKind::kIntegerDivisionByZero},
      {"invalid conversion to integer", TrapKind::kBadConversionToInteger},
      {"call stack exhausted", TrapKind::kStackOverflow},
      {"unaligned atomic", TrapKind::kMisalignedAtomic},
      {"unhandled exception", TrapKind::kUncaughtException},
  }};
  const auto* found =
      std::ranges::find_if(kTraps, [&](const auto& each) { return words.starts_with(each.first); });
  return found == kTraps.end() ? std::nullopt : std::optional(found->second);
}

std::string describe(const Error& error) {
  if (error.code != ErrorCode::kTrapped)
    return fmt::format("{}: {}", to_string(error.code), error.message);
  return fmt::format("{} {}: {}", to_string(error.code), to_string(error.trap), error.message);
}

// How one command ended.
struct Verdict {
  enum class Kind : std::uint8_t { kPassed, kSkipped, kFailed } kind = Kind::kPassed;
  std::string text;  // why skipped, or what is wrong
};
Verdict passed() { return {}; }
Verdict skipped(std::string why) { return {Verdict::Kind::kSkipped, std::move(why)}; }
Verdict failed(std::string what) { return {Verdict::Kind::kFailed, std::move(what)}; }

}  // namespace

// One script: its modules and instances, all of one group.
class Script {
 public:
  Script(SpecTest& test, std::filesystem::path folder) : test_(test), folder_(std::move(folder)) {}

  void run(const object& script, ScriptResult& result) {
    if (const Outcome<> outcome = begin(); !outcome) {
      result.failures.push_back({0, "spectest", describe(outcome.error())});
      return;
    }
    for (const boost::json::value& each : script.at("commands").as_array()) {
      const object& command = each.as_object();
      Verdict verdict = excused(command, run(command));
      if (verdict.kind == Verdict::Kind::kPassed) {
        ++result.passed;
      } else if (verdict.kind == Verdict::Kind::kSkipped) {
        ++result.skipped[verdict.text];
      } else {
        result.failures.push_back({command.at("line").to_number<std::int64_t>(),
                                   std::string(text_at(command, "type")), std::move(verdict.text)});
      }
    }
  }

 private:
  struct Module {
    std::unique_ptr<CompiledModule> compiled;  // or
    std::string why_not;                       // the engine does not take it
  };
  struct Instance {
    std::unique_ptr<ModuleInstance> instance;  // or
    std::string why_not;                       // there is none
    std::string untouched_by = {};  // why a module that could have written into it was not taken
  };
  struct Registered {
    std::string name;
    Instance* instance;
  };

  Outcome<> begin() {
    for (const std::unique_ptr<CompiledModule>& module : test_.spectest_) {
      SEAM_ASSIGN_OR_RETURN(std::unique_ptr<ModuleInstance> instance, instantiate(*module));
      instances_.push_back({std::move(instance), {}});
      registered_.push_back({"spectest", &instances_.back()});
    }
    return {};
  }

  // What fails because a module before it was skipped is skipped as well.
  Verdict excused(const object& command, Verdict verdict) {
    const boost::json::value* action = command.if_contains("action");
    if (verdict.kind != Verdict::Kind::kFailed || action == nullptr) return verdict;
    const Instance* instance = instance_named(text_at(action->as_object(), "module"));
    if (instance == nullptr || instance->untouched_by.empty()) return verdict;
    return skipped(instance->untouched_by);
  }

  Verdict run(const object& command) {
    const std::string_view type = text_at(command, "type");
    if (type == "module") {
      Module& module = define(command);
      return make_instance(module, text_at(command, "name"));
    }
    if (type == "module_definition") {
      const Module& module = define(command);
      return module.compiled != nullptr ? passed() : refused(module);
    }
    if (type == "module_instance") return named_instance(command);
    if (type == "register") return register_instance(command);
    if (type == "action") return expect_success(command);
    if (type == "assert_return") return assert_return(command);
    if (type == "assert_trap" || type == "assert_exhaustion")
      return trapped(command, trap_of(text_at(command, "text")));
    if (type == "assert_exception") return trapped(command, TrapKind::kUncaughtException);
    if (type == "assert_invalid" || type == "assert_malformed") return assert_not_compiled(command);
    if (type == "assert_unlinkable") return assert_unlinkable(command);
    if (type == "assert_uninstantiable") return assert_uninstantiable(command);
    return skipped(fmt::format("the command {}", type));
  }

  // ---- modules

  std::optional<std::string> bytes_of(const object& command) const {
    std::string_view name = text_at(command, "binary_filename");
    if (name.empty()) {
      if (text_at(command, "module_type") != "binary") return std::nullopt;
      name = text_at(command, "filename");
    }
    std::ifstream file(folder_ / std::filesystem::path(name).filename(), std::ios::binary);
    if (!file) throw std::runtime_error(fmt::format("there is no module {} beside it", name));
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  static inline const std::string kWrong = "!";  // before a reason that is the engine's fault
  static constexpr std::string_view kLimit = "a memory or table over the engine's limit";
  static constexpr std::uint64_t kTableElements = 10'000'000;  // what every engine takes, at least
  static constexpr std::string_view kText = "the text format, which engines do not read";

  Module compile(std::string_view bytes) {
    Outcome<std::unique_ptr<CompiledModule>> compiled = test_.runtime_.compile(bytes);
    if (compiled) return {std::move(*compiled), {}};
    if (compiled.error().code == ErrorCode::kLimitExceeded) return {nullptr, std::string(kLimit)};
    const ModuleNeeds needs = needs_of(bytes);
    const std::string lacks = lacking(needs);
    if (lacks.empty() && needs.table_elements_min > kTableElements)
      return {nullptr, std::string(kLimit)};
    if (compiled.error().code != ErrorCode::kModuleCompileFailed || lacks.empty())
      return {nullptr, kWrong + describe(compiled.error())};
    Module module{nullptr, lacks};
    for (const Registered& each : registered_) {
      if (needs.modules.contains(each.name)) each.instance->untouched_by = module.why_not;
    }
    return module;
  }

  // What it needs and the engine does not claim.
  std::string lacking(const ModuleNeeds& needs) const {
    std::vector<std::string> lacks;
    std::ranges::set_difference(needs.proposals, test_.proposals_, std::back_inserter(lacks));
    return lacks.empty() ? "" : fmt::format("needs {}", fmt::join(lacks, ", "));
  }

  Module& define(const object& command) {
    const std::optional<std::string> bytes = bytes_of(command);
    modules_.push_back(bytes ? compile(*bytes) : Module{nullptr, std::string(kText)});
    module_by_name_[std::string(text_at(command, "name"))] = &modules_.back();
    return modules_.back();
  }
  static Verdict refused(const Module& module) {
    return module.why_not.starts_with(kWrong) ? failed(module.why_not.substr(kWrong.size()))
                                              : skipped(module.why_not);
  }

  Outcome<std::unique_ptr<ModuleInstance>> instantiate(const CompiledModule& module) {
    std::vector<LinkedInstance> linked;
    for (const Registered& each : registered_) {
      if (each.instance->instance != nullptr)
        linked.push_back({each.name, each.instance->instance.get()});
    }
    return test_.runtime_.instantiate_linked(module, test_.host_, linked, {.limits = kLimits}, {});
  }
  // Why one that the module imports from is not there, or not what it should be.
  std::string missing_import(const CompiledModule& module) const {
    for (const ExternType& import : module.imports()) {
      for (const Registered& each : registered_) {
        if (each.name != import.module) continue;
        if (each.instance->instance == nullptr) return each.instance->why_not;
        if (!each.instance->untouched_by.empty()) return each.instance->untouched_by;
      }
      if (import.module == "spectest" && import.name == "table64" && !test_.has("memory64"))
        return "needs memory64";
    }
    return {};
  }

  Verdict make_instance(const Module& module, std::string_view name) {
    instances_.push_back({});
    current_ = &instances_.back();
    if (!name.empty()) instance_by_name_[std::string(name)] = current_;
    if (module.compiled == nullptr) {
      Verdict verdict = refused(module);
      current_->why_not = verdict.kind == Verdict::Kind::kSkipped ? verdict.text : kNoModule;
      return verdict;
    }
    auto made = instantiate(*module.compiled);
    if (made) {
      current_->instance = std::move(*made);
      return passed();
    }
    current_->why_not = missing_import(*module.compiled);
    if (!current_->why_not.empty()) return skipped(current_->why_not);
    current_->why_not = kNoModule;
    return failed(describe(made.error()));
  }
  static constexpr std::string_view kNoModule = "its module failed";

  Verdict named_instance(const object& command) {
    const auto module = module_by_name_.find(text_at(command, "module"));
    if (module == module_by_name_.end()) return failed("there is no such module definition");
    return make_instance(*module->second, text_at(command, "instance"));
  }

  Verdict register_instance(const object& command) {
    Instance* instance = instance_named(text_at(command, "name"));
    if (instance == nullptr) return failed("there is no such instance");
    registered_.push_back({std::string(text_at(command, "as")), instance});
    return instance->instance != nullptr ? passed() : skipped(instance->why_not);
  }
  Instance* instance_named(std::string_view name) {
    if (name.empty()) return current_;
    const auto found = instance_by_name_.find(name);
    return found == instance_by_name_.end() ? nullptr : found->second;
  }

  // ---- actions

  struct Done {
    Verdict verdict;                             // other than passed, where it could not be tried
    Outcome<std::vector<TypedValue>> outcome{};  // else
  };

  Done act(const object& action) {
    Instance* instance = instance_named(text_at(action, "module"));
    if (instance == nullptr) return {failed("there is no such instance")};
    if (instance->instance == nullptr) return {skipped(instance->why_not)};
    const std::string_view field = text_at(action, "field");
    if (text_at(action, "type") == "get") {
      const std::optional<TypedValue> value = instance->instance->global(field);
      if (!value) return {failed(fmt::format("there is no global {}", field))};
      return {passed(), std::vector{*value}};
    }
    return invoke(*instance->instance, field, action.at("args").as_array());
  }

  static Done invoke(ModuleInstance& instance, std::string_view field,
                     const boost::json::array& args) {
    const std::unique_ptr<FunctionInstance> function = instance.function(field);
    if (function == nullptr) return {failed(fmt::format("there is no function {}", field))};
    std::vector<Value> slots(std::max(function->type().slots(), args.size()));
    for (std::size_t i = 0; i < args.size(); ++i) {
      const std::optional<TypedValue> value = argument_of(args[i].as_object());
      if (!value) return {skipped("a reference that no host can give")};
      slots[i] = value->value;
    }
    Outcome<> outcome = function->call(Interruption{}, slots);
    if (!outcome) return {passed(), std::unexpected(std::move(outcome).error())};
    std::vector<TypedValue> results;
    for (std::size_t i = 0; i < function->type().results.size(); ++i)
      results.push_back({function->type().results[i], slots[i]});
    return {passed(), std::move(results)};
  }

  Verdict expect_success(const object& command) {
    Done done = act(command.at("action").as_object());
    if (done.verdict.kind == Verdict::Kind::kPassed && !done.outcome)
      return failed(describe(done.outcome.error()));
    return std::move(done.verdict);
  }

  Verdict assert_return(const object& command) {
    Done done = act(command.at("action").as_object());
    if (done.verdict.kind != Verdict::Kind::kPassed) return std::move(done.verdict);
    if (!done.outcome) return failed(describe(done.outcome.error()));
    const boost::json::array& expected = command.at("expected").as_array();
    if (expected.size() != done.outcome->size()) {
      return failed(fmt::format("it gave {} values where {} are expected", done.outcome->size(),
                                expected.size()));
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (!can_tell(expected[i].as_object())) return skipped("a reference that no host can see");
      if (!matches(expected[i].as_object(), (*done.outcome)[i])) {
        return failed(fmt::format("it gave {} where {} is expected",
                                  wasm::describe((*done.outcome)[i]),
                                  boost::json::serialize(expected[i])));
      }
    }
    return passed();
  }

  static Verdict expect(const Error& error, ErrorCode code, std::optional<TrapKind> kind = {}) {
    if (error.code != code)
      return failed(fmt::format("{}, where {} is expected", describe(error), to_string(code)));
    if (kind && error.trap != *kind)
      return failed(fmt::format("{}, where {} is expected", describe(error), to_string(*kind)));
    return passed();
  }

  Verdict trapped(const object& command, std::optional<TrapKind> kind) {
    Done done = act(command.at("action").as_object());
    if (done.verdict.kind != Verdict::Kind::kPassed) return std::move(done.verdict);
    if (done.outcome)
      return failed(
          fmt::format("it returned, where a trap is expected: {}", text_at(command, "text")));
    return expect(done.outcome.error(), ErrorCode::kTrapped, kind);
  }

  // ---- modules that must not become instances

  Verdict assert_not_compiled(const object& command) const {
    const std::optional<std::string> bytes = bytes_of(command);
    if (!bytes) return skipped(std::string(kText));
    const auto compiled = test_.runtime_.compile(*bytes);
    if (compiled) {
      // Who does not claim a proposal need not know what it forbids.
      const ModuleNeeds needs = needs_of(*bytes);
      if (const std::string lacks = lacking(needs); !lacks.empty()) return skipped(lacks);
      if (needs.constant_reads_mutable_global)
        return skipped("the engine lets a constant expression read a mutable global");
      if (needs.refers_to_start_function)
        return skipped("the engine takes a start function for a declared reference");
      return failed(
          fmt::format("it was compiled, where that is wrong: {}", text_at(command, "text")));
    }
    return expect(compiled.error(), ErrorCode::kModuleCompileFailed);
  }

  // An error with which it was refused, or a verdict.
  std::expected<Error, Verdict> instantiate_wrong(const object& command) {
    const std::optional<std::string> bytes = bytes_of(command);
    if (!bytes) return std::unexpected(skipped(std::string(kText)));
    Module& module = modules_.emplace_back(compile(*bytes));
    if (module.compiled == nullptr) return std::unexpected(refused(module));
    const auto instance = instantiate(*module.compiled);
    if (instance) {
      return std::unexpected(failed(
          fmt::format("it was instantiated, where that is wrong: {}", text_at(command, "text"))));
    }
    if (const std::string why = missing_import(*module.compiled); !why.empty())
      return std::unexpected(skipped(why));
    return instance.error();
  }

  Verdict assert_unlinkable(const object& command) {
    const auto error = instantiate_wrong(command);
    return error ? expect(*error, ErrorCode::kModuleInstantiateFailed) : error.error();
  }
  Verdict assert_uninstantiable(const object& command) {
    const auto error = instantiate_wrong(command);
    return error ? expect(*error, ErrorCode::kTrapped, trap_of(text_at(command, "text")))
                 : error.error();
  }

  SpecTest& test_;
  std::filesystem::path folder_;
  std::deque<Module> modules_;  // outlive the instances
  std::map<std::string, Module*, std::less<>> module_by_name_;
  std::deque<Instance> instances_;
  std::map<std::string, Instance*, std::less<>> instance_by_name_;
  std::vector<Registered> registered_;
  Instance* current_ = nullptr;
};

std::size_t ScriptResult::skipped_in_all() const {
  std::size_t sum = 0;
  for (const auto& [reason, count] : skipped) sum += count;
  return sum;
}

Outcome<std::unique_ptr<SpecTest>> SpecTest::make(Runtime& runtime,
                                                  const std::vector<std::string>& proposals) {
  std::unique_ptr<SpecTest> test(
      new SpecTest(runtime, std::set<std::string>(proposals.begin(), proposals.end())));
  test->host_.add("host", "print", [](HostCall&) {});
  test->host_.add("host", "print_i32", [](HostCall&, std::int32_t) {});
  test->host_.add("host", "print_i64", [](HostCall&, std::int64_t) {});
  test->host_.add("host", "print_f32", [](HostCall&, float) {});
  test->host_.add("host", "print_f64", [](HostCall&, double) {});
  test->host_.add("host", "print_i32_f32", [](HostCall&, std::int32_t, float) {});
  test->host_.add("host", "print_f64_f64", [](HostCall&, double, double) {});
  std::vector<std::string_view> texts = {kSpectest};
  if (test->has("memory64")) texts.push_back(kSpectest64);
  for (const std::string_view text : texts) {
    SEAM_ASSIGN_OR_RETURN(const std::string bytes, wasm_from_text(text));
    SEAM_ASSIGN_OR_RETURN(std::unique_ptr<CompiledModule> module, runtime.compile(bytes));
    test->spectest_.push_back(std::move(module));
  }
  return test;
}

ScriptResult SpecTest::run(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return run(text.str(), file.parent_path());
}

ScriptResult SpecTest::run(std::string_view text, const std::filesystem::path& folder) {
  ScriptResult result;
  try {
    const boost::json::value script = boost::json::parse(text);
    Script(*this, folder).run(script.as_object(), result);
  } catch (const std::exception& error) {  // Boost.JSON's, and those of values.h and bytes_of()
    result.failures.push_back({0, "script", error.what()});
  }
  return result;
}

}  // namespace seam::wasm
