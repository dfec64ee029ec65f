#include "contests.h"

#include "wasm/wasmi/wasmi.h"
#include "wasm/wasmtime/wasmtime.h"
#include "wasm/wazero/wazero.h"

namespace seam::bench {

std::vector<std::string> modes_of(const wasm::EngineAdapter& adapter) {
  std::vector<std::string> modes(adapter.modes.begin(), adapter.modes.end());
  if (modes.empty()) modes.emplace_back();
  return modes;
}
std::vector<wasm::EngineAdapter> adapters() {
  return {wasm::wasmtime_adapter(), wasm::wasmi_adapter(), wasm::wazero_adapter()};
}

std::vector<Contest> contests(const SubjectOptions& common) {
  std::vector<Contest> all;
  const auto add = [&](const wasm::EngineAdapter& adapter, auto direct) {
    for (const std::string& mode : modes_of(adapter)) {
      Contest contest{.adapter = adapter, .options = common, .direct = direct};
      contest.options.mode = mode;
      all.push_back(contest);
    }
  };
  add(wasm::wasmtime_adapter(), wasmtime_direct);
  add(wasm::wasmi_adapter(), wasmi_direct);
  add(wasm::wazero_adapter(), wazero_direct);
  return all;
}

}  // namespace seam::bench
