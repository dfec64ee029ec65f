#pragma once
// The steps that bring a database from each version to the next: SQL, run in one transaction each
// with the row of schema_version. A step that was released never changes.
//
//   for (const Migration& step : migrations()) if (step.version > current) …

#include <span>

namespace seam::store {

struct Migration {
  int version = 0;
  const char* sql = nullptr;
};

// In order of their versions, from 1 without gaps.
[[nodiscard]] std::span<const Migration> migrations();

}  // namespace seam::store
