#include "engines/engine_suite.h"

#include <map>
#include <stdexcept>

#include "endurance/engines.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::wasm {
namespace {

std::unique_ptr<Runtime> make_runtime(const Subject& subject, bool fuel) {
  auto made = subject.adapter.make({.mode = subject.mode,
                                    .fuel = fuel,
                                    .instances_max = 16,
                                    .library_folder = endurance::library_folder()});
  EXPECT_TRUE(made) << made.error().message;
  return std::move(made).value_or(nullptr);
}

}  // namespace

void PrintTo(const Subject& subject, std::ostream* out) {
  *out << subject.adapter.name << ' ' << subject.mode;
}

testing::internal::ParamGenerator<Subject> every_engine() {
  std::vector<Subject> subjects;
  for (const EngineAdapter& adapter : endurance::engines()) {
    if (adapter.modes.empty()) subjects.push_back({adapter, ""});
    for (const std::string_view mode : adapter.modes)
      subjects.push_back({adapter, std::string(mode)});
  }
  return testing::ValuesIn(subjects);
}

std::string name_of(const testing::TestParamInfo<Subject>& info) {
  const auto& [adapter, mode] = info.param;
  return std::string(adapter.name) + (mode.empty() ? "" : "_" + mode);
}

Runtime& EngineSuite::runtime(bool fuel) {
  static std::map<std::tuple<std::string_view, std::string, bool>, std::unique_ptr<Runtime>> made;
  std::unique_ptr<Runtime>& one = made[{GetParam().adapter.name, GetParam().mode, fuel}];
  if (one == nullptr) one = make_runtime(GetParam(), fuel);
  return *one;
}

EngineCapabilities EngineSuite::can() { return GetParam().adapter.capabilities(GetParam().mode); }

std::string EngineSuite::module_of(std::string_view text) {
  Outcome<std::string> bytes = wasm_from_text(text);
  EXPECT_TRUE(bytes) << bytes.error().message;
  return bytes.value_or("");
}

Outcome<Guest> EngineSuite::try_make(std::string_view text, const HostModule& host,
                                     const InstanceOptions& options, Runtime& engine) {
  Guest guest;
  SEAM_ASSIGN_OR_RETURN(guest.module, engine.compile(module_of(text)));
  SEAM_ASSIGN_OR_RETURN(guest.context, engine.link(*guest.module, host));
  SEAM_ASSIGN_OR_RETURN(guest.instance,
                        guest.context->instantiate(options, {Deadline::after(seconds(10)), {}}));
  return guest;
}

Guest EngineSuite::make(std::string_view text, const HostModule& host,
                        const InstanceOptions& options) {
  Outcome<Guest> guest = try_make(text, host, options);
  if (!guest) throw std::runtime_error(guest.error().message);  // fails the test
  return std::move(*guest);
}

Outcome<> EngineSuite::call_void(Guest& guest, std::string_view name, Deadline deadline) {
  return guest.instance->function(name)->call(deadline);
}

}  // namespace seam::wasm
