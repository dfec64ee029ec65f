#pragma once
// Functions as the API shows them.

#include <string>

#include "functions/catalogue.h"

namespace seam::api {

// {"language", "title", "language_title", "description", "version", "tags", "created_at",
// "updated_at"}; `version` is the newest.
[[nodiscard]] std::string render_summary(const functions::Function& function);

// The above plus "implementations", "route", and "schema" and "examples" of the version that
// answers.
[[nodiscard]] std::string render_function(const functions::Function& function);

// {"language_title", "versions": [{"version", "runtime", "engine", "hash", "content_bytes",
// "created_at", "options", "routed"}]}, newest first. The values of environment variables are not
// shown.
[[nodiscard]] std::string render_versions(const functions::Function& function);

}  // namespace seam::api
