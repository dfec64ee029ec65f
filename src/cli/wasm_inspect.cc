#include <fmt/format.h>

#include <algorithm>

#include "cli/wasm_commands.h"
#include "cli/wasm_engines.h"
#include "cli/wasm_file.h"
#include "cli/wasm_guest.h"
#include "config/setting.h"
#include "runtimes/wasm/guest_call.h"
#include "wasm/module_info.h"
#include "wasm/wasi.h"

namespace seam::cli {
namespace {

// What one engine says of the module.
struct Taken {
  std::string engine;
  std::string mode;
  std::string why_not;  // empty: it takes it
};

// What the module is to Seam: one of the forms of docs/functions/wasm.md, or why it is none.
struct Form {
  std::string name;     // "command", "reactor", or empty
  std::string why_not;  // where it is neither
};

struct Inspected {
  WasmFile file;
  wasm::ModuleInfo info;
  std::vector<Taken> engines;
  Form form;
};

Form form_of(wasm::Runtime& engine, std::unique_ptr<wasm::CompiledModule> module) {
  wasm::HostModule host;
  wasm::add_wasi(host);
  const auto guest = runtimes::GuestProgram::make(engine, host, std::move(module), {});
  if (!guest) return {.name = {}, .why_not = guest.error().message};
  return {.name = (*guest)->form == runtimes::GuestProgram::Form::kCommand ? "command" : "reactor",
          .why_not = {}};
}

// Asks every engine, in each of its modes, to compile it.
void ask_engines(Inspected& inspected) {
  inspected.form.why_not = "no engine that can be loaded here takes it";
  bool has_form = false;
  for (const wasm::EngineAdapter& adapter : wasm_engines().all()) {
    const std::vector<std::string_view> modes =
        adapter.modes.empty() ? std::vector<std::string_view>{""} : adapter.modes;
    for (const std::string_view mode : modes) {
      Taken taken{.engine = std::string(adapter.name), .mode = std::string(mode), .why_not = {}};
      const auto made =
          wasm_engines().make({.engine = taken.engine, .mode = taken.mode},
                              {.instances_max = 1, .library_folder = engine_library_folder()});
      auto module =
          made
              ? made->runtime->compile(inspected.file.bytes)
              : wasm::Outcome<std::unique_ptr<wasm::CompiledModule>>(std::unexpected(made.error()));
      if (!module) {
        taken.why_not = module.error().message;
      } else if (!has_form) {
        inspected.form = form_of(*made->runtime, *std::move(module));
        has_form = true;
      }
      inspected.engines.push_back(std::move(taken));
    }
  }
}

std::string render_limits(const wasm::ModuleLimits& limits) {
  return fmt::format(R"("min":{},"max":{},"is_64":{},"shared":{})", limits.min,
                     limits.max ? fmt::format("{}", *limits.max) : "null", limits.is_64,
                     limits.shared);
}

template <class Range, class Render>
std::string render_list(const Range& range, Render render) {
  std::string out = "[";
  for (const auto& each : range) {
    if (!out.ends_with('[')) out += ',';
    out += render(each);
  }
  return out + "]";
}

std::string render(const Inspected& inspected) {
  const wasm::ModuleInfo& info = inspected.info;
  const auto exported = [&](const wasm::ModuleExtern& each) {
    return fmt::format(R"({{"name":{},"kind":"{}","type":{}}})", json_string(each.name),
                       to_string(each.kind), json_string(info.type_text(each)));
  };
  const auto imported = [&](const wasm::ModuleExtern& each) {
    return fmt::format("{{\"module\":{},{}", json_string(each.module), exported(each).substr(1));
  };
  std::string out =
      fmt::format(R"({{"file":{},"kind":{},"bytes":{},"name":{},"wasi":{},"function_form":{},)"
                  R"("no_function_because":{})",
                  json_string(inspected.file.path), json_string(to_string(inspected.file.kind)),
                  inspected.file.bytes.size(), json_string(info.name), json_string(info.wasi()),
                  json_string(inspected.form.name), json_string(inspected.form.why_not));
  out += R"(,"engines":)" + render_list(inspected.engines, [](const Taken& taken) {
           return fmt::format(R"({{"engine":{},"mode":{},"takes_it":{},"why_not":{}}})",
                              json_string(taken.engine), json_string(taken.mode),
                              taken.why_not.empty(), json_string(taken.why_not));
         });
  out += R"(,"imports":)" + render_list(info.imports, imported);
  out += R"(,"exports":)" + render_list(info.exports, exported);
  out += R"(,"memories":)" + render_list(info.memories, [](const wasm::ModuleMemory& memory) {
           return fmt::format(R"({{"imported":{},"page_bytes":{},{}}})", memory.imported,
                              1U << memory.page_bytes_log2, render_limits(memory.pages));
         });
  out += R"(,"tables":)" + render_list(info.tables, [](const wasm::ModuleTable& table) {
           return fmt::format(R"({{"imported":{},"element":{},{}}})", table.imported,
                              json_string(table.element), render_limits(table.elements));
         });
  out += fmt::format(
      R"(,"functions":{},"imported_functions":{},"globals":{},"start":{},"data_segments":{},)"
      R"("data_bytes":{},"code_bytes":{},"element_segments":{},"function_names":{})",
      info.function_types.size(), info.imported_functions, info.globals.size(),
      info.start ? fmt::format("{}", *info.start) : "null", info.data_segments, info.data_bytes,
      info.code_bytes, info.element_segments, info.function_names);
  out += R"(,"producers":)" + render_list(info.producers, [](const wasm::ModuleProducer& each) {
           return fmt::format(R"({{"field":{},"name":{},"version":{}}})", json_string(each.field),
                              json_string(each.name), json_string(each.version));
         });
  out += R"(,"target_features":)" + render_list(info.target_features, [](const std::string& each) {
           return json_string(each);
         });
  out += R"(,"sections":)" + render_list(info.sections, [](const wasm::ModuleSection& section) {
           return fmt::format(R"({{"name":{},"custom":{},"offset":{},"bytes":{}}})",
                              json_string(section.name), section.id == 0, section.offset,
                              section.size);
         });
  return out + "}\n";
}

constexpr std::size_t kListed = 200;  // of each list, for a person; --json has them all

// Names are whatever bytes the module has.
std::string shown(std::string_view name) { return config::shown(name); }

template <class Range, class Row>
void add_table(std::string& out, const Range& range, const std::string& title, Row row) {
  if (range.empty()) return;
  std::vector<std::vector<std::string>> rows;
  for (const auto& each : range) {
    if (rows.size() == kListed) break;
    rows.push_back(row(each));
    rows.back().front().insert(0, "  ");
  }
  out += fmt::format("\n{}\n{}", title, align(rows));
  if (range.size() > kListed)
    out += fmt::format("  … and {} more: --json has them all\n", range.size() - kListed);
}

std::string size_of_memory(const wasm::ModuleMemory& memory) {
  return fmt::format("{} pages of {} bytes{}{}{}", to_string(memory.pages),
                     1U << memory.page_bytes_log2, memory.pages.is_64 ? ", 64-bit" : "",
                     memory.pages.shared ? ", shared" : "", memory.imported ? ", imported" : "");
}

std::string what_it_is(const Inspected& inspected) {
  if (!inspected.form.name.empty()) return "a " + inspected.form.name;
  return "none: " + inspected.form.why_not;
}

std::string show(const Inspected& inspected, const Style& style) {
  const wasm::ModuleInfo& info = inspected.info;
  std::vector<std::vector<std::string>> head{
      {"  kind",
       fmt::format("{}, {} bytes", to_string(inspected.file.kind), inspected.file.bytes.size())}};
  if (!info.name.empty()) head.push_back({"  name", shown(info.name)});
  head.push_back({"  WASI", info.wasi().empty() ? "no" : std::string(info.wasi())});
  head.push_back({"  as a function", what_it_is(inspected)});
  head.push_back(
      {"  functions", fmt::format("{}, {} imported; {} bytes of code", info.function_types.size(),
                                  info.imported_functions, info.code_bytes)});
  head.push_back(
      {"  data", fmt::format("{} bytes in {} segments", info.data_bytes, info.data_segments)});
  if (info.start) head.push_back({"  at its start", fmt::format("function {} runs", *info.start)});
  for (std::size_t i = 0; i < info.memories.size() && i < 8; ++i)
    head.push_back({"  memory", size_of_memory(info.memories[i])});
  for (std::size_t i = 0; i < info.tables.size() && i < 8; ++i) {
    const wasm::ModuleTable& table = info.tables[i];
    head.push_back({"  table", fmt::format("{} of {}{}", to_string(table.elements), table.element,
                                           table.imported ? ", imported" : "")});
  }
  std::string out = style.bold(shown(inspected.file.path)) + "\n" + align(head);
  add_table(out, inspected.engines, style.bold("engines"), [&](const Taken& taken) {
    return std::vector<std::string>{
        taken.engine + (taken.mode.empty() ? "" : " " + taken.mode),
        taken.why_not.empty() ? style.good("takes it") : style.bad("no: ") + taken.why_not};
  });
  add_table(out, info.imports, style.bold("imports"), [&](const wasm::ModuleExtern& each) {
    return std::vector<std::string>{std::string(to_string(each.kind)),
                                    shown(each.module) + "." + shown(each.name),
                                    info.type_text(each)};
  });
  add_table(out, info.exports, style.bold("exports"), [&](const wasm::ModuleExtern& each) {
    return std::vector<std::string>{std::string(to_string(each.kind)), shown(each.name),
                                    info.type_text(each)};
  });
  add_table(out, info.producers, style.bold("made by"), [&](const wasm::ModuleProducer& each) {
    return std::vector<std::string>{shown(each.field), shown(each.name), shown(each.version)};
  });
  add_table(out, info.sections, style.bold("sections"), [&](const wasm::ModuleSection& section) {
    return std::vector<std::string>{
        section.id == 0 ? "custom " + shown(section.name) : section.name,
        fmt::format("{} bytes", section.size), fmt::format("at {:#x}", section.offset)};
  });
  return out;
}

// A component, or a file that is none at all: what can be said of it.
CommandResult no_module(const WasmFile& file, bool json) {
  const std::string message = file.module().error().message;
  if (json) {
    return {.exit_code = kFailed,
            .out = fmt::format("{{\"file\":{},\"kind\":{},\"bytes\":{},\"error\":{}}}\n",
                               json_string(file.path), json_string(to_string(file.binary_kind)),
                               file.bytes.size(), json_string(message))};
  }
  return {.exit_code = kFailed, .error = message + "\n"};
}

}  // namespace

CommandResult wasm_inspect(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("wasm inspect",
              "Shows what a file of WebAssembly is: its sections, imports and exports with their "
              "types, the limits of\nits memories and tables, who made it, whether it can be a "
              "function of Seam, and which engines take\nit. The exit code is 1 where it is no "
              "module, or no engine takes it.",
              "seam wasm inspect hello.wasm");
  std::string path;
  bool json = false;
  flags.option("FILE", path, "A module: .wasm, or its text, .wat", "FILE");
  flags.flag("--json", json, "As JSON");
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  if (path.empty())
    return {.exit_code = kUsage, .error = "Give a file: seam wasm inspect hello.wasm\n"};
  Result<WasmFile> file = read_wasm_file(path);
  if (!file) return refuse(file.error());
  if (!file->module()) return no_module(*file, json);
  wasm::Outcome<wasm::ModuleInfo> info = wasm::read_module_info(file->bytes);
  if (!info) {
    return {.exit_code = kFailed,
            .error = fmt::format("{}: is a broken module: {}. Build or copy it anew.\n", path,
                                 info.error().message)};
  }
  Inspected inspected{
      .file = *std::move(file), .info = *std::move(info), .engines = {}, .form = {}};
  ask_engines(inspected);
  const bool taken = std::ranges::any_of(inspected.engines, &std::string::empty, &Taken::why_not);
  return {.exit_code = taken ? kOk : kFailed,
          .out = json ? render(inspected) : show(inspected, options.style)};
}

}  // namespace seam::cli
