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
#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "http/message.h"
#include "http/multipart.h"

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

// The body, which must have been sent as application/json or as multipart/form-data
// (http/multipart.h) (415 otherwise); not yet parsed. `form` is the Content-Type of the latter, and
// empty with JSON.
struct FormOrJsonBody {
  std::string_view text;
  std::string_view form;
};

enum class ParameterPlace : std::uint8_t { kPath, kQuery, kHeader, kBody, kFormOrBody };

struct ParameterInfo {
  ParameterPlace place;
  std::string name;
  std::string type;  // of JSON Schema: "string", "integer", "boolean"
  bool required = false;
};

// What is said of a parameter beside its type, by its name.
struct ParameterNote {
  std::string name;
  std::string description;  // a sentence
  std::string schema = {};  // JSON Schema as JSON, members beside `type`: {"minimum":1}
};

struct ResponseInfo {
  int status;
  std::string description;
  std::string schema = {};  // the name of its body's schema; empty: no body, or none in JSON
  std::string content_type = "application/json";
};

struct RouteInfo {
  Method method;
  std::string path;       // "/api/v1/sessions/{request_id}"
  std::string operation;  // "getSession"; unique
  std::string summary;    // a sentence
  std::vector<ResponseInfo> responses = {};
  std::size_t body_bytes_max = 0;   // 413 above it; 0: the route takes no body
  std::string request_schema = {};  // the name of its JSON body's schema
  std::string form_schema = {};     // of its multipart/form-data body's, where it takes one
  std::vector<ParameterNote> notes = {};
  std::vector<ParameterInfo> parameters =
      {};  // filled by RouteTable::add from the handler's signature
};

// What the server answers by itself, without a handler. `status` 400 (malformed, a bad parameter),
// 404, 405 (`allow` lists the methods), 408, 413, 415, 417, 431, 500, 501, 503, 505.
struct Refusal {
  int status;
  std::string message;
  std::string allow = {};
};

// Reads the handler's parameters and calls it, or refuses a bad one. `path_values` are used during
// the call only.
using RouteHandler = std::function<std::expected<Task<Response>, Refusal>(
    Request&, const std::vector<std::string_view>& path_values)>;

// The door's voice: `api` turns a refusal into the body its clients expect, and looks at each
// request before its handler runs.
class Voice {
 public:
  virtual ~Voice() = default;
  // `request` is null where the head could not be read.
  [[nodiscard]] virtual Response refuse(const Request* request, const Refusal& refusal) = 0;
  // Nothing to let the request in, or the answer instead (a wrong Host, say). Called when the head
  // has come and before the body is read, so `body` is empty; OPTIONS and unknown paths come here
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
    bool takes_json = false;  // a parameter is a body: other content types are refused with 415
    bool takes_form = false;  // it is FormOrJsonBody
    std::size_t index = 0;    // among the table's routes, in the order they were added
  };
  struct Match {
    const Route* route = nullptr;               // null: see allow
    std::vector<std::string_view> path_values;  // not yet percent-decoded, in order of the path
    std::string allow;  // methods of the path ("GET, HEAD, OPTIONS"), where only the method did not
                        // match
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
  // Of each route, by its index; views into the table.
  [[nodiscard]] std::vector<std::string_view> operations() const;

 private:
  void add_route(RouteInfo info, RouteHandler handler);
  struct Node;
  std::unique_ptr<Node> root_;
};

