#pragma once
// The values of a specification test: in a script they are text, of an engine they are bits. What
// cannot be read throws a std::exception, as Boost.JSON does where a member is missing.

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "wasm/value.h"

namespace seam::wasm {

// The text of one of a command's members; empty where it has none, or it is no text.
[[nodiscard]] std::string_view text_at(const boost::json::object& from, std::string_view key);

// {"type": "f32", "value": "1065353216"}, or nothing where no host could give it, as a reference to
// what only a guest makes.
[[nodiscard]] std::optional<TypedValue> argument_of(const boost::json::object& text);

// Whether `value` is what the script expects: a pattern of NaNs, one of several, a reference of
// which only its kind is known.
[[nodiscard]] bool matches(const boost::json::object& expected, const TypedValue& value);
// Whether a host can tell, for it cannot look into what a guest makes.
[[nodiscard]] bool can_tell(const boost::json::object& expected);

// "f32 0x3f800000", for messages.
[[nodiscard]] std::string describe(const TypedValue& value);

}  // namespace seam::wasm
