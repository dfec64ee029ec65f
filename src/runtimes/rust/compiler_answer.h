#pragma once
// What comes back from the sandbox in which Rust is compiled (guests/rust/compile.sh), and what the
// compiler has to say of a source. The bytes are those of a program that was fed with a tenant's
// source: nothing in them is believed before it is checked.
//
//   SEAM_ASSIGN_OR_RETURN(const CompilerAnswer answer, CompilerAnswer::parse(bytes));
//   if (const std::string* json = answer.find("function.json"))
//     return std::unexpected(read_diagnostics(*json, DiagnosedFile::kFunction));

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace seam::runtimes {

// What guests/rust/compile.sh calls the user's source.
inline constexpr std::string_view kRustSourceName = "function.rs";

struct CompilerAnswer {
  // By their names: 1 to 64 of A-Z a-z 0-9 _ . -, and not beginning with a dot.
  std::map<std::string, std::string, std::less<>> files;
  bool whole = false;  // it said that no more would come

  // "file <name> <size>\n" and the bytes, again and again, then "end\n".
  // errors    kDataLoss   anything else; a part of it that ends early is no error, but not whole
  [[nodiscard]] static Result<CompilerAnswer> parse(std::string_view bytes);
  [[nodiscard]] const std::string* find(std::string_view name) const;
};

// Which file was compiled: the user's own, or the bridge that calls its handler.
enum class DiagnosedFile { kFunction, kBridge };

// The first error of rustc's messages, one JSON object a line, as kInvalidArgument. Its details
// hold "line" and "column" (from 1, in the user's source, where it is to blame) and "output", what
// the compiler printed, at most kCompilerOutputBytesMax.
// source    "JSON Output" in the rustc book.
[[nodiscard]] Error read_diagnostics(std::string_view lines, DiagnosedFile file);

// The same of what the linker printed.
[[nodiscard]] Error read_linker_output(std::string_view text);

inline constexpr std::size_t kCompilerOutputBytesMax = 8U << 10U;

}  // namespace seam::runtimes