// How parameters are read; for RouteTable::add alone.
namespace routes_internal {

// Each returns false and fills `refusal` where the request has it wrong.
bool read_path(std::string_view name, std::string_view raw, std::string& value,
               std::optional<Refusal>& refusal);
bool read_query(std::string_view name, std::string_view query, std::optional<std::string>& value,
                std::optional<Refusal>& refusal);
bool read_query(std::string_view name, std::string_view query, std::optional<bool>& value,
                std::optional<Refusal>& refusal);
bool read_query(std::string_view name, std::string_view query, std::optional<std::int64_t>& value,
                std::optional<Refusal>& refusal, std::int64_t least, std::int64_t most);
inline bool read_query(std::string_view name, std::string_view query,
                       std::optional<std::int64_t>& value, std::optional<Refusal>& refusal) {
  return read_query(name, query, value, refusal, std::numeric_limits<std::int64_t>::min(),
                    std::numeric_limits<std::int64_t>::max());
}
inline bool read_query(std::string_view name, std::string_view query, std::optional<int>& value,
                       std::optional<Refusal>& refusal) {
  std::optional<std::int64_t> wide;
  if (!read_query(name, query, wide, refusal, std::numeric_limits<int>::min(),
                  std::numeric_limits<int>::max()))
    return false;
  if (wide) value = static_cast<int>(*wide);
  return true;
}

struct Source {
  Request& request;
  std::string_view path_value;  // for a Path
  std::optional<Refusal>& refusal;
};

template <class Parameter>
struct Reader;  // no member: the handler takes something that is not a parameter

template <Name N>
struct Reader<Path<N>> {
  static ParameterInfo info() {
    return {ParameterPlace::kPath, std::string(N.view()), "string", true};
  }
  static bool read(Path<N>& out, const Source& from) {
    return read_path(N.view(), from.path_value, out.value, from.refusal);
  }
};
template <Name N, class T>
struct Reader<Query<N, T>> {
  static constexpr std::string_view kType = std::is_same_v<T, std::string> ? "string"
                                            : std::is_same_v<T, bool>      ? "boolean"
                                                                           : "integer";
  static ParameterInfo info() {
    return {ParameterPlace::kQuery, std::string(N.view()), std::string(kType), false};
  }
  static bool read(Query<N, T>& out, const Source& from) {
    return read_query(N.view(), from.request.query, out.value, from.refusal);
  }
};
template <Name N>
struct Reader<Header<N>> {
  static ParameterInfo info() {
    return {ParameterPlace::kHeader, std::string(N.view()), "string", false};
  }
  static bool read(Header<N>& out, const Source& from) {
    out.value = from.request.header(N.view());
    return true;
  }
};
template <>
struct Reader<JsonBody> {
  static ParameterInfo info() { return {ParameterPlace::kBody, "body", "object", true}; }
  static bool read(JsonBody& out, const Source& from) {
    out.text = from.request.body;
    return true;
  }
};

template <>
struct Reader<FormOrJsonBody> {
  static ParameterInfo info() { return {ParameterPlace::kFormOrBody, "body", "object", true}; }
  static bool read(FormOrJsonBody& out, const Source& from) {
    out.text = from.request.body;
    const auto type = from.request.header("Content-Type");
    if (type && is_form(*type)) out.form = *type;
    return true;
  }
};

// Where `{name}` stands among the `{…}` of a path; a name that is not there is a bug.
std::size_t path_index(std::string_view path, const ParameterInfo& parameter);

template <class... Parameters, class Handler, std::size_t... I>
std::expected<Task<Response>, Refusal> call(
    const Handler& handler, [[maybe_unused]] const std::array<std::size_t, sizeof...(I)>& places,
    Request& request, [[maybe_unused]] const std::vector<std::string_view>& path_values,
    std::index_sequence<I...>) {
  std::tuple<Parameters...> parameters;
  std::optional<Refusal> refusal;
  const bool read =
      (Reader<Parameters>::read(
           std::get<I>(parameters),
           {request, places[I] < path_values.size() ? path_values[places[I]] : "", refusal}) &&
       ...);
  if (!read) return std::unexpected(*std::move(refusal));
  return handler(request, std::move(std::get<I>(parameters))...);
}

template <class Signature>
struct Wrap;
template <class... Parameters>
struct Wrap<Task<Response>(Request&, Parameters...)> {
  template <class Handler>
  static RouteHandler handler(RouteInfo& info, Handler handler) {
    (info.parameters.push_back(Reader<std::remove_cvref_t<Parameters>>::info()), ...);
    std::array<std::size_t, sizeof...(Parameters)> places{};
    for (std::size_t i = 0; i < places.size(); ++i)
      places[i] = path_index(info.path, info.parameters[i]);
    return [handler = std::move(handler), places](
               Request& request, const std::vector<std::string_view>& path_values) {
      return call<std::remove_cvref_t<Parameters>...>(handler, places, request, path_values,
                                                      std::index_sequence_for<Parameters...>{});
    };
  }
};

// The signature of a callable that has one call operator.
template <class Handler>
struct SignatureOf : SignatureOf<decltype(&Handler::operator())> {};
template <class Returned, class... Parameters>
struct SignatureOf<Returned (*)(Parameters...)> {
  using type = Returned(Parameters...);
};
template <class Object, class Returned, class... Parameters>
struct SignatureOf<Returned (Object::*)(Parameters...) const> {
  using type = Returned(Parameters...);
};

}  // namespace routes_internal

template <class Handler>
void RouteTable::add(RouteInfo info, Handler handler) {
  using Signature = typename routes_internal::SignatureOf<Handler>::type;
  info.parameters.clear();
  RouteHandler wrapped = routes_internal::Wrap<Signature>::handler(info, std::move(handler));
  add_route(std::move(info), std::move(wrapped));
}

// A member function as a handler: bind(this, &Api::method).
template <class Object, class... Parameters>
auto bind(Object* object, Task<Response> (Object::*method)(Request&, Parameters...)) {
  return [object, method](Request& request, Parameters... parameters) {
    return (object->*method)(request, std::move(parameters)...);
  };
}

}  // namespace seam::http
