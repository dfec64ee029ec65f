#include "contests.h"

#include "wasm/wasmtime/wasmtime.h"

namespace seam::bench {
std::vector<wasm::EngineAdapter> adapters() { return {wasm::wasmtime_adapter()}; }

std::vector<Contest> contests(const SubjectOptions& common) {
  std::vector<Contest> all;
  const auto add = [&](const wasm::EngineAdapter& adapter, auto direct) {
    for (const std::string_view mode : adapter.modes) {
      Contest contest{.adapter = adapter, .options = common, .direct = direct};
      contest.options.mode = mode;
      all.push_back(contest);
    }
  };
  add(wasm::wasmtime_adapter(), wasmtime_direct);
  return all;
}

}  // namespace seam::bench
