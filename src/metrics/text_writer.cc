#include "metrics/text_writer.h"

#include <fmt/format.h>

#include <algorithm>

namespace seam::metrics {
namespace {

// Backslash, line feed and, in a label's value, the quotation mark. What is not UTF-8 cannot come
// here: names of functions, routes and runtimes are ASCII.
void append_escaped(std::string& out, std::string_view text, bool quoted) {
  for (const char c : text) {
    if (c == '\\') {
      out.append("\\\\");
    } else if (c == '\n') {
      out.append("\\n");
    } else if (c == '"' && quoted) {
      out.append("\\\"");
    } else {
      out.push_back(c);
    }
  }
}

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kCounter:
      return "counter";
    case Kind::kGauge:
      return "gauge";
    case Kind::kHistogram:
      return "histogram";
  }
  return "gauge";
}

constexpr std::string_view kTotal = "_total";

std::string seconds_text(nanoseconds span) {
  return fmt::format("{}", std::chrono::duration<double>(span).count());
}

}  // namespace

TextWriter::Format TextWriter::format_for(std::optional<std::string_view> accept) {
  return accept && accept->find("application/openmetrics-text") != std::string_view::npos
             ? Format::kOpenMetrics
             : Format::kText;
}

TextWriter::TextWriter(Format format, Selection wanted)
    : format_(format), wanted_(std::move(wanted)) {
  std::ranges::sort(wanted_.families);
  std::ranges::sort(wanted_.functions);
}

bool TextWriter::wants_family(std::string_view name) const {
  return wanted_.families.empty() || std::ranges::binary_search(wanted_.families, name);
}

bool TextWriter::wants_function(std::string_view name) const {
  return wanted_.functions.empty() || std::ranges::binary_search(wanted_.functions, name);
}

void TextWriter::begin_family(std::string_view name, Kind kind, std::string_view help) {
  name_ = name;
  kind_ = kind;
  help_ = help;
  head_written_ = false;
  skipped_ = !wants_family(name);
}

void TextWriter::write_head() {
  if (std::exchange(head_written_, true)) return;
  std::string_view family = name_;
  // OpenMetrics names the family of a counter without the suffix of its samples.
  if (format_ == Format::kOpenMetrics && kind_ == Kind::kCounter && family.ends_with(kTotal))
    family.remove_suffix(kTotal.size());
  out_.append("# HELP ").append(family).push_back(' ');
  append_escaped(out_, help_, format_ == Format::kOpenMetrics);
  out_.append("\n# TYPE ").append(family).append(" ").append(kind_name(kind_)).push_back('\n');
}

void TextWriter::label(std::string_view name, std::string_view value) {
  if (!labels_.empty()) labels_.push_back(',');
  labels_.append(name).append("=\"");
  append_escaped(labels_, value, true);
  labels_.push_back('"');
}

void TextWriter::begin_sample(std::string_view suffix) {
  write_head();
  out_.append(name_).append(suffix);
  if (!labels_.empty()) out_.append("{").append(labels_).push_back('}');
}

void TextWriter::end_sample(std::string_view number) {
  out_.append(" ").append(number).push_back('\n');
}

void TextWriter::value(std::uint64_t value) {
  if (skipped_) return;
  begin_sample({});
  end_sample(fmt::format("{}", value));
}
void TextWriter::value(std::int64_t value) {
  if (skipped_) return;
  begin_sample({});
  end_sample(fmt::format("{}", value));
}
void TextWriter::value(double value) {
  if (skipped_) return;
  begin_sample({});
  end_sample(fmt::format("{}", value));
}

void TextWriter::histogram(std::span<const nanoseconds> bounds,
                           std::span<const std::uint64_t> buckets, nanoseconds sum) {
  if (skipped_) return;
  write_head();
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    below += buckets[i];
    out_.append(name_).append("_bucket{").append(labels_);
    if (!labels_.empty()) out_.push_back(',');
    out_.append("le=\"").append(i < bounds.size() ? seconds_text(bounds[i]) : "+Inf");
    out_.append(fmt::format("\"}} {}\n", below));
  }
  begin_sample("_sum");
  end_sample(seconds_text(sum));
  begin_sample("_count");
  end_sample(fmt::format("{}", below));
}

std::string_view TextWriter::content_type() const {
  return format_ == Format::kOpenMetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

std::string TextWriter::finish() {
  if (format_ == Format::kOpenMetrics) out_.append("# EOF\n");
  return std::move(out_);
}

}  // namespace seam::metrics
