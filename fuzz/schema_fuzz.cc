// The first line is a schema of a function, the rest is a value: no schema and no value crashes,
// hangs or takes more than the limits, and a value that has no errors has none again.

#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/json_text.h"
#include "base/json_tree.h"
#include "functions/function_examples.h"
#include "functions/function_schema.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  const auto schema = seam::functions::FunctionSchema::compile(text.substr(0, line));
  if (!schema || line == std::string_view::npos) return 0;
  const auto value = seam::check_json(text.substr(line + 1));
  if (!value) return 0;
  const seam::Result<void> params = schema->check_params(*value);
  CHECK(params.has_value() == schema->check_params(*value).has_value());
  if (!params) CHECK(seam::check_json(params.error().details).has_value());
  CHECK(seam::same_json(*value, *value));
  const auto examples = seam::functions::parse_examples(*value, *schema);
  if (!examples && !examples.error().details.empty())
    CHECK(seam::check_json(examples.error().details).has_value());
  return 0;
}
