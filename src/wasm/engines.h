#pragma once
// Which engines there are, and how one is chosen by configuration. An adapter offers itself as an
// EngineAdapter; the program's wiring lists the adapters; nothing else names an engine.
//
//   runtime_config:
//     type: wazero            # wasmtime (default) | wazero | wasmi
//     wazero: { mode: compiled }
//
//   const Engines engines({wasmtime_adapter(), wasmi_adapter(), wazero_adapter()});
//   SEAM_ASSIGN_OR_RETURN(EngineChoice choice, engines.choose("wazero", "compiled"));
//   choice.fallback = "wasmi";
//   SEAM_ASSIGN_OR_RETURN(MadeEngine made, engines.make(choice, {.library_folder = folder}));
//   if (made.instead_of) log_warning("{}", made.instead_of->message);
//   made.runtime->compile(bytes);

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wasm/error.h"
#include "wasm/runtime.h"

namespace seam::config {
struct YamlNode;
}

namespace seam::wasm {

// What an engine is made with. An engine ignores what it has no use for.
struct EngineOptions {
  std::string mode = {};              // one of EngineAdapter::modes; empty for the first of them
  bool fuel = false;                  // count instructions, so that Limits::fuel may be asked for
  std::uint32_t instances_max = 128;  // that may live at once, where the engine sets room aside
  bool parallel_compilation = false;  // compile one module on all cores
  // Where an engine that is a shared library of its own is looked for.
  std::filesystem::path library_folder = {};
};

// What an engine can do, for `seam wasm engines` and for tests that leave out what it lacks.
struct EngineCapabilities {
  bool fuel = false;            // Limits::fuel
  bool slices = false;          // Execution::resume() comes back before the guest has ended
  bool code_cache = false;      // CompiledModule::serialise() and Runtime::load()
  bool generates_code = false;  // needs a machine that lets a program write its own code
  bool own_process = false;     // a fatal error of its own ends the process: kept apart under serve
  std::vector<std::string> proposals =
      {};  // beyond WebAssembly 2.0: "tail-call", "multi-memory", …
};

// One engine. Copyable; the functions are any thread's.
struct EngineAdapter {
  std::string_view name;                // "wasmtime", as in runtime_config.type
  std::string_view mode_key;            // "strategy", as in runtime_config.wasmtime.strategy
  std::vector<std::string_view> modes;  // the values of that key; the first is the default
  EngineCapabilities (*capabilities)(std::string_view mode) = nullptr;
  // "48.0.8".
  // errors    kRuntimeNotFound   its library is missing or cannot be loaded; the message says what
  //                              to do
  Outcome<std::string> (*version)(const EngineOptions& options) = nullptr;
  // errors    kRuntimeNotFound        as version()'s
  //           kInvalidConfiguration   an option out of its range
  Outcome<std::unique_ptr<Runtime>> (*make)(const EngineOptions& options) = nullptr;
};

// An engine in a mode, and what stands in for it.
struct EngineChoice {
  std::string engine;              // EngineAdapter::name
  std::string mode = {};           // one of its modes; empty where it has none
  std::string fallback = {};       // the engine for when that one cannot be loaded; empty: none
  std::string fallback_mode = {};  // one of the fallback's modes; empty: its first

  friend bool operator==(const EngineChoice&, const EngineChoice&) = default;
};

struct MadeEngine {
  std::unique_ptr<Runtime> runtime;
  std::string engine;  // which it is: of a choice with a fallback, either
  std::string mode;
  // Where it is the fallback: why the one that was wanted could not be loaded.
  std::optional<Error> instead_of = {};
};

// The engines of this program. Immutable; any thread.
class Engines {
 public:
  // The first adapter is what is used where nothing is chosen; their texts must live as long as
  // this does.
  // older_form   the engine that `runtime: { mode: … }` without a type means; empty: that form is
  //              not taken
  explicit Engines(std::vector<EngineAdapter> adapters, std::string older_form = {});

  [[nodiscard]] std::span<const EngineAdapter> all() const { return adapters_; }
  // Borrowed; nothing for a name that is none.
  [[nodiscard]] const EngineAdapter* find(std::string_view name) const;

  // The engine that configuration names, in the mode it names; empty for the first of either.
  // Loads nothing.
  // errors    kRuntimeNotFound        no such engine: the message names the key, lists those that
  //                                   there are, and says which may be meant
  //           kInvalidConfiguration   no such mode; likewise
  [[nodiscard]] Outcome<EngineChoice> choose(std::string_view type,
                                             std::string_view mode = {}) const;
  // The value of `runtime_config`, as it stands at the top of this header, in YAML or JSON; the
  // older form, and `fallback: <engine>`, too. A mapping of an engine that is not chosen is checked
  // like the others, and counts if that engine is the fallback.
  // errors    kRuntimeNotFound        type or fallback is no engine
  //           kInvalidConfiguration   no mapping, an unknown key, or a value out of its set
  [[nodiscard]] Outcome<EngineChoice> read(std::string_view text) const;
  [[nodiscard]] Outcome<EngineChoice> read(const config::YamlNode& runtime_config) const;

  // Makes the engine, or its fallback where that one cannot be loaded. `options.mode` counts for
  // nothing here: the choice has it.
  // errors    kRuntimeNotFound        cannot be loaded, and its fallback neither: the message has
  //                                   why, and what to do, for each
  //           kInvalidConfiguration   an option out of its range; the fallback is not tried
  [[nodiscard]] Outcome<MadeEngine> make(const EngineChoice& choice, EngineOptions options) const;

 private:
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] Outcome<> check_engine(std::string_view key, std::string_view name) const;
  [[nodiscard]] Outcome<std::string> read_mode(const EngineAdapter& adapter,
                                               const config::YamlNode& mapping) const;

  std::vector<EngineAdapter> adapters_;
  std::string older_form_;
};

}  // namespace seam::wasm
