#include "runtimes/worker_messages.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/json_text.h"
#include "base/utf8_cut.h"
#include "runtimes/limits.h"

namespace seam::runtimes {

std::string load_header(const Program& program, std::string_view folder) {
  std::string header = R"({"language_title":)";
  append_json_string(header, program.language_title);
  header += R"(,"entry":)";
  append_json_string(header, program.entry);
  if (!folder.empty()) {
    header += R"(,"folder":)";
    append_json_string(header, folder);
  }
  header += R"(,"environment":{)";
  bool first = true;
  for (const auto& [name, value] : program.environment) {
    if (!std::exchange(first, false)) header += ',';
    append_json_string(header, name);
    header += ':';
    append_json_string(header, value);
  }
  header += fmt::format(R"(}},"log_bytes_max":{},"result_bytes_max":{},"memory_bytes_max":{}}})",
                        program.limits.log_bytes_max, program.limits.result_bytes_max,
                        program.limits.memory_bytes_max);
  return header;
}

namespace {

// Of workers that end their calls themselves.
constexpr std::string_view kDeadlineKind = "deadline";
constexpr std::string_view kHostKind = "host";
constexpr std::string_view kMemoryKind = "memory";

constexpr std::size_t kMessageBytesMax = 16U << 10U;
constexpr std::size_t kStackBytesMax = 64U << 10U;

std::string_view kind_of(FunctionError::Kind kind) {
  switch (kind) {
    case FunctionError::Kind::kBadResult:
      return "result";
    case FunctionError::Kind::kLoadFailed:
      return "load";
    case FunctionError::Kind::kMemoryExceeded:
      return kMemoryKind;
    default:
      return "threw";
  }
}

std::optional<int> positive_number(const JsonObjectText& object, std::string_view name) {
  const std::optional<std::string_view> text = object.find(name);
  if (!text) return std::nullopt;
  int value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < 1) return std::nullopt;
  return value;
}

std::string text_member(const JsonObjectText& object, std::string_view name) {
  const std::optional<std::string_view> text = object.find(name);
  return text && is_json_string(*text) ? decode_json_string(*text) : std::string();
}

}  // namespace

Result<Failure> parse_failure(std::string_view payload, bool timed) {
  SEAM_ASSIGN_OR_RETURN(const JsonObjectText object, JsonObjectText::parse(payload));
  FunctionError error;
  const std::string kind = text_member(object, "kind");
  if (timed && kind == kDeadlineKind)
    return Error{ErrorCode::kDeadlineExceeded, text_member(object, "message"), {}};
  if (timed && kind == kHostKind)
    return Error{ErrorCode::kInternal, text_member(object, "message"), {}};
  if (timed && kind == kMemoryKind) {
    error.kind = FunctionError::Kind::kMemoryExceeded;
  } else if (kind == "threw") {
    error.kind = FunctionError::Kind::kThrew;
  } else if (kind == "result") {
    error.kind = FunctionError::Kind::kBadResult;
  } else if (kind == "load") {
    error.kind = FunctionError::Kind::kLoadFailed;
  } else {
    return fail(ErrorCode::kInvalidArgument, "a failure without a known kind");
  }
  error.type = text_member(object, "type");
  error.message = text_member(object, "message");
  error.stack_trace = text_member(object, "stack");
  error.line = positive_number(object, "line");
  error.column = positive_number(object, "column");
  return error;
}

std::string format_failure(const FunctionError& error) {
  std::string out = "{\"kind\":";
  append_json_string(out, kind_of(error.kind));
  const auto add = [&](std::string_view key, std::string_view text, std::size_t bytes_max) {
    if (text.empty()) return;
    out.append(fmt::format(",\"{}\":", key));
    append_json_string(out, utf8_cut(text, bytes_max));
  };
  add("type", error.type, kMessageBytesMax);
  add("message", error.message, kMessageBytesMax);
  add("stack", error.stack_trace, kStackBytesMax);
  return out + "}";
}

std::string format_host_failure(const Error& error) {
  std::string out = "{\"kind\":";
  append_json_string(out, error.code == ErrorCode::kDeadlineExceeded ? kDeadlineKind : kHostKind);
  out.append(",\"message\":");
  append_json_string(out, utf8_cut(error.message, kMessageBytesMax));
  return out + "}";
}

std::string place_details(const FunctionError& error) {
  if (!error.line) return {};
  std::string details = fmt::format(R"({{"line": {})", *error.line);
  if (error.column) details += fmt::format(R"(, "column": {})", *error.column);
  if (!error.stack_trace.empty()) {
    details += R"(, "stack_trace": )";
    append_json_string(details, error.stack_trace);
  }
  return details + "}";
}

std::string describe_exit(const process::WorkerExit& exit) {
  if (WIFEXITED(exit.status)) {
    return fmt::format("ended with exit code {}", WEXITSTATUS(exit.status));
  }
  if (WIFSIGNALED(exit.status)) {
    const int number = WTERMSIG(exit.status);
    const char* const name = ::sigabbrev_np(number);
    return name == nullptr ? fmt::format("was killed by signal {}", number)
                           : fmt::format("was killed by signal {} (SIG{})", number, name);
  }
  return "ended";
}

void append_tail(std::string& tail, std::string_view bytes) {
  if (bytes.size() > kOutputTailBytes) bytes.remove_prefix(bytes.size() - kOutputTailBytes);
  if (tail.size() + bytes.size() > kOutputTailBytes)
    tail.erase(0, tail.size() + bytes.size() - kOutputTailBytes);
  tail += bytes;
}

std::string printable_tail(std::string_view tail) {
  constexpr std::size_t kShownMax = 600;
  while (!tail.empty() && static_cast<unsigned char>(tail.back()) <= ' ') tail.remove_suffix(1);
  if (tail.empty()) return "nothing";
  std::string text(tail.substr(tail.size() - std::min(tail.size(), kShownMax)));
  std::ranges::replace_if(
      text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
  return text;
}

milliseconds backoff_after(std::uint32_t failures) {
  const std::uint32_t doublings = std::clamp(failures, 1U, 16U) - 1;
  return std::min(kStartBackoffMin * (1U << doublings), kStartBackoffMax);
}

}  // namespace seam::runtimes
