// Any bytes as what the sandbox with the Rust compiler answers, as its messages, and as what a
// function answers: nothing but errors of their kinds, whose details are JSON and within their
// bound.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/json_text.h"
#include "runtimes/rust/compiler_answer.h"
#include "runtimes/rust/guest_answer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace seam;
  using namespace seam::runtimes;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto check = [](const Error& error) {
    CHECK(error.code == ErrorCode::kInvalidArgument && !error.message.empty());
    CHECK(check_json(error.details).has_value() && is_json_object(error.details));
    // Each byte may become six: \u0000.
    CHECK(error.details.size() < 6 * kCompilerOutputBytesMax + 200);
  };
  check(read_diagnostics(bytes, DiagnosedFile::kFunction));
  check(read_diagnostics(bytes, DiagnosedFile::kBridge));
  check(read_linker_output(bytes));

  if (const auto answer = CompilerAnswer::parse(bytes); answer && answer->whole) {
    std::size_t sum = 0;
    for (const auto& [name, content] : answer->files) {
      CHECK(!name.empty() && name.find('/') == std::string::npos && name.front() != '.');
      sum += content.size();
      check(read_diagnostics(content, DiagnosedFile::kFunction));
    }
    CHECK(sum < size);
  }

  if (const auto answer = check_json(bytes)) static_cast<void>(read_rust_error(*answer));
  const FunctionError panic = read_rust_failure({.kind = FunctionError::Kind::kThrew,
                                                 .type = "Exit",
                                                 .message = std::string(bytes),
                                                 .line = {},
                                                 .column = {},
                                                 .stack_trace = {}});
  CHECK(!panic.line || *panic.line > 0);
  return 0;
}
