#pragma once
// Writes metrics as Prometheus reads them.
//
//   TextWriter writer(TextWriter::format_for(request.header("Accept")));
//   writer.gauge("seam_sessions_open", "Open sessions.", sessions.size());
//   registry.write(writer);
//   … writer.content_type(), writer.finish() …
//
// A dashboard that looks often asks for a part, which costs as little as it is:
//
//   TextWriter writer(format, {.families = {"seam_function_calls_total"}, .functions =
//   {"nodejs-sum"}});
//
// source    Prometheus text format 0.0.4; OpenMetrics 1.0.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "metrics/registry.h"

namespace seam::metrics {

// What of the metrics is wanted; an empty list is all.
struct Selection {
  std::vector<std::string> families = {};
  std::vector<std::string> functions = {};  // of series that have a label `function`
};

// One thread.
class TextWriter {
 public:
  enum class Format : std::uint8_t { kText, kOpenMetrics };

  // OpenMetrics for whoever names it in its Accept, the text format for all others.
  [[nodiscard]] static Format format_for(std::optional<std::string_view> accept);

  explicit TextWriter(Format format, Selection wanted = {});

  // Whether anything of a family, or of a function, is to be written: what is not need not be
  // gathered, and a family that is not wanted is left out all the same.
  [[nodiscard]] bool wants_family(std::string_view name) const;
  [[nodiscard]] bool wants_function(std::string_view name) const;

  // Begins a family; its series follow, each by begin_series(), any labels, then one value. A
  // family without series is left out.
  void begin_family(std::string_view name, Kind kind, std::string_view help);
  void begin_series() { labels_.clear(); }
  void label(std::string_view name, std::string_view value);
  void value(std::uint64_t value);
  void value(std::int64_t value);
  void value(double value);
  // `buckets` count what fell into each alone, the last one what is above all bounds.
  void histogram(std::span<const nanoseconds> bounds, std::span<const std::uint64_t> buckets,
                 nanoseconds sum);

  // A family of one series without labels.
  template <class Value>
  void gauge(std::string_view name, std::string_view help, Value number) {
    begin_family(name, Kind::kGauge, help);
    begin_series();
    value(widened(number));
  }
  template <class Value>
  void counter(std::string_view name, std::string_view help, Value number) {
    begin_family(name, Kind::kCounter, help);
    begin_series();
    value(widened(number));
  }

  [[nodiscard]] std::string_view content_type() const;
  // What was written. Nothing may follow.
  [[nodiscard]] std::string finish();

 private:
  static double widened(double number) { return number; }
  static std::uint64_t widened(std::uint64_t number) { return number; }
  static std::int64_t widened(std::int64_t number) { return number; }
  void begin_sample(std::string_view suffix);
  void end_sample(std::string_view number);
  void write_head();

  Format format_;
  Selection wanted_;      // sorted
  bool skipped_ = false;  // the family is not wanted
  std::string out_;
  std::string name_;
  std::string help_;
  Kind kind_ = Kind::kGauge;
  bool head_written_ = true;
  std::string labels_;  // `a="b",c="d"`
};

}  // namespace seam::metrics
