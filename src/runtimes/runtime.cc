#include "runtimes/runtime.h"

#include <fmt/format.h>

namespace seam::runtimes {

Result<void> Runtime::check_wish(const EngineWish& wish) const {
  std::string key;
  std::string value;
  if (!wish.engine.empty()) {
    key = "engine";
    value = wish.engine;
  } else if (!wish.fallback.empty()) {
    key = "fallback";
    value = wish.fallback;
  } else if (wish.own_process) {
    key = "isolation";
    value = "process";
  } else {
    return {};
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{} is \"{}\": the runtime {} has no engines to choose from, so leave it "
                          "out",
                          key, value.substr(0, 60), name()));
}

}  // namespace seam::runtimes
