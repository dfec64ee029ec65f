#include "metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "metrics/process_metrics.h"
#include "metrics/text_writer.h"

namespace seam::metrics {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string scraped(const Registry& registry,
                    TextWriter::Format format = TextWriter::Format::kText) {
  TextWriter writer(format);
  registry.write(writer);
  return writer.finish();
}

TEST(MetricsRegistry, WritesACounterByItsLabels) {
  Registry registry;
  const auto calls =
      registry.counters({.name = "calls_total", .help = "Calls.", .labels = {"function", "code"}});
  const Counter ok = calls.with({"nodejs-a", "OK"});
  const Counter failed = calls.with({"nodejs-a", "TIMEOUT"});
  ok.add();
  ok.add(2);
  EXPECT_EQ(scraped(registry),
            "# HELP calls_total Calls.\n"
            "# TYPE calls_total counter\n"
            "calls_total{function=\"nodejs-a\",code=\"OK\"} 3\n"
            "calls_total{function=\"nodejs-a\",code=\"TIMEOUT\"} 0\n");
}

TEST(MetricsRegistry, SumsWhatManyThreadsAdd) {
  Registry registry;
  const Counter counter = registry.counters({.name = "a_total", .help = "A."}).one();
  const Gauge gauge = registry.gauges({.name = "b", .help = "B."}).one();
  constexpr int kThreads = 80;  // more than have cells of their own, to try the shared ones
  constexpr int kEach = 10'000;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        counter.add();
        gauge.add(i % 2 == 0 ? 3 : -2);
        if (i % 1000 == 0) static_cast<void>(scraped(registry));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = scraped(registry);
  EXPECT_THAT(text, HasSubstr("\na_total 800000\n"));
  EXPECT_THAT(text, HasSubstr("\nb 400000\n"));
}

// A thread's number goes to a later thread, which adds on to the same cells.
TEST(MetricsRegistry, LosesNothingWhenThreadsComeAndGo) {
  Registry registry;
  const Counter counter = registry.counters({.name = "a_total", .help = "A."}).one();
  for (int i = 0; i < 200; ++i) std::thread([&] { counter.add(); }).join();
  EXPECT_THAT(scraped(registry), HasSubstr("\na_total 200\n"));
}

TEST(MetricsRegistry, GaugesGoBelowZero) {
  Registry registry;
  const Gauge gauge = registry.gauges({.name = "a", .help = "A."}).one();
  gauge.add(1);
  gauge.add(-3);
  EXPECT_THAT(scraped(registry), HasSubstr("\na -2\n"));
}

TEST(MetricsRegistry, HistogramBucketsCountWhatIsBelowTheirBound) {
  Registry registry;
  static constexpr std::array<nanoseconds, 2> kBounds = {milliseconds(1), seconds(2)};
  const Histogram histogram =
      registry.histograms({.name = "a_seconds", .help = "A.", .labels = {"stage"}}, kBounds)
          .with({"run"});
  histogram.observe(milliseconds(1));  // a bound belongs to its bucket
  histogram.observe(microseconds(1500));
  histogram.observe(seconds(3));
  histogram.observe(nanoseconds(-5));  // a clock that is asked on two threads: counts as none
  EXPECT_EQ(scraped(registry),
            "# HELP a_seconds A.\n"
            "# TYPE a_seconds histogram\n"
            "a_seconds_bucket{stage=\"run\",le=\"0.001\"} 2\n"
            "a_seconds_bucket{stage=\"run\",le=\"2\"} 3\n"
            "a_seconds_bucket{stage=\"run\",le=\"+Inf\"} 4\n"
            "a_seconds_sum{stage=\"run\"} 3.0025\n"
            "a_seconds_count{stage=\"run\"} 4\n");
}

TEST(MetricsRegistry, ASeriesGoesWithItsLastHandle) {
  Registry registry;
  const auto family = registry.counters({.name = "a_total", .help = "A.", .labels = {"function"}});
  Counter first = family.with({"one"});
  first.add(7);
  {
    const Counter second = family.with({"one"});
    second.add();
  }
  EXPECT_THAT(scraped(registry), HasSubstr("a_total{function=\"one\"} 8\n"));
  first = family.with({"two"});
  EXPECT_THAT(scraped(registry), Not(HasSubstr("one")));
  const Counter again = family.with({"one"});
  EXPECT_THAT(scraped(registry), HasSubstr("a_total{function=\"one\"} 0\n"));
}

// Cells of one series are used again by the next of its size, also on threads that have counted
// there before.
TEST(MetricsRegistry, CellsAreUsedAgainFromZero) {
  Registry registry;
  const auto family = registry.histograms({.name = "a_seconds", .help = "A.", .labels = {"f"}});
  for (int i = 0; i < 200'000; ++i) {  // many times what the cells there are would hold
    const Histogram histogram = family.with({"f"});
    histogram.observe(seconds(1));
  }
  const Histogram histogram = family.with({"f"});
  EXPECT_THAT(scraped(registry), HasSubstr("a_seconds_count{f=\"f\"} 0\n"));
}

TEST(MetricsRegistry, WhatIsOverTheLimitSharesOther) {
  Registry registry;
  const auto family = registry.counters(
      {.name = "a_total", .help = "A.", .labels = {"function", "runtime"}, .series_max = 2});
  const Counter a = family.with({"a", "nodejs"});
  const Counter b = family.with({"b", "nodejs"});
  const Counter c = family.with({"c", "nodejs"});
  const Counter d = family.with({"d", "nodejs"});
  const Counter e = family.with({"e", "python"});
  const Counter a_again = family.with({"a", "nodejs"});
  for (const Counter* each : {&a, &b, &c, &d, &e, &a_again}) each->add();
  const std::string text = scraped(registry);
  EXPECT_THAT(text, HasSubstr("a_total{function=\"a\",runtime=\"nodejs\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("a_total{function=\"(other)\",runtime=\"nodejs\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("a_total{function=\"(other)\",runtime=\"python\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("\"c\"")));
}

TEST(MetricsRegistry, OneNameIsOneFamily) {
  Registry registry;
  const Counter a = registry.counters({.name = "a_total", .help = "A."}).one();
  const Counter b = registry.counters({.name = "a_total", .help = "A."}).one();
  a.add();
  b.add();
  EXPECT_THAT(scraped(registry), HasSubstr("\na_total 2\n"));
}

TEST(MetricsRegistry, HideEmptyShowsASeriesWithItsFirstEvent) {
  Registry registry;
  const auto family =
      registry.counters({.name = "a_total", .help = "A.", .labels = {"code"}, .hide_empty = true});
  const Counter ok = family.with({"OK"});
  const Counter timeout = family.with({"TIMEOUT"});
  EXPECT_EQ(scraped(registry), "");
  ok.add();
  EXPECT_THAT(scraped(registry), HasSubstr("OK"));
  EXPECT_THAT(scraped(registry), Not(HasSubstr("TIMEOUT")));
}

TEST(MetricsRegistryDeathTest, AnotherKindUnderOneNameIsABug) {
  Registry registry;
  static_cast<void>(registry.counters({.name = "a_total", .help = "A."}));
  EXPECT_DEATH(static_cast<void>(registry.gauges({.name = "a_total", .help = "A."})), "kind");
}

TEST(MetricsText, EscapesHelpAndValues) {
  TextWriter writer(TextWriter::Format::kText);
  writer.begin_family("a", Kind::kGauge, "back\\slash \"quoted\"\nsecond line");
  writer.begin_series();
  writer.label("name", "a\\b\"c\nd");
  writer.value(0.25);
  EXPECT_EQ(writer.finish(),
            "# HELP a back\\\\slash \"quoted\"\\nsecond line\n"
            "# TYPE a gauge\n"
            "a{name=\"a\\\\b\\\"c\\nd\"} 0.25\n");
}

TEST(MetricsText, OpenMetricsNamesTheFamilyWithoutTotalAndEnds) {
  Registry registry;
  const Counter counter = registry.counters({.name = "a_total", .help = "A."}).one();
  counter.add();
  EXPECT_EQ(scraped(registry, TextWriter::Format::kOpenMetrics),
            "# HELP a A.\n# TYPE a counter\na_total 1\n# EOF\n");
}

TEST(MetricsText, TheFormatIsChosenByAccept) {
  using enum TextWriter::Format;
  EXPECT_EQ(TextWriter::format_for(std::nullopt), kText);
  EXPECT_EQ(TextWriter::format_for("text/plain;version=0.0.4"), kText);
  EXPECT_EQ(TextWriter::format_for("*/*"), kText);
  EXPECT_EQ(TextWriter::format_for("application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"),
            kOpenMetrics);
}

TEST(MetricsText, WritesWhatIsWanted) {
  Registry registry;
  const auto calls =
      registry.counters({.name = "calls_total", .help = "h", .labels = {"function", "code"}});
  const auto requests = registry.counters({.name = "requests_total", .help = "h"});
  const Counter one = calls.with({"one", "OK"});
  const Counter two = calls.with({"two", "OK"});
  const Counter request = requests.with({});
  const auto text = [&](Selection wanted) {
    TextWriter writer(TextWriter::Format::kText, std::move(wanted));
    writer.gauge("open", "h", std::uint64_t{1});
    registry.write(writer);
    return writer.finish();
  };
  const std::string calls_head = "# HELP calls_total h\n# TYPE calls_total counter\n";
  EXPECT_EQ(text({.families = {"requests_total"}}),
            "# HELP requests_total h\n# TYPE requests_total counter\nrequests_total 0\n");
  EXPECT_EQ(text({.families = {"open"}, .functions = {"one"}}),
            "# HELP open h\n# TYPE open gauge\nopen 1\n");
  EXPECT_EQ(text({.families = {"calls_total"}, .functions = {"two", "none"}}),
            calls_head + "calls_total{function=\"two\",code=\"OK\"} 0\n");
  // A function is asked of series that have one.
  EXPECT_EQ(text({.functions = {"one"}}),
            "# HELP open h\n# TYPE open gauge\nopen 1\n" + calls_head +
                "calls_total{function=\"one\",code=\"OK\"} 0\n"
                "# HELP requests_total h\n# TYPE requests_total counter\nrequests_total 0\n");
  EXPECT_EQ(text({.families = {"none"}}), "");
}

TEST(MetricsProcess, TellsOfThisProcess) {
  TextWriter writer(TextWriter::Format::kText);
  write_process_metrics(writer);
  const std::string text = writer.finish();
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                           "process_open_fds", "process_max_fds", "process_start_time_seconds",
                           "process_virtual_memory_bytes", "process_threads"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + name + " ")) << text;
  }
}

}  // namespace
}  // namespace seam::metrics
