#pragma once
// The web console: the files of console/ as they were when the program was built, at /console. It
// is a client of the API like any other, and has no way in of its own.
//
//   ConsoleApi console_api;
//   console_api.mount(routes);

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/routes.h"

namespace seam::api {

// Any loop.
class ConsoleApi {
 public:
  ConsoleApi();
  // Mounts GET /console and GET /console/{file}.
  void mount(http::RouteTable& routes);

 private:
  struct File {
    std::string_view name;
    std::string_view content;
    std::string tag;  // of the content, as ETag has it
  };

  Task<http::Response> page(http::Request& request, http::Header<"If-None-Match"> known);
  Task<http::Response> file(http::Request& request, http::Path<"file"> name,
                            http::Header<"If-None-Match"> known);
  [[nodiscard]] static http::Response answer(const File& file,
                                             std::optional<std::string_view> known);

  std::vector<File> files_;  // the page itself comes first
};

}  // namespace seam::api
