#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/wasm_commands.h"
#include "cli/wasm_engines.h"
#include "cli/wasm_guest.h"

namespace seam::cli {
namespace {

std::string render_capabilities(std::string_view mode, const wasm::EngineCapabilities& can) {
  std::string proposals;
  for (const std::string& proposal : can.proposals)
    proposals += (proposals.empty() ? "" : ",") + json_string(proposal);
  return fmt::format(
      R"({{"mode":{},"fuel":{},"slices":{},"code_cache":{},"generates_code":{},"own_process":{},)"
      R"("proposals":[{}]}})",
      json_string(mode), can.fuel, can.slices, can.code_cache, can.generates_code, can.own_process,
      proposals);
}

struct Row {
  const wasm::EngineAdapter* adapter;
  wasm::Outcome<std::string> version;
};

// An engine without modes has one, whose name is empty.
std::vector<std::string_view> modes_of(const wasm::EngineAdapter& adapter) {
  return adapter.modes.empty() ? std::vector<std::string_view>{""} : adapter.modes;
}

std::string render(const std::vector<Row>& rows, const std::string& folder) {
  std::string out = R"({"engines":[)";
  for (const Row& row : rows) {
    if (&row != &rows.front()) out += ',';
    const wasm::EngineAdapter& adapter = *row.adapter;
    std::string modes;
    for (const std::string_view mode : modes_of(adapter))
      modes += (modes.empty() ? "" : ",") + render_capabilities(mode, adapter.capabilities(mode));
    out += fmt::format(
        R"({{"name":{},"default":{},"loadable":{},"version":{},"why_not":{},"mode_key":{},)"
        R"("modes":[{}]}})",
        json_string(adapter.name), &row == &rows.front(), row.version.has_value(),
        row.version ? json_string(*row.version) : "null",
        row.version ? "null" : json_string(row.version.error().message),
        json_string(adapter.mode_key), modes);
  }
  return fmt::format("{}],\"library_folder\":{}}}\n", out, json_string(folder));
}

std::string show(const std::vector<Row>& rows, const Style& style) {
  const auto yes = [](bool can) { return can ? "yes" : "no"; };
  std::vector<std::vector<std::string>> table{
      {style.bold("ENGINE"), style.bold("VERSION"), style.bold("MODE"), style.bold("FUEL"),
       style.bold("SLICES"), style.bold("CODE CACHE"), style.bold("WRITES CODE"),
       style.bold("OWN PROCESS")}};
  std::string below;
  for (const Row& row : rows) {
    const wasm::EngineAdapter& adapter = *row.adapter;
    const std::string version = row.version ? *row.version : style.bad("not here");
    bool first = true;
    for (const std::string_view mode : modes_of(adapter)) {
      const wasm::EngineCapabilities can = adapter.capabilities(mode);
      table.push_back({first ? std::string(adapter.name) : "", first ? version : "",
                       mode.empty() ? "-" : std::string(mode), yes(can.fuel), yes(can.slices),
                       yes(can.code_cache), yes(can.generates_code), yes(can.own_process)});
      if (first && !can.proposals.empty()) {
        below += fmt::format("{} takes, beyond WebAssembly 2.0: {}\n", adapter.name,
                             fmt::join(can.proposals, ", "));
      }
      first = false;
    }
    if (!row.version)
      below +=
          fmt::format("{} cannot be loaded here: {}\n", adapter.name, row.version.error().message);
  }
  return align(table) + (below.empty() ? "" : "\n") + below;
}

}  // namespace

CommandResult wasm_engines_command(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("wasm engines",
              "Shows the WebAssembly engines, what each can do in each of its modes, and whether "
              "it can be\nloaded here. The first engine and its first mode are used where none is "
              "named.\n\n"
              "FUEL: counts instructions, so that they can be limited. SLICES: a guest that runs "
              "for long can\nbe put aside without holding a thread. CODE CACHE: machine code is "
              "kept between starts. WRITES\nCODE: needs a machine that lets a program write its "
              "own code. OWN PROCESS: a fatal error of the\nengine would end its process, so a "
              "server keeps it in another.",
              "seam wasm engines --json");
  bool json = false;
  flags.flag("--json", json, "As JSON");
  if (auto stop = flags.parse(arguments)) return *std::move(stop);
  const std::filesystem::path folder = engine_library_folder();
  std::vector<Row> rows;
  for (const wasm::EngineAdapter& adapter : wasm_engines().all())
    rows.push_back({&adapter, adapter.version({.library_folder = folder})});
  return {.out = json ? render(rows, folder.string()) : show(rows, options.style)};
}

}  // namespace seam::cli
