#pragma once
// The part of YAML that a configuration needs: maps, lists and scalars, each with the line it
// stands on. Anchors, aliases and tags are refused, so a small file is a small tree.
//
//   SEAM_ASSIGN_OR_RETURN(const YamlNode root, parse_yaml(text, "seam.yaml"));

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace seam::config {

inline constexpr std::size_t kYamlBytesMax = 1U << 20U;
inline constexpr std::size_t kYamlDepthMax = 16;
inline constexpr std::size_t kYamlNodesMax = 65'536;

struct YamlNode {
  enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 0;                      // from 1
  std::string scalar = {};           // kScalar: its text, quotes and escapes undone
  bool quoted = false;               // it was written in quotes, or as a block: it is a string
  std::vector<YamlNode> items = {};  // of a kList, and the values of a kMap; in the order written
  // Of a value in a map, where no two are equal.
  std::string key = {};
  int key_line = 0;
};

// Reads one document; an empty text is kNull. `name` begins the messages: "seam.yaml:3: …".
// errors    kInvalidArgument   not YAML, something refused, or over one of the limits above
// source    YAML 1.2, as far as yaml-cpp reads it.
[[nodiscard]] Result<YamlNode> parse_yaml(std::string_view text, std::string_view name);

}  // namespace seam::config
