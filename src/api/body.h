#pragma once
// Reading a request's JSON body, member by member, with errors that name the member.
//
//   SEAM_CO_ASSIGN_OR_RETURN(const Body body, Body::read(text, {"context", "script_content"}));
//   SEAM_CO_ASSIGN_OR_RETURN(const std::optional<std::string> script,
//   body.string("script_content"));

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_text.h"
#include "base/result.h"

namespace seam::api {

// The body's members as the text that came; it must outlive this. A member that is null counts as
// left out.
class Body {
 public:
  // An empty text is an empty object.
  // errors    kInvalidArgument   not a JSON object, or a member that is not among `known`
  [[nodiscard]] static Result<Body> read(std::string_view text,
                                         std::initializer_list<std::string_view> known);

  [[nodiscard]] std::optional<std::string_view> raw(std::string_view name) const;
  // As raw(), but null is a value like others.
  [[nodiscard]] std::optional<std::string_view> value(std::string_view name) const {
    return members_.find(name);
  }
  // errors    kInvalidArgument   there, but not of this type
  [[nodiscard]] Result<std::optional<std::string>> string(std::string_view name) const;
  [[nodiscard]] Result<std::optional<std::string_view>> object(std::string_view name) const;
  [[nodiscard]] Result<std::optional<std::int64_t>> integer(std::string_view name) const;
  [[nodiscard]] Result<std::vector<std::string>> strings(std::string_view name) const;

 private:
  JsonObjectText members_;
};

}  // namespace seam::api
