#pragma once
// GET /openapi.json: what all routes take and give, as an OpenAPI 3.1 document made from the route
// table, so that it cannot leave a route out.
//
//   OpenapiApi openapi_api(version);
//   openapi_api.mount(routes);  …  openapi_api.describe(routes);    // when all are mounted

#include <string>
#include <vector>

#include "http/routes.h"

namespace seam::api {

// The document. A route that names a schema that schemas.h does not have is a bug.
// source    OpenAPI 3.1.0.
[[nodiscard]] std::string openapi_document(const std::vector<http::RouteInfo>& routes,
                                           std::string_view version);

class OpenapiApi {
 public:
  explicit OpenapiApi(std::string version) : version_(std::move(version)) {}
  void mount(http::RouteTable& routes);
  // Once, before requests come.
  void describe(const http::RouteTable& routes) {
    document_ = openapi_document(routes.describe(), version_);
  }

 private:
  Task<http::Response> openapi(http::Request& request);
  std::string version_;
  std::string document_;
};

}  // namespace seam::api
