// ./dev bench wasm: the gates of each engine, how soon it stops a guest, then the engines side by
// side on real programs.
// bench/README.md says what is measured and how.
#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "contests.h"
#include "measure.h"
#include "programs.h"
#include "stops.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::bench {
namespace {

struct Options {
  std::vector<std::string> engines;
  std::string mode;
  std::string libraries;
  std::string direct;
  std::string programs;
  std::string larger;
  std::string json_file;
  std::string only;
  std::string work;
  std::string sample;
  std::string side;
  bool smoke = false;
  int blocks = 200;
  int samples = 15;
  int stops = 40;
  std::uint32_t instances = kInstancesLive;
};

Guests guests_of(const Options& options) {
  auto small = wasm::wasm_from_text(kGuest);
  if (!small) throw std::runtime_error(small.error().message);
  return {.small = *std::move(small), .larger = read_file(options.larger)};
}

bool wanted(const Options& options, std::string_view engine) {
  return options.engines.empty() ||
         std::ranges::find(options.engines, engine) != options.engines.end();
}

std::vector<Contest> wanted_contests(const Options& options) {
  std::vector<Contest> all =
      contests({.mode = {}, .library_folder = options.libraries, .direct_folder = options.direct});
  std::erase_if(all, [&](const Contest& contest) {
    return !wanted(options, contest.adapter.name) ||
           (!options.mode.empty() && contest.options.mode != options.mode);
  });
  return all;
}

std::vector<Row> all_gates(const Options& options, const std::string& program) {
  const Guests guests = guests_of(options);
  std::vector<Row> rows;
  for (const Contest& contest : wanted_contests(options)) {
    if (!options.sample.empty()) {
      fmt::print("{}\n", take_sample(contest, guests, options.sample, options.side == "ours",
                                     options.instances));
      return {};
    }
    fmt::print(stderr, "{}…\n", contest.name());
    const std::vector<Row> of_this =
        measure_gates(contest, guests,
                      {.effort = {.blocks = options.blocks, .block_ns = options.smoke ? 2e4 : 1e6},
                       .samples = options.samples,
                       .instances_live = options.instances,
                       .work = options.work,
                       .program = program,
                       .sample_args = {"--larger", options.larger, "--libraries", options.libraries,
                                       "--direct", options.direct}});
    if (of_this.empty())
      fmt::print(stderr, "left out: nothing is built on the own API of {}\n", contest.adapter.name);
    rows.insert(rows.end(), of_this.begin(), of_this.end());
  }
  return rows;
}

int run(Options options, const std::string& program) {
  if (options.smoke) {
    options.blocks = std::min(options.blocks, 3);
    options.samples = std::min(options.samples, 2);
    options.stops = std::min(options.stops, 2);
    options.instances = std::min(options.instances, 20U);
  }
  const auto does = [&](std::string_view part) {
    return options.only.empty() || options.only == part;
  };
  std::vector<Row> rows;
  if (does("gates")) rows = all_gates(options, program);
  if (!options.sample.empty()) return 0;
  if (!rows.empty()) fmt::print("{}\n", table(rows));
  std::vector<StopRow> stops;
  if (does("stops")) {
    stops.push_back(measure_machine(4 * options.stops));  // as many as of an engine
    for (const Contest& contest : wanted_contests(options)) {
      const std::vector<StopRow> of_this = measure_stops(contest, options.stops);
      stops.insert(stops.end(), of_this.begin(), of_this.end());
    }
    fmt::print("{}\n", table(stops));
  }
  std::vector<ProgramRow> programs;
  if (does("programs") && !options.programs.empty()) {
    std::vector<wasm::EngineAdapter> engines = adapters();
    std::erase_if(engines,
                  [&](const wasm::EngineAdapter& engine) { return !wanted(options, engine.name); });
    ProgramOptions small{.folder = options.programs, .library_folder = options.libraries};
    if (options.smoke) small.rounds = 2, small.repeats = 1, small.text_bytes = 10'000;
    programs = measure_programs(engines, small);
    fmt::print("{}", table(programs));
  }
  if (!options.json_file.empty()) {
    std::ofstream file(options.json_file);
    file << "{\"gates\": " << json(rows) << ",\n\"stops\": " << json(stops)
         << ",\n\"programs\": " << json(programs) << "}\n";
    if (!file.flush()) throw std::runtime_error("cannot write " + options.json_file);
  }
  // A small size says nothing about time.
  const auto failed = [](const auto& row) { return row.verdict == Verdict::kFail; };
  return !options.smoke && (std::ranges::any_of(rows, failed) || std::ranges::any_of(stops, failed))
             ? 1
             : 0;
}

}  // namespace
}  // namespace seam::bench

int main(int argc, char** argv) {
  seam::bench::Options options;
  CLI::App app(
      "What the seven interfaces cost over each engine's own API, and the engines side by side.");
  app.add_option("--engine", options.engines, "only these engines");
  app.add_option("--mode", options.mode, "only this mode of them");
  app.add_option("--only", options.only, "gates, stops or programs")
      ->check(CLI::IsMember({"gates", "stops", "programs"}));
  app.add_option("--libraries", options.libraries, "folder of the engines' shared libraries");
  app.add_option("--direct", options.direct, "folder of the libraries made for this benchmark");
  app.add_option("--programs", options.programs,
                 "folder of the programs of guests/programs, built");
  app.add_option("--larger", options.larger, "the module that is compiled and loaded")->required();
  app.add_option("--work", options.work, "only this kind of work, as the table names it");
  app.add_option("--json", options.json_file, "write all figures to this file too");
  app.add_option("--blocks", options.blocks, "pairs of blocks for each kind of work")
      ->check(CLI::Range(3, 100'000));
  app.add_option("--samples", options.samples, "processes for start-up and for memory")
      ->check(CLI::Range(2, 1000));
  app.add_option("--stops", options.stops, "calls of each guest that never ends")
      ->check(CLI::Range(2, 100'000));
  app.add_option("--instances", options.instances, "that live at once for memory")
      ->check(CLI::Range(2, 100'000));
  app.add_flag("--smoke", options.smoke, "a small size, to see that it works; no gate is enforced");
  app.add_option("--sample", options.sample, "measure start-up or memory once, in this process")
      ->check(CLI::IsMember({"start-up", "memory"}));
  app.add_option("--side", options.side, "of that sample")
      ->check(CLI::IsMember({"ours", "direct"}));
  CLI11_PARSE(app, argc, argv);
  try {
    return seam::bench::run(options, std::filesystem::read_symlink("/proc/self/exe"));
  } catch (const std::exception& error) {
    fmt::print(stderr, "wasm_bench: {}\n", error.what());
    return 2;
  }
}
