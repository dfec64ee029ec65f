#pragma once
// The catalogue: every function with its versions, implementations and route, as of one moment. It
// never changes: a change makes a new catalogue and hands it to each loop (functions/registry.h),
// so that a call reads its loop's own without a lock.
//
//   const Function* function = catalogue.find("nodejs-calculator");
//   const Implementation* chosen = function->choose(random);

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "functions/call_metrics.h"
#include "functions/function_schema.h"
#include "runtimes/runtime.h"
#include "store/store.h"

namespace seam::functions {

// What a `PUT` may say of a version beside its content; kept as the implementation's options.
struct ImplementationOptions {
  std::string entry;
  std::optional<std::int64_t> timeout_ms;
  std::optional<bool> cacheable;  // whether results of equal calls may be answered again
  bool idempotent = false;        // a call may be run twice
  std::map<std::string, std::string> environment;
  runtimes::ProgramLimits limits;
  runtimes::EngineWish wish;
};

// One implementation of one version. Immutable, shared between threads and catalogues.
struct Implementation {
  store::ImplementationRow row;
  ImplementationOptions options;
  runtimes::ProgramPtr
      program;  // null until its content is wanted: only routed implementations are held in memory
  FunctionSchema schema;  // read together with the program; empty before
  CallSeriesPtr series;   // of the function in this runtime
};
using ImplementationPtr = std::shared_ptr<const Implementation>;

struct Function {
  store::FunctionRow row;
  std::vector<ImplementationPtr> implementations;  // newest version first
  std::vector<store::RouteRow> routes;             // weights above 0; no shadows yet

  // The implementation that answers a call: by weight, `random` being uniform over 64 bits. Null
  // where no route leads anywhere.
  [[nodiscard]] const ImplementationPtr* choose(std::uint64_t random) const;
  [[nodiscard]] const ImplementationPtr* by_version(std::int64_t version) const;
  [[nodiscard]] const ImplementationPtr* by_id(std::int64_t implementation_id) const;
};
using FunctionPtr = std::shared_ptr<const Function>;

class Catalogue {
 public:
  [[nodiscard]] const FunctionPtr* find(std::string_view language_title) const;
  [[nodiscard]] std::vector<FunctionPtr> all() const;  // by name
  [[nodiscard]] std::size_t size() const { return functions_.size(); }

  // A copy with this function in place of one of its name, or without that name.
  [[nodiscard]] std::shared_ptr<const Catalogue> with(FunctionPtr function) const;
  [[nodiscard]] std::shared_ptr<const Catalogue> without(std::string_view language_title) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string, FunctionPtr, Hash, std::equal_to<>> functions_;
};

}  // namespace seam::functions
