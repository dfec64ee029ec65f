#pragma once
// The routes of sessions: initialize, execute, list, get, patch, delete.
//
//   SessionsApi sessions_api(sessions, registry, executor, names, limits);
//   sessions_api.mount(routes);

#include <string>

#include "api/limits.h"
#include "functions/executor.h"
#include "functions/names.h"
#include "functions/registry.h"
#include "functions/sessions.h"
#include "http/routes.h"

namespace seam::api {

// Borrows all until it is gone. Its handlers run on any of the server's loops.
class SessionsApi {
 public:
  SessionsApi(functions::Sessions& sessions, functions::Registry& registry,
              functions::Executor& executor, const functions::RuntimeMap& names, const Clock& clock,
              functions::ImplementationOptions defaults, BodyLimits limits);
  void mount(http::RouteTable& routes);

 private:
  using Id = http::Path<"request_id">;
  Task<http::Response> initialize(http::Request& request,
                                  http::Header<"Language-Title"> language_title,
                                  http::JsonBody body);
  Task<http::Response> execute(http::Request& request, Id id, http::Header<"X-Cache-Control"> cache,
                               http::JsonBody body);
  Task<http::Response> list(http::Request& request, http::Query<"page", int> page,
                            http::Query<"per_page", int> per_page);
  Task<http::Response> get(http::Request& request, Id id);
  Task<http::Response> patch(http::Request& request, Id id, http::JsonBody body);
  Task<http::Response> end(http::Request& request, Id id);

  struct Script {
    runtimes::ProgramPtr program;
    std::string runtime;
  };
  Result<void> check_wish(std::string_view runtime_name,
                          const functions::CallContext& context) const;
  Result<Script> make_script(const functions::ResolvedName& name, std::string language_title,
                             std::string content, const functions::CallContext& context) const;
  Task<Result<functions::SessionPtr>> try_initialize(std::string_view language_title,
                                                     std::string_view body);
  Task<Result<functions::SessionPtr>> try_patch(functions::SessionPtr session,
                                                std::string_view body);

  functions::Sessions& sessions_;
  functions::Registry& registry_;
  functions::Executor& executor_;
  const functions::RuntimeMap& names_;
  const Clock& clock_;
  functions::ImplementationOptions defaults_;  // of a session's own script
  BodyLimits limits_;
};

}  // namespace seam::api
