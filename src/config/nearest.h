#pragma once
// Finds what somebody meant to write.
//
//   nearest("--prot", flags) == "--port"

#include <span>
#include <string>
#include <string_view>

namespace seam::config {

// The candidate that is fewest edits away (a letter added, left out, changed, or two neighbours
// swapped), the first of several; or nothing where even that one is more than a third of the word
// away.
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace seam::config
