#include "config/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <set>
#include <sstream>

#include "config/setting.h"

namespace seam::config {

namespace {

// Thrown through yaml-cpp's parser and caught below in this file.
struct Refused {
  int line;
  std::string what;
};

// Builds the tree from the parser's events: unlike YAML::Load, it sees an alias before it is
// followed.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlNode& root) : root_(root) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add({.kind = YamlNode::Kind::kNull, .line = mark.line + 1});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{mark.line + 1, "aliases (*name) are not allowed. Write the value out."};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    // yaml-cpp tells a scalar in quotes by the tag "!", and a plain one by "?".
    add({.kind = YamlNode::Kind::kScalar,
         .line = mark.line + 1,
         .scalar = value,
         .quoted = tag == "!"});
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  // A container that is not yet complete. `key` is set between a map's key and its value.
  struct Open {
    YamlNode node;
    bool has_key = false;
    YamlNode key;
    std::set<std::string> keys;
  };

  static void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor)
      throw Refused{mark.line + 1, "anchors (&name) are not allowed. Remove it."};
  }
  // "?" and "!" are what the parser says of a plain and of a quoted value.
  static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!")
      throw Refused{mark.line + 1, "tags (!name) are not allowed. Remove it."};
  }

  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (open_.size() == kYamlDepthMax) {
      throw Refused{mark.line + 1, fmt::format("nested deeper than {} levels.", kYamlDepthMax)};
    }
    Open opened;
    opened.node.kind = kind;
    opened.node.line = mark.line + 1;
    open_.push_back(std::move(opened));
  }

  void close() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(node));
  }

  void add(YamlNode node) {
    if (++nodes_ > kYamlNodesMax)
      throw Refused{node.line, fmt::format("more than {} values.", kYamlNodesMax)};
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::kList) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      if (node.kind != YamlNode::Kind::kScalar) throw Refused{node.line, "a key must be a word."};
      if (!parent.keys.insert(node.scalar).second) {
        throw Refused{node.line, fmt::format("\"{}\" is set twice. Keep one.", shown(node.scalar))};
      }
      parent.key = std::move(node);
      parent.has_key = true;
    } else {
      node.key = std::move(parent.key.scalar);
      node.key_line = parent.key.line;
      parent.node.items.push_back(std::move(node));
      parent.has_key = false;
    }
  }

  YamlNode& root_;
  std::vector<Open> open_;
  std::size_t nodes_ = 0;
};

}  // namespace

Result<YamlNode> parse_yaml(std::string_view text, std::string_view name) {
  if (text.size() > kYamlBytesMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: {} bytes are more than the {} that a configuration may have.",
                            name, text.size(), kYamlBytesMax));
  }
  if (text.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}: holds a NUL byte, so it is not a text file.", name));
  }
  YamlNode root;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(root);
    parser.HandleNextDocument(builder);
    YamlNode ignored;
    TreeBuilder second(ignored);
    if (parser.HandleNextDocument(second)) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format("{}:{}: a second document begins here. Keep one.", name, ignored.line));
    }
  } catch (const Refused& refused) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}:{}: {}", name, refused.line, refused.what));
  } catch (const YAML::Exception& error) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}:{}: not YAML: {}.", name, error.mark.line + 1, error.msg));
  } catch (const std::exception& error) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}: not YAML: {}.", name, error.what()));
  }
  return root;
}

}  // namespace seam::config
