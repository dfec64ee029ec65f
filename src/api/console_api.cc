#include "api/console_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "api/door.h"
#include "api/errors.h"
#include "base/identifier.h"

namespace seam::embedded {
std::string_view console_index_html();
std::string_view console_console_css();
std::string_view console_icon_svg();
std::string_view console_theme_js();
std::string_view console_api_js();
std::string_view console_call_js();
std::string_view console_calls_js();
std::string_view console_console_js();
std::string_view console_editor_js();
std::string_view console_function_js();
std::string_view console_functions_js();
std::string_view console_live_js();
std::string_view console_logs_js();
std::string_view console_runner_js();
std::string_view console_server_js();
std::string_view console_text_js();
std::string_view console_try_js();
std::string_view console_view_js();
}  // namespace seam::embedded

namespace seam::api {
namespace {

constexpr std::string_view kPage = "index.html";

std::string_view type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "text/javascript; charset=utf-8";
}

// What functions return and print is shown on the page, so whatever it may be, it is not run: no
// script but these files, no markup made of text (Trusted Types), nothing from elsewhere, no frame.
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kHeaders = {
    {{"Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
      "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
      "require-trusted-types-for 'script'; trusted-types 'none'"},
     {"X-Content-Type-Options", "nosniff"},
     {"X-Frame-Options", "DENY"},  // for browsers that do not know frame-ancestors
     {"Referrer-Policy", "no-referrer"},
     {"Cross-Origin-Opener-Policy", "same-origin"},
     {"Cross-Origin-Resource-Policy", "same-origin"},
     {"Cache-Control", "no-cache"}}};  // asked for each time: another build has other files

// source    RFC 9110, section 13.1.2: a list of tags, compared without their weakness, or *.
bool knows(std::string_view known, std::string_view tag) {
  return known == "*" || known.contains(tag);
}

}  // namespace

ConsoleApi::ConsoleApi()
    : files_{{kPage, embedded::console_index_html(), {}},
             {"console.css", embedded::console_console_css(), {}},
             {"icon.svg", embedded::console_icon_svg(), {}},
             {"theme.js", embedded::console_theme_js(), {}},
             {"api.js", embedded::console_api_js(), {}},
             {"call.js", embedded::console_call_js(), {}},
             {"calls.js", embedded::console_calls_js(), {}},
             {"console.js", embedded::console_console_js(), {}},
             {"editor.js", embedded::console_editor_js(), {}},
             {"function.js", embedded::console_function_js(), {}},
             {"functions.js", embedded::console_functions_js(), {}},
             {"live.js", embedded::console_live_js(), {}},
             {"logs.js", embedded::console_logs_js(), {}},
             {"runner.js", embedded::console_runner_js(), {}},
             {"server.js", embedded::console_server_js(), {}},
             {"text.js", embedded::console_text_js(), {}},
             {"try.js", embedded::console_try_js(), {}},
             {"view.js", embedded::console_view_js(), {}}} {
  for (File& file : files_) file.tag = fmt::format("\"{}\"", sha256_hex(file.content));
}

void ConsoleApi::mount(http::RouteTable& routes) {
  using enum http::Method;
  const http::ParameterNote known{"If-None-Match",
                                  "The ETag of what the client has: 304 where it is the same."};
  std::string names;
  for (const File& file : files_)
    if (file.name != kPage) names += fmt::format(R"({}"{}")", names.empty() ? "" : ",", file.name);
  routes.add({.method = kGet,
              .path = "/console",
              .operation = "console",
              .summary = "Gives the page of the web console.",
              .responses = {{200, "The page.", {}, "text/html"}, {304, "The client has it."}},
              .notes = {known}},
             http::bind(this, &ConsoleApi::page));
  routes.add({.method = kGet,
              .path = "/console/{file}",
              .operation = "consoleFile",
              .summary = "Gives a file of the web console.",
              .responses = {{200, "The file.", {}, "text/css"},
                            {200, "The file.", {}, "text/javascript"},
                            {200, "The file.", {}, "image/svg+xml"},
                            {304, "The client has it."},
                            {404, "The console has no such file.", "Error"}},
              .notes = {{"file", "Its name.", fmt::format(R"({{"enum":[{}]}})", names)}, known}},
             http::bind(this, &ConsoleApi::file));
}

http::Response ConsoleApi::answer(const File& file, std::optional<std::string_view> known) {
  http::Response response = http::Response::empty(304);
  if (!known || !knows(*known, file.tag)) {
    response.status = 200;
    response.content_type = type_of(file.name);
    response.body = file.content;
  }
  for (const auto& [name, value] : kHeaders) response.headers.emplace_back(name, value);
  response.headers.emplace_back("ETag", file.tag);
  return response;
}

Task<http::Response> ConsoleApi::page(http::Request&, http::Header<"If-None-Match"> known) {
  co_return answer(files_.front(), known.value);
}

Task<http::Response> ConsoleApi::file(http::Request& request, http::Path<"file"> name,
                                      http::Header<"If-None-Match"> known) {
  const auto found = std::ranges::find(files_, name.value, &File::name);
  if (found == files_.end() || found->name == kPage) {
    co_return error_response(
        answer_id(request),
        Error{ErrorCode::kNotFound, "the console has no such file; it begins at /console", {}});
  }
  co_return answer(*found, known.value);
}

}  // namespace seam::api
