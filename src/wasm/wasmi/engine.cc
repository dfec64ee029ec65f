#include <fmt/format.h>

#include "wasm/shared_library.h"
#include "wasm/wasmi/store.h"
#include "wasm/wasmi/wasmi.h"

namespace seam::wasm {
namespace {

Outcome<const seam_wasmi_api*> load_api(const std::filesystem::path& folder) {
  const std::filesystem::path file = engine_library(folder, "wasmi");
  SEAM_ASSIGN_OR_RETURN(const SharedLibrary library, SharedLibrary::open(file));
  SEAM_ASSIGN_OR_RETURN(seam_wasmi_get* const get, library.function<seam_wasmi_get>("seam_wasmi"));
  const seam_wasmi_api* api = get();
  if (api->abi != SEAM_WASMI_ABI || api->size != sizeof(seam_wasmi_api)) {
    return fail(ErrorCode::kRuntimeNotFound,
                fmt::format("{} is of another version of this program: build it with ./dev setup, "
                            "or install the package again",
                            file.string()));
  }
  return api;
}

void add_extern(void* data, const seam_wasmi_extern* item) {
  static_assert(static_cast<int>(ValueType::kExternref) == SEAM_WASMI_EXTERNREF);
  static_assert(static_cast<int>(ExternKind::kMemory) == SEAM_WASMI_MEMORY);
  ExternType& out = static_cast<std::vector<ExternType>*>(data)->emplace_back();
  out.module.assign(item->module, item->module_size);
  out.name.assign(item->name, item->name_size);
  out.kind = static_cast<ExternKind>(item->kind);
  const auto types = [](const std::uint8_t* codes, std::size_t count) {
    std::vector<ValueType> list;
    for (std::size_t i = 0; i < count; ++i) list.push_back(static_cast<ValueType>(codes[i]));
    return list;
  };
  out.function.params = types(item->params, item->params_count);
  out.function.results = types(item->results, item->results_count);
  out.memory_pages_min = item->memory_pages_min;
}

class WasmiModule final : public CompiledModule {
 public:
  WasmiModule(std::shared_ptr<WasmiEngine> engine, seam_wasmi_module* module, std::size_t bytes)
      : engine_(std::move(engine)), module_(module), bytes_(bytes) {
    engine_->api.module_exports(module_, add_extern, &exports_);
    engine_->api.module_imports(module_, add_extern, &imports_);
  }
  WasmiModule(WasmiModule&&) = delete;
  ~WasmiModule() override { engine_->api.module_delete(module_); }

  const std::vector<ExternType>& exports() const override { return exports_; }
  const std::vector<ExternType>& imports() const override { return imports_; }
  Outcome<std::string> serialise() const override {
    return fail(ErrorCode::kInvalidConfiguration,
                "wasmi interprets: it has no form of a module but the module's own bytes");
  }
  // The module's bytes; what is translated of them comes on top, function by function.
  std::size_t code_bytes() const override { return bytes_; }

  const WasmiEngine* engine() const { return engine_.get(); }
  const seam_wasmi_module* module() const { return module_; }

 private:
  std::shared_ptr<WasmiEngine> engine_;  // shared: see WasmiStore
  seam_wasmi_module* module_;
  std::size_t bytes_;
  std::vector<ExternType> exports_;
  std::vector<ExternType> imports_;
};

class WasmiRuntime final : public Runtime {
 public:
  explicit WasmiRuntime(std::shared_ptr<WasmiEngine> engine) : engine_(std::move(engine)) {}

  std::string_view name() const override { return "wasmi"; }
  std::string engine_key() const override { return fmt::format("wasmi-{}", engine_->api.version); }

  Outcome<std::unique_ptr<CompiledModule>> compile(std::string_view bytes) override {
    seam_wasmi_module* module = nullptr;
    seam_wasmi_error error;
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    if (engine_->api.module_new(data, bytes.size(), &module, &error) != SEAM_WASMI_DONE) {
      Error taken = take_error(engine_->api, error);
      taken.code = ErrorCode::kModuleCompileFailed;
      return std::unexpected(std::move(taken));
    }
    return std::make_unique<WasmiModule>(engine_, module, bytes.size());
  }

  Outcome<std::unique_ptr<CompiledModule>> load(std::string_view /*machine_code*/) override {
    return fail(ErrorCode::kModuleCompileFailed,
                "wasmi interprets: compile the module from its bytes");
  }

  Outcome<std::unique_ptr<Context>> link(const CompiledModule& module,
                                         const HostModule& host) override {
    const auto* own = dynamic_cast<const WasmiModule*>(&module);
    if (own == nullptr) return std::unexpected(foreign_module());
    return make_context(engine_, own->module(), module, host);
  }

  Outcome<std::unique_ptr<ModuleInstance>> instantiate_linked(
      const CompiledModule& module, const HostModule& host, std::span<const LinkedInstance> linked,
      const InstanceOptions& options, const Interruption& interruption) override {
    const auto* own = dynamic_cast<const WasmiModule*>(&module);
    if (own == nullptr) return std::unexpected(foreign_module());
    return make_linked(engine_, own->module(), module, host, linked, options, interruption);
  }

 private:
  static Error foreign_module() {
    return {.code = ErrorCode::kInvalidConfiguration,
            .message = "the module was compiled by another engine: compile it with this one"};
  }

  std::shared_ptr<WasmiEngine> engine_;  // shared: see WasmiStore
};

}  // namespace

Outcome<std::unique_ptr<Runtime>> make_wasmi(const WasmiOptions& options) {
  SEAM_ASSIGN_OR_RETURN(const seam_wasmi_api* const api, load_api(options.library_folder));
  return std::make_unique<WasmiRuntime>(std::make_shared<WasmiEngine>(*api, options.fuel));
}

EngineAdapter wasmi_adapter() {
  EngineAdapter adapter;
  adapter.name = "wasmi";
  adapter.capabilities = [](std::string_view /*mode*/) {
    EngineCapabilities can;
    can.fuel = true;
    can.slices = true;
    can.proposals = {"tail-call", "extended-const", "relaxed-simd"};
    return can;
  };
  adapter.version = [](const EngineOptions& options) -> Outcome<std::string> {
    SEAM_ASSIGN_OR_RETURN(const seam_wasmi_api* const api, load_api(options.library_folder));
    return api->version;
  };
  adapter.make = [](const EngineOptions& options) {
    return make_wasmi({.library_folder = options.library_folder, .fuel = options.fuel});
  };
  return adapter;
}

}  // namespace seam::wasm
