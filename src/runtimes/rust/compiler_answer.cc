#include "runtimes/rust/compiler_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <vector>

#include "base/json_text.h"
#include "base/json_tree.h"
#include "base/utf8_cut.h"

namespace seam::runtimes {

namespace {

constexpr std::string_view kWantedHandler =
    "pub fn handler(context: serde_json::Map<String, serde_json::Value>) -> "
    "Result<serde_json::Value, String>";
constexpr int kExpansionsMax = 64;  // of macros in macros, until the user's line is found

bool is_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  return !name.empty() && name.size() <= 64 && !name.starts_with('.') &&
         std::ranges::all_of(name, plain);
}

std::unexpected<Error> nonsense(std::size_t at) {
  return fail(ErrorCode::kDataLoss,
              fmt::format("the compiler's sandbox answers nonsense at byte {}", at));
}

struct Place {
  int line = 0;
  int column = 0;
};

// What is wanted of one message of the compiler.
struct Message {
  std::string text;
  std::string label;  // what stands under the primary span
  std::optional<Place> place;
  std::string rendered;
};

class MessageReader {
 public:
  explicit MessageReader(const JsonTree& tree) : tree_(tree) {}

  // Nothing for a warning, and for the count of errors at the end.
  [[nodiscard]] std::optional<Message> read() const {
    if (text_of(0, "level") != "error" && !text_of(0, "level").starts_with("error:")) return {};
    Message message;
    message.text = text_of(0, "message");
    if (message.text.starts_with("aborting due to")) return {};
    if (message.text.empty()) message.text = "an error that the compiler does not name";
    if (const auto code = tree_.member(0, "code"); code && is(*code, JsonTree::Kind::kObject)) {
      if (const std::string id = text_of(*code, "code"); !id.empty())
        message.text += fmt::format(" [{}]", id);
    }
    read_spans(0, message);
    if (const auto children = tree_.member(0, "children"); children && !message.place) {
      each(*children, [&](std::uint32_t child) {
        if (!message.place) read_spans(child, message);
      });
    }
    message.rendered = text_of(0, "rendered");
    return message;
  }

 private:
  [[nodiscard]] bool is(std::uint32_t node, JsonTree::Kind kind) const {
    return tree_[node].kind == kind;
  }

  template <class Visit>
  void each(std::uint32_t array, Visit visit) const {
    if (!is(array, JsonTree::Kind::kArray)) return;
    for (std::uint32_t node = array + 1; node < tree_[array].end; node = tree_[node].end)
      visit(node);
  }

  [[nodiscard]] std::string text_of(std::uint32_t object, std::string_view name) const {
    if (!is(object, JsonTree::Kind::kObject)) return {};
    const auto found = tree_.member(object, name);
    if (!found || !is(*found, JsonTree::Kind::kString)) return {};
    return tree_.string(*found);
  }

  [[nodiscard]] int number_of(std::uint32_t object, std::string_view name) const {
    const auto found = tree_.member(object, name);
    if (!found || !is(*found, JsonTree::Kind::kNumber)) return 0;
    const std::string_view digits = tree_.text(*found);
    int value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() ? value : 0;
  }

  // Where a span lies in the user's source: itself, or the macro call that it was made by.
  [[nodiscard]] std::optional<Place> place_of(std::uint32_t span) const {
    for (int depth = 0; depth < kExpansionsMax && is(span, JsonTree::Kind::kObject); ++depth) {
      if (text_of(span, "file_name") == kRustSourceName) {
        const Place place{.line = number_of(span, "line_start"),
                          .column = number_of(span, "column_start")};
        if (place.line > 0 && place.column > 0) return place;
      }
      const auto expansion = tree_.member(span, "expansion");
      if (!expansion || !is(*expansion, JsonTree::Kind::kObject)) return {};
      const auto outer = tree_.member(*expansion, "span");
      if (!outer) return {};
      span = *outer;
    }
    return {};
  }

  void read_spans(std::uint32_t object, Message& message) const {
    if (!is(object, JsonTree::Kind::kObject)) return;
    const auto spans = tree_.member(object, "spans");
    if (!spans) return;
    each(*spans, [&](std::uint32_t span) {
      if (!is(span, JsonTree::Kind::kObject)) return;
      const auto primary = tree_.member(span, "is_primary");
      if (!primary || !tree_.is_true(*primary)) return;
      if (message.label.empty() && object == 0) message.label = text_of(span, "label");
      if (!message.place) message.place = place_of(span);
    });
  }

