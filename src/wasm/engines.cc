#include "wasm/engines.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "config/nearest.h"
#include "config/setting.h"
#include "config/yaml.h"

namespace seam::wasm {
namespace {

using config::YamlNode;

constexpr std::string_view kKey = "runtime_config";

std::unexpected<Error> invalid(std::string message) {
  return fail(ErrorCode::kInvalidConfiguration, std::move(message));
}

// "wasmtime, wasmi or wazero".
std::string listed(std::span<const std::string> words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
    text += words[i];
  }
  return text;
}

// `"wazer" is … Give wasmtime, wasmi or wazero. Did you mean wazero?`
std::string wrong_word(std::string_view key, std::string_view word, std::string_view is,
                       const std::vector<std::string>& right) {
  const std::string meant = config::nearest(word, right);
  return fmt::format("{}: \"{}\" {}. Give {}.{}", key, config::shown(word), is, listed(right),
                     meant.empty() ? "" : fmt::format(" Did you mean {}?", meant));
}

std::vector<std::string> modes_of(const EngineAdapter& adapter) {
  return {adapter.modes.begin(), adapter.modes.end()};
}

std::string first_mode(const EngineAdapter& adapter) {
  return adapter.modes.empty() ? std::string() : std::string(adapter.modes.front());
}

// "runtime_config.wazero.mode".
std::string key_of_mode(const EngineAdapter& adapter) {
  return fmt::format("{}.{}.{}", kKey, adapter.name,
                     adapter.mode_key.empty() ? "mode" : adapter.mode_key);
}

Outcome<> check_mode(const EngineAdapter& adapter, std::string_view key, std::string_view mode) {
  if (std::ranges::find(adapter.modes, mode) != adapter.modes.end()) return {};
  if (adapter.modes.empty()) {
    return invalid(fmt::format("{}: {} has one mode only. Remove \"{}\".", key, adapter.name,
                               config::shown(mode)));
  }
  return invalid(
      wrong_word(key, mode, fmt::format("is no mode of {}", adapter.name), modes_of(adapter)));
}

Outcome<std::string> word_of(std::string_view key, const YamlNode& node) {
  if (node.kind == YamlNode::Kind::kScalar) return node.scalar;
  return invalid(fmt::format("{}: must be one word.", key));
}

Outcome<> check_mapping(std::string_view key, const YamlNode& node, std::string_view example) {
  if (node.kind == YamlNode::Kind::kMap) return {};
  return invalid(fmt::format("{}: must be a mapping, such as {}.", key, example));
}

}  // namespace

Engines::Engines(std::vector<EngineAdapter> adapters, std::string older_form)
    : adapters_(std::move(adapters)), older_form_(std::move(older_form)) {
  CHECK(!adapters_.empty());
  CHECK(older_form_.empty() || find(older_form_) != nullptr);
}

const EngineAdapter* Engines::find(std::string_view name) const {
  const auto found = std::ranges::find(adapters_, name, &EngineAdapter::name);
  return found == adapters_.end() ? nullptr : &*found;
}

std::vector<std::string> Engines::names() const {
  std::vector<std::string> all;
  for (const EngineAdapter& adapter : adapters_) all.emplace_back(adapter.name);
  return all;
}

Outcome<> Engines::check_engine(std::string_view key, std::string_view name) const {
  if (find(name) != nullptr) return {};
  return fail(ErrorCode::kRuntimeNotFound,
              wrong_word(fmt::format("{}.{}", kKey, key), name,
                         "is no WebAssembly engine of this build", names()));
}

Outcome<EngineChoice> Engines::choose(std::string_view type, std::string_view mode) const {
  if (type.empty()) type = adapters_.front().name;
  SEAM_RETURN_IF_ERROR(check_engine("type", type));
  const EngineAdapter& adapter = *find(type);
  if (!mode.empty()) SEAM_RETURN_IF_ERROR(check_mode(adapter, key_of_mode(adapter), mode));
  return EngineChoice{.engine = std::string(type),
                      .mode = mode.empty() ? first_mode(adapter) : std::string(mode)};
}

// What stands below the key of one engine: its mode, if it has any.
Outcome<std::string> Engines::read_mode(const EngineAdapter& adapter,
                                        const YamlNode& mapping) const {
  const std::string own_key = fmt::format("{}.{}", kKey, adapter.name);
  if (mapping.kind == YamlNode::Kind::kNull) return first_mode(adapter);  // `wasmi:`
  SEAM_RETURN_IF_ERROR(
      check_mapping(own_key, mapping,
                    adapter.modes.empty()
                        ? std::string("{}")
                        : fmt::format("{{ {}: {} }}", adapter.mode_key, adapter.modes.front())));
  std::string mode = first_mode(adapter);
  for (const YamlNode& value : mapping.items) {
    const std::string key = fmt::format("{}.{}", own_key, config::shown(value.key));
    if (adapter.modes.empty())
      return invalid(
          fmt::format("{}: unknown: {} takes no settings. Remove it.", key, adapter.name));
    if (value.key != adapter.mode_key) {
      return invalid(fmt::format("{}: unknown. {} takes {}: {}.", key, own_key, adapter.mode_key,
                                 listed(modes_of(adapter))));
    }
    SEAM_ASSIGN_OR_RETURN(mode, word_of(key, value));
    SEAM_RETURN_IF_ERROR(check_mode(adapter, key, mode));
  }
  return mode;
}

