#include "http/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/check.h"

namespace seam::http {
namespace {

constexpr std::size_t kMethods = 7;

// The segments of a path, from the left: "/a/b" gives "a", then "b".
class Segments {
 public:
  explicit Segments(std::string_view path) : rest_(path) {}
  [[nodiscard]] bool done() const { return rest_.empty(); }
  std::string_view next() {
    rest_.remove_prefix(1);  // the slash
    const std::size_t end = std::min(rest_.find('/'), rest_.size());
    const std::string_view segment = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return segment;
  }

 private:
  std::string_view rest_;
};

bool is_variable(std::string_view segment) {
  return segment.starts_with('{') && segment.ends_with('}');
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Undoes percent-encoding. False where a `%` is not followed by two digits, or spells NUL.
bool percent_decode(std::string_view raw, bool plus_is_space, std::string& out) {
  out.clear();
  out.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '%') {
      if (i + 2 >= raw.size()) return false;
      const int high = hex_digit(raw[i + 1]);
      const int low = hex_digit(raw[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0)) return false;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(plus_is_space && raw[i] == '+' ? ' ' : raw[i]);
    }
  }
  return true;
}

constexpr std::string_view kBadEncoding =
    "a percent sign must be followed by two hexadecimal digits that are not 00";

}  // namespace

struct RouteTable::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::unique_ptr<Node> variable;
  std::array<std::unique_ptr<Route>, kMethods> routes;
  std::vector<const Route*> in_order;  // of the whole table; at the root only

  [[nodiscard]] const Route* route(Method method) const {
    const Route* found = routes[static_cast<std::size_t>(method)].get();
    if (found == nullptr && method == Method::kHead)
      found = routes[static_cast<std::size_t>(Method::kGet)].get();
    return found;
  }
  // Finds the route under this node for the rest of the path; `other` becomes a node that stands
  // for the whole path but not for the method.
  const Route* find(Method method, Segments rest, std::vector<std::string_view>& values,
                    const Node*& other) const {
    if (rest.done()) {
      const Route* found = route(method);
      if (found == nullptr && other == nullptr &&
          std::ranges::any_of(routes, [](const auto& r) { return r != nullptr; }))
        other = this;
      return found;
    }
    const std::string_view segment = rest.next();
    if (const auto literal = literals.find(segment); literal != literals.end())
      if (const Route* found = literal->second->find(method, rest, values, other)) return found;
    if (variable == nullptr || segment.empty()) return nullptr;
    values.push_back(segment);
    const Route* found = variable->find(method, rest, values, other);
    if (found == nullptr) values.pop_back();
    return found;
  }
  [[nodiscard]] std::string allow() const {
    std::string list;
    for (std::size_t i = 0; i < kMethods; ++i) {
      const auto method = static_cast<Method>(i);
      if (method == Method::kOptions || route(method) == nullptr) continue;
      list += to_string(method);
      list += ", ";
    }
    return list + "OPTIONS";
  }
};

RouteTable::RouteTable() : root_(std::make_unique<Node>()) {}
RouteTable::~RouteTable() = default;
RouteTable::RouteTable(RouteTable&&) noexcept = default;
RouteTable& RouteTable::operator=(RouteTable&&) noexcept = default;

void RouteTable::add_route(RouteInfo info, RouteHandler handler) {
  CHECK(info.path.starts_with('/'));
  Node* node = root_.get();
  for (Segments segments(info.path); !segments.done();) {
    const std::string_view segment = segments.next();
    std::unique_ptr<Node>& next =
        is_variable(segment) ? node->variable : node->literals[std::string(segment)];
    if (next == nullptr) next = std::make_unique<Node>();
    node = next.get();
  }
  std::unique_ptr<Route>& place = node->routes[static_cast<std::size_t>(info.method)];
  CHECK(place == nullptr);  // two routes of one method and path
  const bool takes_json = std::ranges::any_of(info.parameters, [](const ParameterInfo& parameter) {
    return parameter.place == ParameterPlace::kBody ||
           parameter.place == ParameterPlace::kFormOrBody;
  });
  const bool takes_form = std::ranges::any_of(info.parameters, [](const ParameterInfo& parameter) {
    return parameter.place == ParameterPlace::kFormOrBody;
  });
  CHECK(!takes_json || info.body_bytes_max > 0);
  place =
      std::make_unique<Route>(Route{std::move(info), std::move(handler), takes_json, takes_form});
  root_->in_order.push_back(place.get());
}

