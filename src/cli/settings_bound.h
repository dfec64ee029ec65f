#pragma once
// A setting with the place its value goes to: what settings.cc and engine_settings.cc are made of.
//
//   Bound port{{.key = "port", …}, [](Settings& s, const Value& v) { s.port = number<…>(v); }};

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "cli/settings.h"
#include "config/setting.h"

namespace seam::cli {

struct Bound {
  config::Setting setting;
  std::function<void(Settings&, const config::Value&)> store;
};

inline std::string text(const config::Value& value) { return std::get<std::string>(value); }

template <class T>
T number(const config::Value& value) {
  return static_cast<T>(std::get<std::int64_t>(value));
}

// Of the engines of this build: which is used, and how.
[[nodiscard]] std::vector<Bound> engine_settings();

// What the values of several of them mean together.
// errors    kInvalidArgument   two of them contradict each other; the message names both
[[nodiscard]] Result<void> settle_engines(LoadedSettings& loaded);

}  // namespace seam::cli
