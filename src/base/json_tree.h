#pragma once
// A JSON text as a tree over the text itself: nothing is decoded before it is asked for, and
// numbers stay as they were written. For what looks into values, such as schemas and comparisons.
//
//   SEAM_ASSIGN_OR_RETURN(const JsonTree tree, JsonTree::parse(params));
//   for (std::uint32_t i = 1; i < tree[0].end; i = tree[i].end) …        // the elements of an
//   array
//
// Nodes stand in the order of the text. The children of node i begin at i + 1, each ends where the
// next begins, the last at tree[i].end; an object's are name, value, name, value, …

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_number.h"
#include "base/json_text.h"
#include "base/result.h"

namespace seam {

class JsonTree {
 public:
  enum class Kind : std::uint8_t { kNull, kBoolean, kNumber, kString, kArray, kObject };
  struct Node {
    std::uint32_t begin = 0;  // in the text
    std::uint32_t length = 0;
    std::uint32_t end = 0;    // the node after this and all below it
    std::uint32_t count = 0;  // elements or members
    Kind kind = Kind::kNull;
    bool escaped = false;  // a string with a backslash in it
  };

  // The text must outlive the tree; at most 4 GiB.
  // errors    kInvalidArgument   as check_json()
  [[nodiscard]] static Result<JsonTree> parse(std::string_view text, JsonTextLimits limits = {});
  // Of a text that has passed check_json().
  [[nodiscard]] static JsonTree of_checked(std::string_view text);

  [[nodiscard]] const Node& operator[](std::uint32_t node) const { return nodes_[node]; }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size()); }

  [[nodiscard]] std::string_view text(std::uint32_t node) const {
    return text_.substr(nodes_[node].begin, nodes_[node].length);
  }
  // What a string spells: a slice of the text, or of `buffer` if it has escapes.
  [[nodiscard]] std::string_view string(std::uint32_t node, std::string& buffer) const;
  [[nodiscard]] std::string string(std::uint32_t node) const;
  [[nodiscard]] JsonNumber number(std::uint32_t node) const {
    return JsonNumber::parse(text(node));
  }
  [[nodiscard]] bool is_true(std::uint32_t node) const { return text_[nodes_[node].begin] == 't'; }
  // The value of a member; of the last of that name.
  [[nodiscard]] std::optional<std::uint32_t> member(std::uint32_t object,
                                                    std::string_view name) const;

  // Appends a text that is the same for equal values and no others: names in order and without
  // repeats (the last counts), numbers by value. Not JSON.
  void append_canonical(std::uint32_t node, std::string& out) const;

 private:
  std::string_view text_;
  std::vector<Node> nodes_;
};

// Whether two checked texts are the same value: 1.0 equals 1, and members have no order.
[[nodiscard]] bool same_json(std::string_view a, std::string_view b);

}  // namespace seam
