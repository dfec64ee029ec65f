#pragma once
// The routes of functions: list, get, put, delete, versions, route, invoke.

#include <string>

#include "api/limits.h"
#include "functions/executor.h"
#include "functions/names.h"
#include "functions/registry.h"
#include "http/routes.h"

namespace seam::api {

class Body;

// Borrows all until it is gone. Its handlers run on any of the server's loops.
class FunctionsApi {
 public:
  FunctionsApi(functions::Registry& registry, functions::Executor& executor,
               const functions::RuntimeMap& names, functions::ImplementationOptions defaults,
               BodyLimits limits);
  void mount(http::RouteTable& routes);

  // What a put says beside its content, in the members of a JSON object.
  // errors    kInvalidArgument   a member that is not known, or wrong
  [[nodiscard]] Result<functions::PutRequest> read_manifest(std::string_view language_title,
                                                            std::string_view manifest) const;
  // errors    kResourceExhausted   more bytes than are taken for its runtime
  //           kInvalidArgument     neither text nor an archive
  [[nodiscard]] Result<void> check_content(const functions::PutRequest& request) const;

 private:
  using Name = http::Path<"language_title">;
  Task<http::Response> list(http::Request& request, http::Query<"language", std::string> language,
                            http::Query<"user_id", std::string> user_id,
                            http::Query<"type", std::string> type, http::Query<"page", int> page,
                            http::Query<"per_page", int> per_page);
  Task<http::Response> get(http::Request& request, Name name);
  Task<http::Response> put(http::Request& request, Name name, http::FormOrJsonBody body);
  Task<http::Response> remove(http::Request& request, Name name);
  Task<http::Response> versions(http::Request& request, Name name);
  Task<http::Response> route(http::Request& request, Name name, http::JsonBody body);
  Task<http::Response> invoke(http::Request& request, Name name,
                              http::Query<"version", std::int64_t> version,
                              http::Header<"X-Cache-Control"> cache, http::JsonBody body);

  Result<functions::PutRequest> read_members(std::string_view language_title,
                                             const Body& body) const;
  Result<functions::PutRequest> read_put(std::string_view language_title,
                                         const http::FormOrJsonBody& body) const;
  // The function, or the error of a name that is wrong or unknown.
  Result<functions::FunctionPtr> find(std::string_view language_title) const;

  functions::Registry& registry_;
  functions::Executor& executor_;
  const functions::RuntimeMap& names_;
  functions::ImplementationOptions defaults_;
  BodyLimits limits_;
};

}  // namespace seam::api
