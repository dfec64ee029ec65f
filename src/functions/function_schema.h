#pragma once
// What a function says of its params and its result: `schema` of a `PUT`, {"params": <JSON Schema>,
// "result": <JSON Schema>}, each of which may be left out.
//
//   SEAM_ASSIGN_OR_RETURN(const FunctionSchema schema, FunctionSchema::compile(text));
//   SEAM_RETURN_IF_ERROR(schema.check_params(params));       // before a worker is asked
//
// Immutable; any thread. Shared by all calls of a version.

#include <optional>
#include <string_view>

#include "base/result.h"
#include "functions/json_schema.h"

namespace seam::functions {

class FunctionSchema {
 public:
  // An empty text says nothing of either.
  // errors    kInvalidArgument   not such an object, or one of them is no schema; the message
  // begins
  //                              with the place, as /params/properties/a/type, and details are
  //                              {"pointer": place}
  [[nodiscard]] static Result<FunctionSchema> compile(std::string_view text);

  [[nodiscard]] bool checks_params() const { return params_.has_value(); }
  [[nodiscard]] bool checks_result() const { return result_.has_value(); }

  // `params` has passed check_json().
  // errors    kInvalidArgument   they do not keep to the schema. details: {"errors": [{"pointer",
  //                              "message", "schema"}], "more": true if there may be further ones}
  [[nodiscard]] Result<void> check_params(std::string_view params) const;
  // As check_params(), of a result.
  [[nodiscard]] Result<void> check_result(std::string_view result) const;

 private:
  std::optional<JsonSchema> params_;
  std::optional<JsonSchema> result_;
};

}  // namespace seam::functions
