#include "programs.h"

#include <fmt/format.h>
#include <stdio.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>

#include "measure.h"
#include "subjects.h"
#include "wasm/wasi.h"

namespace seam::bench {
namespace {

using namespace seam::wasm;

// Words out of few letters, so that they come again; seeded.
std::string text_of(std::size_t bytes) {
  std::mt19937 random(1);
  std::string text;
  while (text.size() < bytes) {
    const std::size_t length = 1 + random() % 5;
    for (std::size_t i = 0; i < length; ++i) text += static_cast<char>('a' + random() % 12);
    text += random() % 10 == 0 ? '\n' : ' ';
  }
  text.resize(bytes);
  return text;
}

struct Run {
  std::string output;
  double ns = 0;
  std::size_t memory_bytes = 0;
};

Run run(Context& context, const std::vector<std::string>& args, std::string_view text) {
  WasiState state;
  state.args = args;
  state.stdin_bytes = text;
  const double begin = processor_ns();
  const std::unique_ptr<ModuleInstance> instance =
      take(context.instantiate({.limits = {.memory_bytes_max = 1U << 30U}, .state = &state}, {}));
  const Outcome<> outcome = instance->function("_start")->call(Deadline::never());
  if (!outcome &&
      (outcome.error().code != wasm::ErrorCode::kExited || outcome.error().exit_code != 0)) {
    throw std::runtime_error(outcome.error().message + " " + state.standard_error.bytes);
  }
  return {.output = state.standard_output.bytes,
          .ns = processor_ns() - begin,
          .memory_bytes = instance->memory()->view().size()};
}

double children_ns() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  const auto ns = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_usec) * 1e3;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

Run run_native(const std::filesystem::path& program, int rounds,
               const std::filesystem::path& text) {
  const std::string command =
      fmt::format("exec '{}' {} <'{}' 2>/dev/null", program.string(), rounds, text.string());
  const double begin = children_ns();
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("popen");
  Run result;
  char piece[4096];
  while (const std::size_t got = ::fread(piece, 1, sizeof piece, pipe))
    result.output.append(piece, got);
  if (::pclose(pipe) != 0) throw std::runtime_error(command + " failed");
  result.ns = children_ns() - begin;
  return result;
}

std::string cell(double value) { return value == 0 ? "–" : fmt::format("{:.1f}", value); }

}  // namespace

std::vector<ProgramRow> measure_programs(const std::vector<EngineAdapter>& adapters,
                                         const ProgramOptions& options) {
  const std::string text = text_of(options.text_bytes);
  const std::filesystem::path text_file = std::filesystem::path(options.folder) / "text";
  std::ofstream(text_file, std::ios::binary) << text;
  HostModule host;
  add_wasi(host);
  std::vector<ProgramRow> rows;
  std::string output;
  const auto keep = [&](ProgramRow row, const Run& ran) {
    if (output.empty()) output = ran.output;
    if (ran.output != output) {
      throw std::runtime_error(fmt::format("{} on {} wrote\n{}where the first wrote\n{}",
                                           row.program, row.engine, ran.output, output));
    }
    row.run_ms = row.run_ms == 0 ? ran.ns / 1e6 : std::min(row.run_ms, ran.ns / 1e6);
    row.memory_mib = static_cast<double>(ran.memory_bytes) / (1U << 20U);
    return row;
  };
  for (const std::string program : {"report-c", "report-cpp", "report-rust", "report-go"}) {
    const std::filesystem::path file = std::filesystem::path(options.folder) / (program + ".wasm");
    if (!std::filesystem::exists(file)) continue;  // its compiler is not installed
    double native_ms = 0;
    if (const auto native = std::filesystem::path(options.folder) / program;
        std::filesystem::exists(native)) {
      ProgramRow row{.program = program, .engine = "native"};
      for (int i = 0; i < options.repeats; ++i)
        row = keep(row, run_native(native, options.rounds, text_file));
      row.to_native = 1;
      native_ms = row.run_ms;
      rows.push_back(row);
    }
    const std::string bytes = read_file(file);
    for (const EngineAdapter& adapter : adapters) {
      for (const std::string& mode : modes_of(adapter)) {
        ProgramRow row{.program = program,
                       .engine = mode.empty() ? std::string(adapter.name)
                                              : fmt::format("{} {}", adapter.name, mode)};
        const std::unique_ptr<Runtime> runtime = take(adapter.make(
            {.mode = mode, .instances_max = 8, .library_folder = options.library_folder}));
        const double begin = processor_ns();
        const std::unique_ptr<CompiledModule> module = take(runtime->compile(bytes));
        row.compile_ms = (processor_ns() - begin) / 1e6;
        const std::unique_ptr<Context> context = take(runtime->link(*module, host));
        for (int i = 0; i < options.repeats; ++i)
          row = keep(row, run(*context, {program, fmt::format("{}", options.rounds)}, text));
        if (native_ms > 0) row.to_native = row.run_ms / native_ms;
        rows.push_back(row);
      }
    }
  }
  return rows;
}

std::string table(const std::vector<ProgramRow>& rows) {
  std::string text =
      fmt::format("| {:<12} | {:<22} | {:>10} | {:>10} | {:>10} | {:>10} |\n", "program", "engine",
                  "compile ms", "run ms", "to native", "memory MiB");
  text += "|---|---|--:|--:|--:|--:|\n";
  for (const ProgramRow& row : rows) {
    text += fmt::format("| {:<12} | {:<22} | {:>10} | {:>10} | {:>10} | {:>10} |\n", row.program,
                        row.engine, cell(row.compile_ms), cell(row.run_ms), cell(row.to_native),
                        cell(row.memory_mib));
  }
  return text;
}

std::string json(const std::vector<ProgramRow>& rows) {
  std::string text;
  for (const ProgramRow& row : rows) {
    text += fmt::format(
        R"({}{{"program":"{}","engine":"{}","compile_ms":{},"run_ms":{},"memory_mib":{},"to_native":{}}})",
        text.empty() ? "" : ",\n  ", row.program, row.engine, row.compile_ms, row.run_ms,
        row.memory_mib, row.to_native);
  }
  return "[" + text + "]";
}

}  // namespace seam::bench
