#pragma once
// The JSON Schemas of the API's bodies, each once and by name: routes name them
// (http::RouteInfo::request_schema, http::ResponseInfo::schema), and the OpenAPI document shows
// them as its components. tests/e2e/openapi_test.py holds the server's answers against them.
//
//   .responses = {{200, "The session.", "Session"}}, .notes = {kSessionNote}

#include <string_view>

#include "http/routes.h"

namespace seam::api {

// A JSON object of schemas by name, in the dialect of JSON Schema 2020-12.
[[nodiscard]] std::string_view schemas_json();

// Parameters that many routes have.
inline const http::ParameterNote kNameNote{"language_title",
                                           "The function's name: <language>-<title>.",
                                           R"({"minLength":1,"examples":["nodejs-calculator"]})"};
inline const http::ParameterNote kSessionNote{"request_id", "The session's id, of initialize.",
                                              R"({"minLength":1})"};
inline const http::ParameterNote kPageNote{"page", "The page, from 1.",
                                           R"({"minimum":1,"maximum":1000000,"default":1})"};
inline const http::ParameterNote kPerPageNote{"per_page", "Entries on a page.",
                                              R"({"minimum":1,"maximum":100,"default":20})"};
inline const http::ParameterNote kCacheNote{
    "X-Cache-Control",
    "max-age=<seconds> takes a kept result that old and keeps this one; no-cache always runs."};

}  // namespace seam::api
