#include "runtimes/rust/guest_answer.h"

#include <fmt/format.h>

#include <charconv>

#include "base/json_text.h"
#include "runtimes/rust/compiler_answer.h"

namespace seam::runtimes {

namespace {

constexpr std::string_view kErrorEnd = R"(,"seam_error":true})";
constexpr std::string_view kExit = "exited with code 101: ";
constexpr std::string_view kPanic = "panicked at ";

std::optional<int> number_of(std::string_view digits) {
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number <= 0) return {};
  return number;
}

// Cuts ":<number>" off the end.
std::optional<int> take_number(std::string_view& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return {};
  const std::optional<int> number = number_of(text.substr(colon + 1));
  if (number) text = text.substr(0, colon);
  return number;
}

}  // namespace

std::optional<FunctionError> read_rust_error(std::string_view answer) {
  if (answer.size() < kRustErrorBegin.size() + kErrorEnd.size() ||
      !answer.starts_with(kRustErrorBegin) || !answer.ends_with(kErrorEnd))
    return {};
  const std::string_view text = answer.substr(
      kRustErrorBegin.size(), answer.size() - kRustErrorBegin.size() - kErrorEnd.size());
  if (!is_json_string(text) || !check_json(text)) return {};
  return FunctionError{.kind = FunctionError::Kind::kThrew,
                       .type = {},
                       .message = decode_json_string(text),
                       .line = {},
                       .column = {},
                       .stack_trace = {}};
}

FunctionError read_rust_failure(FunctionError failure) {
  if (failure.kind != FunctionError::Kind::kThrew || !failure.message.starts_with(kExit))
    return failure;
  // At the begin of a line; a message may hold the words too, and then the first of them count.
  const std::string_view said = std::string_view(failure.message).substr(kExit.size());
  std::size_t at = said.find(kPanic);
  while (at != std::string_view::npos && at != 0 && said[at - 1] != '\n')
    at = said.find(kPanic, at + 1);
  if (at == std::string_view::npos) return failure;
  const std::string_view panic = said.substr(at + kPanic.size());
  const std::size_t line_end = panic.find(":\n");
  if (line_end == std::string_view::npos) return failure;
  std::string_view place = panic.substr(0, line_end);
  std::string_view message = panic.substr(line_end + 2);
  if (message.ends_with('\n')) message.remove_suffix(1);

  FunctionError read = failure;
  read.type = "panic";
  read.message = message;
  std::string_view file = place;
  const std::optional<int> column = take_number(file);
  const std::optional<int> line = take_number(file);
  if (file == kRustSourceName && line && column) {
    read.line = line;
    read.column = column;
  } else if (!place.empty()) {
    read.message += fmt::format(" (at {})", place);
  }
  return read;
}

}  // namespace seam::runtimes
