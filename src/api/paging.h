#pragma once
// Pages of a list: `page` from 1, `per_page` from 1 to 100.
//
//   SEAM_CO_ASSIGN_OR_RETURN(const Paging paging, Paging::of(page.value, per_page.value));

#include <cstddef>
#include <optional>

#include "base/result.h"

namespace seam::api {

struct Paging {
  std::size_t page = 1;
  std::size_t per_page = 20;

  // errors    kInvalidArgument   out of range
  [[nodiscard]] static Result<Paging> of(std::optional<int> page, std::optional<int> per_page) {
    constexpr int kPagesMax = 1'000'000;
    constexpr int kPerPageMax = 100;
    if (page && (*page < 1 || *page > kPagesMax)) {
      return fail(ErrorCode::kInvalidArgument, "page must be from 1 to 1000000");
    }
    if (per_page && (*per_page < 1 || *per_page > kPerPageMax)) {
      return fail(ErrorCode::kInvalidArgument, "per_page must be from 1 to 100");
    }
    return Paging{.page = static_cast<std::size_t>(page.value_or(1)),
                  .per_page = static_cast<std::size_t>(per_page.value_or(20))};
  }
  [[nodiscard]] std::size_t skip() const { return (page - 1) * per_page; }
};

}  // namespace seam::api
