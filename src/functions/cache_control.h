#pragma once
// Who wants a call's result kept: the header X-Cache-Control of its request, the context, the
// function and the server, in this order of strength.
//
//   SEAM_ASSIGN_OR_RETURN(const CacheControl control, CacheControl::parse("max-age=60"));
//   const CacheTerms terms = CacheTerms::of(control, context.cacheable, options.cacheable, policy);
//   if (terms.keep) …

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace seam::functions {

// What a request says. Nothing said: the context, the function and the server decide.
struct CacheControl {
  std::optional<seconds> max_age =
      {};                 // accepts a result that old, and keeps this one; at most 2^31 s
  bool no_cache = false;  // runs, whatever is kept; its result takes the place of that
  bool no_store = false;  // runs, and nothing is kept of it

  // `value` is the header's: `max-age=<seconds>`, `no-cache` and `no-store`, of any case, separated
  // by commas. Empty says nothing. A number over 2^31 means 2^31.
  // errors    kInvalidArgument   anything else; the message shows it and what may stand there
  // source    RFC 9111, sections 1.2.2 and 5.2.1
  [[nodiscard]] static Result<CacheControl> parse(std::string_view value);
};

// What the server says.
struct CachePolicy {
  bool by_default = false;  // results are kept of calls where nobody says anything
  seconds ttl{3600};        // a result older than this is not answered, unless by max_age
};

// What one call takes from the cache and leaves there.
struct CacheTerms {
  bool keep = false;       // its result may be kept; false: the cache has no part in this call
  bool look = false;       // a kept result, or the run of an equal call, may answer it
  nanoseconds age_max{0};  // of a kept result that may answer it
  nanoseconds keep_for{0};

  // context, function   what each says of `cacheable`, if anything
  [[nodiscard]] static CacheTerms of(const CacheControl& control, std::optional<bool> context,
                                     std::optional<bool> function, const CachePolicy& policy);
};

}  // namespace seam::functions