  const JsonTree& tree_;
};

std::string details_of(const std::optional<Place>& place, std::string_view output) {
  std::string details = "{";
  if (place) details += fmt::format(R"("line": {}, "column": {}, )", place->line, place->column);
  details += R"("output": )";
  append_json_string(details, utf8_cut(output, kCompilerOutputBytesMax));
  return details + "}";
}

}  // namespace

Result<CompilerAnswer> CompilerAnswer::parse(std::string_view bytes) {
  constexpr std::string_view kFile = "file ";
  CompilerAnswer answer;
  std::string_view left = bytes;
  while (!left.empty()) {
    const std::size_t at = bytes.size() - left.size();
    const std::size_t line_end = left.substr(0, 128).find('\n');
    if (line_end == std::string_view::npos) {
      if (left.size() >= 128) return nonsense(at);
      return answer;  // it ended early
    }
    std::string_view line = left.substr(0, line_end);
    left.remove_prefix(line_end + 1);
    if (line == "end") {
      if (!left.empty()) return nonsense(bytes.size() - left.size());
      answer.whole = true;
      return answer;
    }
    if (!line.starts_with(kFile)) return nonsense(at);
    line.remove_prefix(kFile.size());
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || !is_name(line.substr(0, space))) return nonsense(at);
    const std::string_view digits = line.substr(space + 1);
    std::uint32_t size = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size);
    if (error != std::errc() || end != digits.data() + digits.size() || digits.empty())
      return nonsense(at);
    if (size > left.size()) return answer;
    const auto [unused, added] =
        answer.files.emplace(std::string(line.substr(0, space)), std::string(left.substr(0, size)));
    if (!added) return nonsense(at);
    left.remove_prefix(size);
  }
  return answer;
}

const std::string* CompilerAnswer::find(std::string_view name) const {
  const auto found = files.find(name);
  return found == files.end() ? nullptr : &found->second;
}

Error read_diagnostics(std::string_view lines, DiagnosedFile file) {
  std::optional<Message> first;
  std::string output;
  std::string other;  // what is no JSON: the compiler itself has failed
  std::size_t errors = 0;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    const Result<JsonTree> tree = JsonTree::parse(line);
    if (!tree || (*tree)[0].kind != JsonTree::Kind::kObject) {
      if (other.size() < kCompilerOutputBytesMax) other.append(line).push_back('\n');
      continue;
    }
    std::optional<Message> message = MessageReader(*tree).read();
    if (!message) continue;
    ++errors;
    if (output.size() < kCompilerOutputBytesMax) output += message->rendered;
    // The first that can be placed says most.
    if (!first || (!first->place && message->place)) first = std::move(message);
  }
  Error error{ErrorCode::kInvalidArgument, {}, {}};
  if (!first) {
    error.message =
        fmt::format("the Rust compiler fails at this source: {}",
                    utf8_cut(other.empty() ? std::string_view("it says nothing") : other,
                             kCompilerOutputBytesMax / 4));
    while (error.message.ends_with('\n')) error.message.pop_back();
    error.details = details_of({}, other);
    return error;
  }
  error.message = std::string(utf8_cut(first->text, kCompilerOutputBytesMax / 4));
  if (!first->label.empty())
    error.message += fmt::format(": {}", utf8_cut(first->label, kCompilerOutputBytesMax / 4));
  if (file == DiagnosedFile::kBridge)
    error.message = fmt::format("the source must define `{}`: {}", kWantedHandler, error.message);
  if (errors > 1) error.message += fmt::format(" (and {} more)", errors - 1);
  error.details = details_of(first->place, output);
  return error;
}

Error read_linker_output(std::string_view text) {
  constexpr std::string_view kError = "error: ";
  const std::size_t at = text.find(kError);
  std::string_view first = at == std::string_view::npos ? text : text.substr(at + kError.size());
  first = first.substr(0, first.find('\n'));
  return {ErrorCode::kInvalidArgument,
          fmt::format("the compiled source cannot be linked: {}",
                      utf8_cut(first, kCompilerOutputBytesMax / 4)),
          details_of({}, text)};
}

}  // namespace seam::runtimes
