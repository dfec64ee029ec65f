#include "suite.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/check.h"
#include "base/json_tree.h"
#include "wasm/wasi.h"

namespace seam::wasitest {
namespace {

namespace fs = std::filesystem;
using Kind = TestResult::Kind;

// Far more than any test takes: it ends a guest that would never end.
constexpr seconds kTimeMax(300);

TestResult failed(std::string reason) { return {Kind::kFailed, std::move(reason)}; }

struct Specification {
  std::vector<std::string> args;
  std::vector<std::string> environment;
  std::optional<std::string> root;
  std::int32_t exit_code = 0;
  std::optional<std::string> standard_output;
  std::optional<std::string> standard_error;
  std::string skipped_for;  // why it cannot be run, or empty
};

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// errors    kInvalidArgument   not such a specification; the message names the key
Result<Specification> parse_specification(const std::string& text) {
  SEAM_ASSIGN_OR_RETURN(const JsonTree tree, JsonTree::parse(text));
  Specification made;
  for (std::uint32_t name = 1; name < tree[0].end; name = tree[name + 1].end) {
    const std::uint32_t value = name + 1;
    const std::string key = tree.string(name);
    const JsonTree::Kind kind = tree[value].kind;
    const auto children = [&](auto each) {
      for (std::uint32_t i = value + 1; i < tree[value].end; i = tree[i].end) each(i);
    };
    if (key == "args" && kind == JsonTree::Kind::kArray) {
      children([&](std::uint32_t i) { made.args.push_back(tree.string(i)); });
    } else if (key == "env" && kind == JsonTree::Kind::kObject) {
      for (std::uint32_t i = value + 1; i < tree[value].end; i = tree[i + 1].end)
        made.environment.push_back(tree.string(i) + "=" + tree.string(i + 1));
    } else if (key == "root" && kind == JsonTree::Kind::kString) {
      made.root = tree.string(value);
    } else if (key == "exit_code" && kind == JsonTree::Kind::kNumber) {
      made.exit_code = std::stoi(std::string(tree.text(value)));
    } else if (key == "stdout" && kind == JsonTree::Kind::kString) {
      made.standard_output = tree.string(value);
    } else if (key == "stderr" && kind == JsonTree::Kind::kString) {
      made.standard_error = tree.string(value);
    } else if (key == "operations" || key == "proposals" || key == "world" || key == "servers") {
      made.skipped_for = fmt::format("its specification has `{}`, which is not preview 1", key);
    } else {
      return fail(seam::ErrorCode::kInvalidArgument,
                  fmt::format("the specification's `{}` is not understood", key));
    }
  }
  return made;
}

// A folder that goes with this.
class Scratch {
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "wasitest-XXXXXX").string();
    CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::string last(std::string_view text) {
  constexpr std::size_t kMost = 2000;
  return std::string(text.substr(text.size() - std::min(text.size(), kMost)));
}

TestResult judge(const Specification& wanted, const wasm::Outcome<>& outcome,
                 const wasm::WasiState& state) {
  const auto with_output = [&](const std::string& reason) {
    return failed(fmt::format("{}\n{}", reason, last(state.standard_error.bytes)));
  };
  std::int32_t exit_code = 0;
  if (!outcome) {
    const wasm::Error& error = outcome.error();
    if (error.code != wasm::ErrorCode::kExited) {
      return with_output(
          fmt::format("{}: {}\n{}", wasm::to_string(error.code), error.message, error.trace()));
    }
    exit_code = error.exit_code;
  }
  if (exit_code != wanted.exit_code)
    return with_output(fmt::format("exit code {}, wanted {}", exit_code, wanted.exit_code));
  if (wanted.standard_output && *wanted.standard_output != state.standard_output.bytes) {
    return with_output(fmt::format("it printed '{}', wanted '{}'",
                                   last(state.standard_output.bytes), *wanted.standard_output));
  }
  if (wanted.standard_error && *wanted.standard_error != state.standard_error.bytes)
    return with_output(fmt::format("on standard error it wants '{}'", *wanted.standard_error));
  return {};
}

// A module with all that it imports, to be run more than once.
struct Program {
  std::unique_ptr<wasm::CompiledModule> module;
  std::unique_ptr<wasm::Context> context;

  static wasm::Outcome<Program> make(wasm::Runtime& runtime, const std::string& bytes) {
    wasm::HostModule host;
    wasm::add_wasi(host);
    Program made;
    SEAM_ASSIGN_OR_RETURN(made.module, runtime.compile(bytes));
    SEAM_ASSIGN_OR_RETURN(made.context, runtime.link(*made.module, host));
    return made;
  }

  [[nodiscard]] wasm::Outcome<> run(wasm::WasiState& state) const {
    const wasm::Interruption interruption{.deadline = Deadline::after(kTimeMax)};
    SEAM_ASSIGN_OR_RETURN(const std::unique_ptr<wasm::ModuleInstance> instance,
                          context->instantiate({.state = &state}, interruption));
    const std::unique_ptr<wasm::FunctionInstance> start = instance->function("_start");
    if (start == nullptr)
      return wasm::fail(wasm::ErrorCode::kFunctionNotExported, "it exports no _start");
    return start->call(interruption, {});
  }
};

// Gives the guest a copy of its root.
Result<> give_root(wasm::WasiState& state, const fs::path& root, const Scratch& scratch) {
  std::error_code error;
  fs::copy(root, scratch.path(), fs::copy_options::recursive | fs::copy_options::copy_symlinks,
           error);
  if (error) {
    return fail(seam::ErrorCode::kInternal,
                fmt::format("its root {} cannot be copied: {}", root.string(), error.message()));
  }
  return state.descriptors.give({.host_path = scratch.path(), .guest_path = "/", .writable = true});
}

}  // namespace

std::vector<fs::path> find_modules(const fs::path& where) {
  if (!fs::is_directory(where)) return {where};
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(where)) {
    if (entry.path().extension() == ".wasm") found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

TestResult run_test(wasm::Runtime& runtime, const fs::path& module,
                    std::span<const wasm::WasiPathWalk> walks) {
  Specification wanted;
  fs::path specification = module;
  specification.replace_extension(".json");
  if (fs::exists(specification)) {
    const std::string text = read_all(specification);
    Result<Specification> parsed = parse_specification(text);
    if (!parsed) return failed(parsed.error().message);
    wanted = *std::move(parsed);
  }
  if (!wanted.skipped_for.empty()) return {Kind::kSkipped, wanted.skipped_for};
  const wasm::Outcome<Program> program = Program::make(runtime, read_all(module));
  if (!program) return failed(program.error().message);

  for (const wasm::WasiPathWalk walk : walks) {
    const Scratch scratch;
    wasm::WasiState state;
    state.args = wanted.args;
    state.args.insert(state.args.begin(), module.filename().string());
    state.environment = wanted.environment;
    state.descriptors.path_walk = walk;
    if (wanted.root) {
      if (const Result<> given = give_root(state, module.parent_path() / *wanted.root, scratch);
          !given) {
        return failed(given.error().message);
      }
    }
    TestResult result = judge(wanted, program->run(state), state);
    if (result.kind != Kind::kPassed) {
      result.reason =
          fmt::format("with paths resolved by {}: {}",
                      walk == wasm::WasiPathWalk::kKernel ? "the kernel" : "steps", result.reason);
      return result;
    }
  }
  return {};
}

}  // namespace seam::wasitest
