#pragma once
// The routes of what has happened: records of calls, and what functions printed, read or followed.

#include <string>

#include "base/clock.h"
#include "functions/log_hub.h"
#include "http/routes.h"
#include "store/record_drain.h"
#include "store/store.h"

namespace seam::api {

// Borrows all until it is gone. Its handlers run on any of the server's loops.
class CallsApi {
 public:
  CallsApi(store::Store& store, store::RecordDrain& drain, functions::LogHub& logs,
           const Clock& clock)
      : store_(store), drain_(drain), logs_(logs), clock_(clock) {}
  void mount(http::RouteTable& routes);

 private:
  using Text = std::string;
  Task<http::Response> list(http::Request& request, http::Query<"function", Text> function,
                            http::Query<"session", Text> session,
                            http::Query<"status", Text> status, http::Query<"since", Text> since,
                            http::Query<"until", Text> until, http::Query<"page", int> page,
                            http::Query<"per_page", int> per_page);
  Task<http::Response> get(http::Request& request, http::Path<"call_id"> call_id);
  Task<http::Response> logs(http::Request& request, http::Query<"function", Text> function,
                            http::Query<"session", Text> session, http::Query<"call", Text> call,
                            http::Query<"since", Text> since, http::Query<"until", Text> until,
                            http::Query<"follow", bool> follow, http::Query<"page", int> page,
                            http::Query<"per_page", int> per_page);

  // errors    of the store
  Task<Result<store::CallPage>> find(store::CallQuery query);
  Task<http::Response> follow(http::Request& request, store::CallQuery query);

  store::Store& store_;
  store::RecordDrain& drain_;
  functions::LogHub& logs_;
  const Clock& clock_;
};

}  // namespace seam::api
