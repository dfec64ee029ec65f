# cmake -DSOURCE=… -DOUT=… -P build_commit.cmake writes OUT, the definition of build_commit() in build_commit.h, if it
# would change.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT [[
#include "cli/build_commit.h"

namespace seam::cli {
std::string_view build_commit() { return "@commit@"; }
}  // namespace seam::cli
]])
