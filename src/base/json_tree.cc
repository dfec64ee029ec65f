#include "base/json_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/check.h"

namespace seam {

Result<JsonTree> JsonTree::parse(std::string_view text, JsonTextLimits limits) {
  SEAM_ASSIGN_OR_RETURN(const std::string_view value, check_json(text, limits));
  return of_checked(value);
}

// The text is well-formed: commas and colons say nothing that is not known already.
JsonTree JsonTree::of_checked(std::string_view text) {
  CHECK(text.size() < UINT32_MAX);
  JsonTree tree;
  tree.text_ = text;
  std::vector<Node>& nodes = tree.nodes_;
  nodes.reserve(text.size() / 16 + 1);
  std::vector<std::uint32_t> open;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ',' || c == ':') {
      ++at;
      continue;
    }
    if (c == ']' || c == '}') {
      Node& closed = nodes[open.back()];
      ++at;
      closed.length = static_cast<std::uint32_t>(at) - closed.begin;
      closed.end = tree.size();
      if (c == '}') closed.count /= 2;
      open.pop_back();
      continue;
    }
    if (!open.empty()) ++nodes[open.back()].count;
    Node node{.begin = static_cast<std::uint32_t>(at)};
    if (c == '[' || c == '{') {
      node.kind = c == '[' ? Kind::kArray : Kind::kObject;
      open.push_back(tree.size());
      nodes.push_back(node);
      ++at;
      continue;
    }
    if (c == '"') {
      node.kind = Kind::kString;
      for (++at; text[at] != '"'; ++at) {
        if (text[at] != '\\') continue;
        node.escaped = true;
        ++at;
      }
      ++at;
    } else {
      node.kind = c == 'n' ? Kind::kNull : c == 't' || c == 'f' ? Kind::kBoolean : Kind::kNumber;
      at = std::min(text.find_first_of(" \n\r\t,:]}", at), text.size());
    }
    node.length = static_cast<std::uint32_t>(at) - node.begin;
    node.end = tree.size() + 1;
    nodes.push_back(node);
  }
  return tree;
}

std::string_view JsonTree::string(std::uint32_t node, std::string& buffer) const {
  const std::string_view quoted = text(node);
  if (!nodes_[node].escaped) return quoted.substr(1, quoted.size() - 2);
  buffer = decode_json_string(quoted);
  return buffer;
}

std::string JsonTree::string(std::uint32_t node) const {
  std::string buffer;
  return std::string(string(node, buffer));
}

std::optional<std::uint32_t> JsonTree::member(std::uint32_t object, std::string_view name) const {
  std::optional<std::uint32_t> found;
  std::string buffer;
  if (nodes_[object].kind != Kind::kObject) return found;
  for (std::uint32_t i = object + 1; i < nodes_[object].end; i = nodes_[i + 1].end) {
    if (string(i, buffer) == name) found = i + 1;
  }
  return found;
}

void JsonTree::append_canonical(std::uint32_t node, std::string& out) const {
  const Node& here = nodes_[node];
  switch (here.kind) {
    case Kind::kNull:
    case Kind::kBoolean:
      out.append(text(node));
      return;
    case Kind::kNumber:
      out.append(number(node).to_string());
      return;
    case Kind::kString: {
      std::string buffer;
      const std::string_view spelled = string(node, buffer);
      out.append(fmt::format("\"{}:", spelled.size())).append(spelled);
      return;
    }
    case Kind::kArray:
      out.push_back('[');
      for (std::uint32_t i = node + 1; i < here.end; i = nodes_[i].end) {
        append_canonical(i, out);
        out.push_back(',');
      }
      out.push_back(']');
      return;
    case Kind::kObject:
      break;
  }
  std::map<std::string, std::uint32_t, std::less<>> members;
  for (std::uint32_t i = node + 1; i < here.end; i = nodes_[i + 1].end)
    members.insert_or_assign(string(i), i + 1);
  out.push_back('{');
  for (const auto& [name, value] : members) {
    out.append(fmt::format("\"{}:", name.size())).append(name);
    append_canonical(value, out);
  }
  out.push_back('}');
}

bool same_json(std::string_view a, std::string_view b) {
  std::string left;
  std::string right;
  JsonTree::of_checked(a).append_canonical(0, left);
  JsonTree::of_checked(b).append_canonical(0, right);
  return left == right;
}

}  // namespace seam