RouteTable::Match RouteTable::find(Method method, std::string_view path) const {
  Match match;
  if (!path.starts_with('/')) return match;
  const Node* other = nullptr;
  match.route = root_->find(method, Segments(path), match.path_values, other);
  if (match.route == nullptr && other != nullptr) match.allow = other->allow();
  return match;
}

std::vector<RouteInfo> RouteTable::describe() const {
  std::vector<RouteInfo> infos;
  for (const Route* route : root_->in_order) infos.push_back(route->info);
  return infos;
}

namespace routes_internal {
namespace {

bool refuse(std::optional<Refusal>& refusal, std::string message) {
  refusal = Refusal{.status = 400, .message = std::move(message)};
  return false;
}

// The raw value of the first `name=value` of a query.
std::optional<std::string_view> find_raw(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view raw_name = pair.substr(0, equals);
    if (raw_name != name) {
      std::string decoded;
      if (raw_name.find_first_of("%+") == std::string_view::npos ||
          !percent_decode(raw_name, true, decoded) || decoded != name)
        continue;
    }
    return pair.substr(std::min(equals + 1, pair.size()));
  }
  return std::nullopt;
}

}  // namespace

bool read_path(std::string_view name, std::string_view raw, std::string& value,
               std::optional<Refusal>& refusal) {
  if (percent_decode(raw, false, value)) return true;
  return refuse(refusal, fmt::format("path parameter '{}': '{}' is not well encoded: {}", name, raw,
                                     kBadEncoding));
}

bool read_query(std::string_view name, std::string_view query, std::optional<std::string>& value,
                std::optional<Refusal>& refusal) {
  const std::optional<std::string_view> raw = find_raw(query, name);
  if (!raw) return true;
  if (percent_decode(*raw, true, value.emplace())) return true;
  return refuse(refusal, fmt::format("query parameter '{}': '{}' is not well encoded: {}", name,
                                     *raw, kBadEncoding));
}

bool read_query(std::string_view name, std::string_view query, std::optional<bool>& value,
                std::optional<Refusal>& refusal) {
  std::optional<std::string> text;
  if (!read_query(name, query, text, refusal)) return false;
  if (!text) return true;
  if (*text == "true" || *text == "1") {
    value = true;
  } else if (*text == "false" || *text == "0") {
    value = false;
  } else {
    return refuse(refusal,
                  fmt::format("query parameter '{}': '{}' is not true or false", name, *text));
  }
  return true;
}

bool read_query(std::string_view name, std::string_view query, std::optional<std::int64_t>& value,
                std::optional<Refusal>& refusal, std::int64_t least, std::int64_t most) {
  std::optional<std::string> text;
  if (!read_query(name, query, text, refusal)) return false;
  if (!text) return true;
  std::int64_t number = 0;
  const char* const end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc() || stop != end || number < least || number > most)
    return refuse(refusal, fmt::format("query parameter '{}': '{}' is not an integer from {} to {}",
                                       name, *text, least, most));
  value = number;
  return true;
}

std::size_t path_index(std::string_view path, const ParameterInfo& parameter) {
  if (parameter.place != ParameterPlace::kPath) return std::string_view::npos;
  std::size_t index = 0;
  for (Segments segments(path); !segments.done();) {
    const std::string_view segment = segments.next();
    if (!is_variable(segment)) continue;
    if (segment.substr(1, segment.size() - 2) == parameter.name) return index;
    ++index;
  }
  CHECK(index == std::string_view::npos);  // the handler takes a Path that the path does not have
  return index;
}

}  // namespace routes_internal
}  // namespace seam::http
