#pragma once
// Routes: each is declared once, with its method, path, meaning and typed parameters; the
// parameters are read off the handler's signature, checked before it runs, and listed in the
// route's description, from which the OpenAPI document is made.
//
//   Task<Response> list(Request&, Query<"page", int> page, Query<"language", std::string>
//   language); routes.add({.method = Method::kGet, .path = "/api/v1/functions", .operation =
//   "listFunctions", .summary = "…"},
//              bind(this, &FunctionsApi::list));
//
// A path is of segments, each literal or `{name}`. A literal segment wins over a `{name}`.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "http/message.h"

namespace seam::http {

// A string as a template argument.
template <std::size_t N>
struct Name {
  char text[N]{};
  constexpr Name(const char (&literal)[N]) {
    std::copy_n(literal, N, text);
  }  // NOLINT(google-explicit-constructor)
  [[nodiscard]] constexpr std::string_view view() const { return {text, N - 1}; }
};

// The kinds of parameter a handler takes after the Request. T is std::string, int, std::int64_t or
// bool for Query, std::string for the others. Path values are percent-decoded.
template <Name N>
struct Path {
  std::string value;
};
template <Name N, class T>
struct Query {
  std::optional<T> value;
};
template <Name N>
struct Header {
  std::optional<std::string_view> value;
};
// The body, which must have been sent as application/json (415 otherwise); not yet parsed.
struct JsonBody {
  std::string_view text;
};

enum class ParameterPlace : std::uint8_t { kPath, kQuery, kHeader, kBody };

struct ParameterInfo {
  ParameterPlace place;
  std::string name;
  std::string type;  // of JSON Schema: "string", "integer", "boolean"
  bool required = false;
};

struct ResponseInfo {
  int status;
  std::string description;
};

struct RouteInfo {
  Method method;
  std::string path;       // "/api/v1/sessions/{request_id}"
  std::string operation;  // "getSession"; unique
  std::string summary;    // a sentence
  std::vector<ResponseInfo> responses;
  std::size_t body_bytes_max = 0;         // 413 above it; 0: the route takes no body
  std::vector<ParameterInfo> parameters;  // filled by RouteTable::add from the handler's signature
};

using RouteHandler =
    std::function<Task<Response>(Request&, const std::vector<std::string_view>& path_values)>;

// What the server answers by itself, without a handler. `status` 400 (malformed, a bad parameter),
// 404, 405 (`allow` lists the methods), 408, 413, 415, 417, 431, 500, 501, 503, 505.
struct Refusal {
  int status;
  std::string message;
  std::string allow;
};

// The door's voice: `api` turns a refusal into the body its clients expect, and looks at each
// request before its handler runs.
class Voice {
 public:
  virtual ~Voice() = default;
  // `request` is null where the head could not be read.
  [[nodiscard]] virtual Response refuse(const Request* request, const Refusal& refusal) = 0;
  // Nothing to let the request in, or the answer instead (a wrong Host, say). OPTIONS comes here
  // too.
  [[nodiscard]] virtual std::optional<Response> admit(const Request& request) = 0;
  // Adds fields to every response (X-Request-ID, CORS).
  virtual void finish(const Request& request, Response& response) = 0;
};

class RouteTable {
 public:
  struct Route {
    RouteInfo info;
    RouteHandler handler;
  };
  struct Match {
    const Route* route = nullptr;               // null: see allow
    std::vector<std::string_view> path_values;  // not yet percent-decoded, in order of the path
    std::string allow;  // methods of the path, where only the method did not match
  };

  RouteTable();
  ~RouteTable();
  RouteTable(RouteTable&&) noexcept;
  RouteTable& operator=(RouteTable&&) noexcept;

  // `handler` is a callable Task<Response>(Request&, Parameter…). Two routes of one method and path
  // are a bug.
  template <class Handler>
  void add(RouteInfo info, Handler handler);

  // HEAD finds the GET route.
  [[nodiscard]] Match find(Method method, std::string_view path) const;
  [[nodiscard]] std::vector<RouteInfo> describe() const;

 private:
  void add_route(RouteInfo info, RouteHandler handler);
  struct Node;
  std::unique_ptr<Node> root_;
};

// A member function as a handler: bind(this, &Api::method).
template <class Object, class... Parameters>
auto bind(Object* object, Task<Response> (Object::*method)(Request&, Parameters...)) {
  return [object, method](Request& request, Parameters... parameters) {
    return (object->*method)(request, std::move(parameters)...);
  };
}

}  // namespace seam::http
