#pragma once
// The context of a session or of one call: the few keys that Seam reads, and the text that the
// function is given untouched.
//
//   SEAM_ASSIGN_OR_RETURN(const CallContext context, CallContext::parse(R"({"timeout_ms": 500,
//   "team": "core"})"));

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "runtimes/runtime.h"

namespace seam::functions {

struct CallContext {
  std::string text = "{}";                 // checked JSON object, as it came
  std::optional<std::int64_t> timeout_ms;  // waiting included; 1 to kTimeoutMsMax
  bool retain_session = true;
  std::optional<bool> cacheable;  // results of equal calls may be answered again
  std::string user_id;
  std::map<std::string, std::string>
      environment;              // where `environment` is an object; a string is only passed on
  std::string compile_options;  // JSON object, or empty
  runtimes::EngineWish wish;    // of compile_options; which engines there are is not looked at

  // What stands before a key of compile_options in a message.
  static constexpr std::string_view kCompileOptionsKey = "context.compile_options.";

  // `text` has passed check_json() or came with a body that did.
  // errors    kInvalidArgument   not an object, or one of the keys above has a wrong type or value
  [[nodiscard]] static Result<CallContext> parse(std::string_view text);
};

}  // namespace seam::functions
