#include "functions/catalogue.h"

#include <algorithm>

namespace seam::functions {

const ImplementationPtr* Function::by_id(std::int64_t implementation_id) const {
  const auto found = std::ranges::find_if(
      implementations, [&](const auto& i) { return i->row.id == implementation_id; });
  return found == implementations.end() ? nullptr : &*found;
}

const ImplementationPtr* Function::by_version(std::int64_t version) const {
  const auto found = std::ranges::find_if(implementations,
                                          [&](const auto& i) { return i->row.version == version; });
  return found == implementations.end() ? nullptr : &*found;
}

const ImplementationPtr* Function::choose(std::uint64_t random) const {
  if (routes.empty()) return nullptr;
  if (routes.size() == 1) return by_id(routes.front().implementation_id);
  double total = 0;
  for (const store::RouteRow& route : routes) total += route.weight;
  double at = static_cast<double>(random >> 11U) * 0x1p-53 * total;
  for (const store::RouteRow& route : routes) {
    at -= route.weight;
    if (at < 0) return by_id(route.implementation_id);
  }
  return by_id(routes.back().implementation_id);
}

const FunctionPtr* Catalogue::find(std::string_view language_title) const {
  const auto found = functions_.find(language_title);
  return found == functions_.end() ? nullptr : &found->second;
}

std::vector<FunctionPtr> Catalogue::all() const {
  std::vector<FunctionPtr> functions;
  functions.reserve(functions_.size());
  for (const auto& [name, function] : functions_) functions.push_back(function);
  std::ranges::sort(functions, {}, [](const FunctionPtr& f) -> const std::string& {
    return f->row.language_title;
  });
  return functions;
}

std::shared_ptr<const Catalogue> Catalogue::with(FunctionPtr function) const {
  auto copy = std::make_shared<Catalogue>(*this);
  std::string name = function->row.language_title;
  copy->functions_.insert_or_assign(std::move(name), std::move(function));
  return copy;
}

std::shared_ptr<const Catalogue> Catalogue::without(std::string_view language_title) const {
  auto copy = std::make_shared<Catalogue>(*this);
  if (const auto found = copy->functions_.find(language_title); found != copy->functions_.end())
    copy->functions_.erase(found);
  return copy;
}

}  // namespace seam::functions
