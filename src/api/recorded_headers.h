#pragma once
// The few header fields that a call's record keeps: none that carries a secret.

#include <string>

#include "http/message.h"

namespace seam::api {

// A JSON object of User-Agent, Content-Type, X-Request-ID and traceparent, each cut at 256 bytes.
[[nodiscard]] std::string recorded_headers(const http::Request& request);

}  // namespace seam::api