Outcome<EngineChoice> Engines::read(const YamlNode& runtime_config) const {
  if (runtime_config.kind == YamlNode::Kind::kNull) return choose({});
  SEAM_RETURN_IF_ERROR(
      check_mapping(kKey, runtime_config, fmt::format("{{ type: {} }}", adapters_.front().name)));
  std::optional<std::string> type;
  std::optional<std::string> older_mode;
  EngineChoice choice;
  std::map<std::string, std::string, std::less<>> modes;  // of the engines that have a mapping
  for (const YamlNode& value : runtime_config.items) {
    if (value.key == "type" || value.key == "fallback") {
      SEAM_ASSIGN_OR_RETURN(std::string name,
                            word_of(fmt::format("{}.{}", kKey, value.key), value));
      SEAM_RETURN_IF_ERROR(check_engine(value.key, name));
      (value.key == "type" ? type.emplace() : choice.fallback) = std::move(name);
    } else if (const EngineAdapter* adapter = find(value.key)) {
      SEAM_ASSIGN_OR_RETURN(modes[value.key], read_mode(*adapter, value));
    } else if (value.key == "runtime" && !older_form_.empty()) {
      const EngineAdapter& older = *find(older_form_);
      constexpr std::string_view kOlderKey = "runtime.mode";
      if (value.kind != YamlNode::Kind::kMap || value.items.size() != 1 ||
          value.items.front().key != "mode") {
        return invalid(
            fmt::format("runtime: must be {{ mode: {} }}, and is the older form: write "
                        "type: {} and {}: {{ {}: … }} instead.",
                        listed(modes_of(older)), older.name, older.name, older.mode_key));
      }
      SEAM_ASSIGN_OR_RETURN(older_mode, word_of(kOlderKey, value.items.front()));
      SEAM_RETURN_IF_ERROR(check_mode(older, kOlderKey, *older_mode));
    } else {
      std::vector<std::string> known = names();
      known.insert(known.begin(), {"type", "fallback"});
      return invalid(wrong_word(kKey, value.key, "is unknown here", known));
    }
  }
  if (older_mode && (type || modes.contains(older_form_))) {
    return invalid(
        fmt::format("runtime: is the older form of type: {0} with {0}: {{ {1}: {2} }}. "
                    "Keep one of the two.",
                    older_form_, find(older_form_)->mode_key, *older_mode));
  }
  if (older_mode) {
    type = older_form_;
    modes[older_form_] = *older_mode;
  }
  const auto mode_of = [&](std::string_view name) {
    const auto found = modes.find(name);
    return found == modes.end() ? first_mode(*find(name)) : found->second;
  };
  choice.engine = type.value_or(std::string(adapters_.front().name));
  choice.mode = mode_of(choice.engine);
  if (choice.fallback == choice.engine) {
    return invalid(
        fmt::format("{}.fallback: is the same engine as type, {}. Name another, or "
                    "remove it.",
                    kKey, choice.engine));
  }
  if (!choice.fallback.empty()) choice.fallback_mode = mode_of(choice.fallback);
  return choice;
}

Outcome<EngineChoice> Engines::read(std::string_view text) const {
  Result<YamlNode> node = config::parse_yaml(text, kKey);
  if (!node) return invalid(std::move(node).error().message);
  return read(*node);
}

Outcome<MadeEngine> Engines::make(const EngineChoice& choice, EngineOptions options) const {
  const auto make_one = [&](const std::string& name,
                            const std::string& mode) -> Outcome<MadeEngine> {
    SEAM_RETURN_IF_ERROR(check_engine("type", name));
    const EngineAdapter& adapter = *find(name);
    options.mode = mode.empty() ? first_mode(adapter) : mode;
    if (!mode.empty()) SEAM_RETURN_IF_ERROR(check_mode(adapter, key_of_mode(adapter), mode));
    MadeEngine made{.runtime = nullptr, .engine = name, .mode = options.mode};
    SEAM_ASSIGN_OR_RETURN(made.runtime, adapter.make(options));
    return made;
  };
  Outcome<MadeEngine> wanted = make_one(choice.engine, choice.mode);
  if (wanted || choice.fallback.empty() || wanted.error().code != ErrorCode::kRuntimeNotFound ||
      find(choice.engine) == nullptr) {
    return wanted;
  }
  Outcome<MadeEngine> fallback = make_one(choice.fallback, choice.fallback_mode);
  if (fallback) {
    fallback->instead_of = std::move(wanted).error();
    return fallback;
  }
  return fail(fallback.error().code, fmt::format("{} Its fallback cannot be loaded either: {}",
                                                 wanted.error().message, fallback.error().message));
}

}  // namespace seam::wasm
