#pragma once
// Names of functions and the runtime map: which runtime a name's first implementation runs in.
//
//   SEAM_ASSIGN_OR_RETURN(const RuntimeMap map, RuntimeMap::make(rules));
//   SEAM_ASSIGN_OR_RETURN(const ResolvedName name, map.resolve("nodejs-calculator"));   // runtime
//   "nodejs"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace seam::functions {

// One rule: exactly one of `prefix` and `pattern` is set. Rules are tried in order, the first that
// fits wins.
struct RuntimeRule {
  std::string prefix;  // "nodejs-"
  std::string
      pattern;  // a regular expression in RE2's syntax, searched for in the whole name: "^js-"
  std::string runtime;  // "nodejs"
};

struct ResolvedName {
  std::string language;  // "nodejs": what stands before the first '-'
  std::string title;     // "calculator"
  std::string runtime;   // "nodejs"
};

class RuntimeMap {
 public:
  // errors    kInvalidArgument   a rule without a prefix or pattern, with both, or with a pattern
  // that does not compile
  [[nodiscard]] static Result<RuntimeMap> make(std::vector<RuntimeRule> rules);
  RuntimeMap(RuntimeMap&&) noexcept;
  RuntimeMap& operator=(RuntimeMap&&) noexcept;
  ~RuntimeMap();

  // The rules of a server whose configuration has none.
  [[nodiscard]] static std::vector<RuntimeRule> default_rules();

  // errors    kInvalidArgument   not `<language>-<title>`, a title that is not 1 to 64 of
  // [A-Za-z0-9_.-], or no rule fits thread    any
  [[nodiscard]] Result<ResolvedName> resolve(std::string_view language_title) const;

 private:
  RuntimeMap();
  struct CompiledRule;
  std::vector<CompiledRule> rules_;
};

}  // namespace seam::functions
