#pragma once
// Puts the effective value of every setting together: a flag is stronger than an environment
// variable, that than seam.yaml, that than the default; and each value says where it came from.
//
//   SEAM_ASSIGN_OR_RETURN(const std::vector<Effective> values,
//                         load(settings, unbuilt, {.flags = {{"--port", "9000"}}, .environment =
//                         environment()}));
//
// What is wrong in seam.yaml is told at once, one message a line.
//
// A variable that is set to nothing counts as not set. Nothing is guessed and nothing ignored: an
// unknown key of seam.yaml, an unknown SEAM_ variable or a value out of range is an error.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/setting.h"

namespace seam::config {

// The process's own environment. Call before any thread exists that could change it.
[[nodiscard]] Environment environment();

struct Sources {
  std::vector<std::pair<std::string, std::string>> flags =
      {};  // {"--port", "9000"}; the last of several wins
  Environment environment = {};
  // Where seam.yaml is: this path, which must exist; if empty SEAM_CONFIG, which must exist; else
  // ./seam.yaml if it does.
  std::string file = {};
};

struct Effective {
  const Setting* setting = nullptr;  // of the span given to load(), which must outlive it
  Value value;
  std::string source;  // "flag --port", "environment PORT", "seam.yaml:12", "default"
};

// One value a setting, in the order of `settings`.
// errors    kInvalidArgument   `environment PORT: port: "http" is not a whole number. Give …`
//           kNotFound, kPermissionDenied   the named file cannot be read
[[nodiscard]] Result<std::vector<Effective>> load(std::span<const Setting> settings,
                                                  std::span<const Unbuilt> unbuilt,
                                                  const Sources& sources);

// What to say of a flag that no setting has: that it is not in this build, or the flag that was
// meant. other_flags   flags of the command that are not settings: "--json"
[[nodiscard]] std::string explain_unknown_flag(std::string_view flag,
                                               std::span<const Setting> settings,
                                               std::span<const Unbuilt> unbuilt,
                                               std::span<const std::string> other_flags);

}  // namespace seam::config
