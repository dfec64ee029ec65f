#include "gates.h"

#include <fmt/format.h>
#include <stdio.h>

#include <stdexcept>

namespace seam::bench {
namespace {

constexpr double kCallGate = 1.05;
constexpr double kStartUpGate = 1.20;
constexpr double kMemoryGate = 1.10;
constexpr double kInterruptibleGate = 1.30;

struct Kind {
  Operation operation;
  std::string_view work;
  double gate;
  bool free_of_allocations = false;
  bool interruptible = true;  // what it is compared with
};

constexpr Kind kKinds[] = {
    {Operation::kCall, "typed call", kCallGate, true},
    {Operation::kCallDeadline, "typed call by a deadline", kCallGate, true},
    {Operation::kCallUntyped, "untyped call", kCallGate, false},
    {Operation::kRoundTrip, "typed call and a host call in it", kCallGate, true},
    {Operation::kCopy, "64 KiB in and out", kCallGate, true},
    {Operation::kInstance, "instantiate, call, drop", kStartUpGate, false},
    {Operation::kCompile, "compile", kStartUpGate, false},
    {Operation::kLoad, "load compiled code", kStartUpGate, false},
    {Operation::kLoop, "hot loop", kInterruptibleGate, false, false},
    {Operation::kTightLoop, "hot loop of two additions", kInterruptibleGate, false, false},
    {Operation::kCalls, "fib(27)", kInterruptibleGate, false, false},
};

double sample_of(const GateOptions& options, const Contest& contest, std::string_view what,
                 bool of_ours) {
  std::string command = "'" + options.program + "'";
  for (const std::string& arg : options.sample_args) command += " '" + arg + "'";
  command += fmt::format(" --engine {} --mode '{}' --instances {} --sample {} --side {}",
                         contest.adapter.name, contest.options.mode, options.instances_live, what,
                         of_ours ? "ours" : "direct");
  FILE* pipe = ::popen(command.c_str(), "r");
  double value = 0;
  const bool read = pipe != nullptr && ::fscanf(pipe, "%lf", &value) == 1;
  if (pipe == nullptr || ::pclose(pipe) != 0 || !read)
    throw std::runtime_error("a sample failed: " + command);
  return value;
}

}  // namespace

std::string Contest::name() const {
  return options.mode.empty() ? std::string(adapter.name)
                              : fmt::format("{} {}", adapter.name, options.mode);
}

Verdict judge(const Estimate& ratio, double gate) {
  if (gate == 0) return Verdict::kUngated;
  if (ratio.high <= gate) return Verdict::kPass;
  return ratio.low > gate ? Verdict::kFail : Verdict::kUndecided;
}

std::string_view to_string(Verdict verdict) {
  static constexpr std::string_view kTexts[] = {"pass", "FAIL", "undecided", ""};
  return kTexts[static_cast<std::size_t>(verdict)];
}

double take_sample(const Contest& contest, const Guests& guests, std::string_view what,
                   bool of_ours, std::uint32_t instances) {
  SubjectOptions options = contest.options;
  if (what == "memory") options.instances_max = instances + 1;  // and the live one
  const std::unique_ptr<Starter> starter =
      of_ours ? ours(contest.adapter, options) : contest.direct(options);
  if (starter == nullptr) throw std::runtime_error("nothing is built on that engine's own API");
  const double took = starter->start();
  if (what == "start-up") return took;
  const std::unique_ptr<Subject> subject = starter->finish(guests);
  subject->keep_instances(1);  // what is made once for all
  const double before = subject->own_bytes();
  subject->keep_instances(instances - 1);
  return subject->own_bytes() - before;
}

std::vector<Row> measure_gates(const Contest& contest, const Guests& guests,
                               const GateOptions& options) {
  std::vector<Row> rows;
  const auto add = [&](std::string_view work, std::string_view unit, double gate,
                       const Comparison& comparison) {
    rows.push_back({.engine = contest.name(),
                    .work = std::string(work),
                    .unit = std::string(unit),
                    .comparison = comparison,
                    .gate = gate,
                    .verdict = judge(comparison.ratio, gate)});
  };
  {
    const auto side = [&](const std::unique_ptr<Starter>& starter) {
      (void)starter->start();
      return starter->finish(guests);
    };
    const std::unique_ptr<Starter> own = contest.direct(contest.options);
    if (own == nullptr) return {};
    const std::unique_ptr<Subject> direct = side(own);
    SubjectOptions endless = contest.options;
    endless.interruptible = false;
    const std::unique_ptr<Subject> direct_endless = side(contest.direct(endless));
    const std::unique_ptr<Subject> of_ours = side(ours(contest.adapter, contest.options));
    const bool caches = contest.adapter.capabilities(contest.options.mode).code_cache;
    for (const Kind& kind : kKinds) {
      if (!options.work.empty() && options.work != kind.work) continue;
      if (kind.operation == Operation::kLoad && !caches) continue;
      Subject& other = kind.interruptible ? *direct : *direct_endless;
      if (!other.does(kind.operation)) continue;
      const auto work = [&](Subject& subject) {
        return [&subject, operation = kind.operation](std::uint64_t times) {
          return subject.measure(operation, times);
        };
      };
      add(kind.work, "ns", kind.gate,
          compare({.ours = work(*of_ours), .direct = work(other)}, options.effort));
      if (kind.free_of_allocations && rows.back().comparison.allocations > 0)
        rows.back().verdict = Verdict::kFail;
    }
  }
  if (!options.work.empty()) return rows;
  for (const auto& [what, unit, gate] :
       {std::tuple{"start-up", "ns", kStartUpGate}, {"memory", "bytes", kMemoryGate}}) {
    const auto side = [&](bool of_ours) {
      return [&, of_ours] { return sample_of(options, contest, what, of_ours); };
    };
    const Comparison comparison = compare_samples(side(true), side(false), options.samples);
    add(what == std::string_view("memory")
            ? fmt::format("memory of {} instances", options.instances_live)
            : std::string("start-up of the engine"),
        unit, gate, comparison);
  }
  return rows;
}

std::string table(const std::vector<Row>& rows) {
  std::string text = fmt::format(
      "| {:<22} | {:<32} | {:>14} | {:>14} | {:>6} | {:>13} | {:>5} | {:>6} | {:<9} |\n", "engine",
      "work", "ours", "own API", "ratio", "95 %", "gate", "allocs", "");
  text += "|---|---|--:|--:|--:|--:|--:|--:|---|\n";
  for (const Row& row : rows) {
    const Comparison& c = row.comparison;
    const bool bytes = row.unit == "bytes";
    const auto figure = [&](double value) {
      return bytes         ? fmt::format("{:.1f} KiB", value / 1024)
             : value < 1e4 ? fmt::format("{:.1f} ns", value)
             : value < 1e7 ? fmt::format("{:.1f} µs", value / 1e3)
                           : fmt::format("{:.1f} ms", value / 1e6);
    };
    text += fmt::format(
        "| {:<22} | {:<32} | {:>14} | {:>14} | {:>6.3f} | {:>13} | {:>5} | {:>6} | {:<9} |\n",
        row.engine, row.work, figure(c.ours), figure(c.direct), c.ratio.median,
        fmt::format("{:.3f}–{:.3f}", c.ratio.low, c.ratio.high),
        row.gate == 0 ? "–" : fmt::format("{:.2f}", row.gate),
        bytes ? std::string("–") : fmt::format("{:.3g}", c.allocations), to_string(row.verdict));
  }
  return text;
}

std::string json(const std::vector<Row>& rows) {
  std::string text;
  for (const Row& row : rows) {
    const Comparison& c = row.comparison;
    text += fmt::format(
        R"({}{{"engine":"{}","work":"{}","unit":"{}","ours":{},"direct":{},"ratio":{},"low":{},"high":{},"gate":{},"allocations":{},"verdict":"{}"}})",
        text.empty() ? "" : ",\n  ", row.engine, row.work, row.unit, c.ours, c.direct,
        c.ratio.median, c.ratio.low, c.ratio.high, row.gate, c.allocations, to_string(row.verdict));
  }
  return "[" + text + "]";
}

}  // namespace seam::bench
