#include "stops.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <stop_token>
#include <thread>

#include "base/clock.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::bench {
namespace {

using namespace seam::wasm;

constexpr double kGateMs = 20;

// A loop; and a recursion that would take ages, but little of the stack.
constexpr std::string_view kEndless = R"((module
  (func (export "loop") (loop $again (br $again)))
  (func $split (param i32)
    (if (local.get 0) (then
      (call $split (i32.sub (local.get 0) (i32.const 1)))
      (call $split (i32.sub (local.get 0) (i32.const 1))))))
  (func (export "recursion") (call $split (i32.const 200)))))";

// From 5 to 25 ms, and not in step with anything.
milliseconds span_of(int call) { return milliseconds(5 + call * 8 % 21); }

double ms_between(MonotonicTime begin, MonotonicTime end) {
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

// A guest that has been ended is spent, so that each call has one of its own.
double late_ms(Context& context, std::string_view guest, bool by_deadline, milliseconds span) {
  const std::unique_ptr<ModuleInstance> instance = take(context.instantiate({}, {}));
  const std::unique_ptr<FunctionInstance> function = instance->function(guest);
  std::stop_source cancel;
  Interruption interruption;
  MonotonicTime due = MonotonicClock::now() + span;
  std::jthread canceller;
  if (by_deadline) {
    interruption.deadline = {due};
  } else {
    interruption.cancelled = cancel.get_token();
    canceller = std::jthread([&] {
      std::this_thread::sleep_until(due);
      due = MonotonicClock::now();
      cancel.request_stop();
    });
  }
  const Outcome<> outcome = function->call(interruption, {});
  const MonotonicTime returned = MonotonicClock::now();
  if (canceller.joinable()) canceller.join();  // due is written
  const wasm::ErrorCode expected =
      by_deadline ? wasm::ErrorCode::kDeadlineExceeded : wasm::ErrorCode::kCancelled;
  if (outcome || outcome.error().code != expected) {
    throw std::runtime_error(
        fmt::format("an endless {} ended: {}", guest, outcome ? "" : outcome.error().message));
  }
  return ms_between(due, returned);
}

// What the machine does to a thread that looks at the clock all the time.
double late_ms_of_itself(milliseconds span) {
  const MonotonicTime due = MonotonicClock::now() + span;
  MonotonicTime now = due;
  while ((now = MonotonicClock::now()) < due) continue;
  return ms_between(due, now);
}

// One for each core, as long as it lives.
std::vector<std::jthread> busy_threads() {
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back([](const std::stop_token& stopping) {
      while (!stopping.stop_requested()) continue;
    });
  }
  return threads;
}

// Alone and beside busy threads.
StopRow measure(StopRow row, int calls, const std::function<double(milliseconds)>& late) {
  const auto lateness = [&]() -> Lateness {
    std::vector<double> all;
    for (int call = 0; call < calls; ++call) all.push_back(late(span_of(call)));
    return {.median_ms = median(all), .worst_ms = std::ranges::max(all)};
  };
  row.alone = lateness();
  const std::vector<std::jthread> beside = busy_threads();
  row.busy = lateness();
  return row;
}

}  // namespace

StopRow measure_machine(int calls) {
  return measure({.engine = "none", .guest = "clock", .by = "deadline"}, calls, late_ms_of_itself);
}

std::vector<StopRow> measure_stops(const Contest& contest, int calls) {
  const std::unique_ptr<Runtime> runtime =
      take(contest.adapter.make({.mode = contest.options.mode,
                                 .instances_max = contest.options.instances_max,
                                 .library_folder = contest.options.library_folder}));
  const std::unique_ptr<CompiledModule> module =
      take(runtime->compile(take(wasm_from_text(kEndless))));
  const std::unique_ptr<Context> context = take(runtime->link(*module, {}));
  std::vector<StopRow> rows;
  for (const std::string guest : {"loop", "recursion"}) {
    for (const bool by_deadline : {true, false}) {
      StopRow row = measure(
          {.engine = contest.name(),
           .guest = guest,
           .by = by_deadline ? "deadline" : "cancellation"},
          calls, [&](milliseconds span) { return late_ms(*context, guest, by_deadline, span); });
      row.verdict = row.alone.worst_ms <= kGateMs ? Verdict::kPass : Verdict::kFail;
      rows.push_back(row);
    }
  }
  return rows;
}

std::string table(const std::vector<StopRow>& rows) {
  std::string text =
      fmt::format("| {:<22} | {:<9} | {:<12} | {:>9} | {:>8} | {:>15} | {:>14} | {:>7} | {:<4} |\n",
                  "engine", "endless", "stopped by", "median ms", "worst ms", "busy: median ms",
                  "busy: worst ms", "gate ms", "");
  text += "|---|---|---|--:|--:|--:|--:|--:|---|\n";
  for (const StopRow& row : rows) {
    text += fmt::format(
        "| {:<22} | {:<9} | {:<12} | {:>9.2f} | {:>8.2f} | {:>15.2f} | {:>14.2f} | {:>7.0f} | "
        "{:<4} |\n",
        row.engine, row.guest, row.by, row.alone.median_ms, row.alone.worst_ms, row.busy.median_ms,
        row.busy.worst_ms, kGateMs, to_string(row.verdict));
  }
  return text;
}

std::string json(const std::vector<StopRow>& rows) {
  std::string text;
  for (const StopRow& row : rows) {
    text += fmt::format(
        R"({}{{"engine":"{}","endless":"{}","by":"{}","median_ms":{},"worst_ms":{},"busy_median_ms":{},"busy_worst_ms":{},"gate_ms":{},"verdict":"{}"}})",
        text.empty() ? "" : ",\n  ", row.engine, row.guest, row.by, row.alone.median_ms,
        row.alone.worst_ms, row.busy.median_ms, row.busy.worst_ms, kGateMs, to_string(row.verdict));
  }
  return "[" + text + "]";
}

}  // namespace seam::bench
