#pragma once
// A setting as data: its names, its type, what it may be, and what it means, each said once. The
// loader (config/load.h), `seam config`, the help and docs/configuration.md are all made from
// these.
//
//   Setting port{.key = "port", .environment = {{"PORT"}}, .type = Type::kInteger, .default_text =
//   "8080",
//                .minimum = 0, .maximum = 65535, .description = "TCP port to listen on."};

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace seam::config {

using Environment = std::map<std::string, std::string>;

enum class Type : std::uint8_t {
  kInteger,  // a whole number
  kBytes,    // a whole number of bytes, or one with KiB, MiB or GiB: "64MiB"
  kChoice,   // one of `choices`, in any case
  kText,     // a line of text, not empty
  kEntries,  // an ordered list of small maps; as a flag or a variable in YAML's flow form:
             // "[{prefix: a-, runtime: b}]"
};

// One map of a kEntries value.
struct Entry {
  std::map<std::string, std::string> fields;
  friend bool operator==(const Entry&, const Entry&) = default;
};

using Value = std::variant<std::int64_t, std::string, std::vector<Entry>>;

// A variable kept from elsewhere. `scale` turns its unit into the setting's: 1000 for seconds into
// milliseconds.
struct EnvironmentName {
  std::string name = {};
  std::int64_t scale = 1;
};

struct Setting {
  std::string key = {};        // in seam.yaml, a dot for each level: "runtimes.node.command"
  std::string older_key = {};  // another one that seam.yaml may have instead
  // Beside SEAM_<KEY>, which every setting has and which is stronger.
  std::vector<EnvironmentName> environment = {};
  Type type = Type::kText;
  std::string default_text = {};  // as it would be written in seam.yaml
  // Where the default depends on the machine: what it is in this environment, and what the
  // documents say of it.
  std::function<std::string(const Environment&)> default_from = {};
  std::string default_description = {};
  std::int64_t minimum = 0;  // kInteger, kBytes
  std::int64_t maximum = std::numeric_limits<std::int64_t>::max();
  std::vector<std::string> choices = {};  // kChoice
  std::vector<std::string> fields = {};   // kEntries: what a map may hold
  std::string unit = {};                  // "seconds"; empty for a bare number
  std::string description = {};           // one sentence
  bool common = false;  // shown by `seam serve --help`; the others by `seam config --help`
  // What the type cannot say. Returns nothing if the value is right, else what is wrong and what to
  // do.
  std::function<std::string(const Value&)> check = {};

  [[nodiscard]] std::string flag() const;              // "--runtimes-node-command"
  [[nodiscard]] std::string environment_name() const;  // "SEAM_RUNTIMES_NODE_COMMAND"
  [[nodiscard]] std::string allowed() const;           // "a whole number of seconds from 1 to 3600"
};

// A name that Seam knows and this build cannot serve. Setting it is an error that says so and never
// shows the value, which may hold a password.
struct Unbuilt {
  std::string key;          // may be empty
  std::string environment;  // may be empty
  std::string message;      // "PostgreSQL is not in this build. Remove it: …"
};

// Reads a value as it is written in a flag, a variable, or a scalar of seam.yaml. kEntries is not
// read here. errors    kInvalidArgument   `"80800" is out of range. Give a whole number from 0 to
// 65535.`
[[nodiscard]] Result<Value> parse_value(const Setting& setting, std::string_view text,
                                        std::int64_t scale = 1);

// The value as it would be written in seam.yaml, sizes in the largest unit that holds them whole:
// "64MiB".
[[nodiscard]] std::string format_value(const Setting& setting, const Value& value);

// The text as a message may show it: at most 80 bytes of it, control characters as '?'.
[[nodiscard]] std::string shown(std::string_view text);

// "64MiB" → 67108864. Case and one space before the unit do not matter.
// errors    kInvalidArgument   not a size, or over 2^63 - 1
[[nodiscard]] Result<std::int64_t> parse_bytes(std::string_view text);
[[nodiscard]] std::string format_bytes(std::int64_t bytes);

}  // namespace seam::config
