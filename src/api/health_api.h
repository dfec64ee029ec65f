#pragma once
// The routes that say how the server is: livez, readyz, health.

#include <array>
#include <atomic>
#include <string>

#include "functions/registry.h"
#include "http/routes.h"
#include "store/store.h"

namespace seam::api {

// Borrows all until it is gone. Any loop.
class HealthApi {
 public:
  // `isolation` is a JSON object that /health shows as it is.
  HealthApi(store::Store& store, const functions::RuntimeTable& runtimes, std::string version,
            std::string isolation);
  void mount(http::RouteTable& routes);

  // Until this is called, and after false, readyz answers 503. Any thread.
  void set_ready(bool ready) { ready_ = ready; }

 private:
  Task<http::Response> live(http::Request& request);
  Task<http::Response> ready(http::Request& request);
  Task<http::Response> health(http::Request& request);

  store::Store& store_;
  const functions::RuntimeTable& runtimes_;
  std::string version_;
  std::string isolation_;
  std::atomic<bool> ready_{false};
};

}  // namespace seam::api
