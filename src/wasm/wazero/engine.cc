#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "wasm/wazero/instance.h"
#include "wasm/wazero/wazero.h"

namespace seam::wasm {
namespace {

// In front of serialised code: what it is of, and how many of the bytes that follow are the module.
constexpr std::string_view kMagic = "seam-wazero-1\n";

class WazeroModule final : public CompiledModule {
 public:
  WazeroModule(std::shared_ptr<const WazeroCode> code, std::string_view key, std::string bytes)
      : code_(std::move(code)), key_(key), bytes_(std::move(bytes)) {}

  const std::vector<ExternType>& exports() const override { return code_->info.exports; }
  const std::vector<ExternType>& imports() const override { return code_->info.imports; }
  Outcome<std::string> serialise() const override {
    WazeroBuffer buffer;
    if (code_->engine->api.seam_wazero_serialise(code_->module, buffer.out()) != 0)
      return std::unexpected(take_error(buffer));
    const std::uint64_t size = bytes_.size();
    std::string result = fmt::format("{}{}\n", kMagic, key_);
    result.append(reinterpret_cast<const char*>(&size), sizeof size);
    result += bytes_;
    result += buffer.bytes();
    return result;
  }
  std::size_t code_bytes() const override { return code_->info.code_bytes; }

  const std::shared_ptr<const WazeroCode>& code() const { return code_; }

 private:
  std::shared_ptr<const WazeroCode> code_;  // shared: by its instances
  std::string key_;
  std::string bytes_;  // wazero decodes the module again when its code is loaded
};

class WazeroRuntime final : public Runtime {
 public:
  WazeroRuntime(std::shared_ptr<WazeroEngine> engine, std::string key, bool compiles)
      : engine_(std::move(engine)), key_(std::move(key)), compiles_(compiles) {}

  std::string_view name() const override { return "wazero"; }
  std::string engine_key() const override { return key_; }

  Outcome<std::unique_ptr<CompiledModule>> compile(std::string_view bytes) override {
    WazeroBuffer buffer;
    return module_of(engine_->api.seam_wazero_compile(engine_->runtime, unsigned_bytes(bytes),
                                                      bytes.size(), buffer.out()),
                     buffer, bytes);
  }

  Outcome<std::unique_ptr<CompiledModule>> load(std::string_view machine_code) override {
    const std::string head = fmt::format("{}{}\n", kMagic, key_);
    std::uint64_t size = 0;
    if (!compiles_ || !machine_code.starts_with(head) ||
        machine_code.size() - head.size() < sizeof size) {
      return fail(ErrorCode::kModuleCompileFailed, "no machine code of " + key_);
    }
    machine_code.remove_prefix(head.size());
    std::memcpy(&size, machine_code.data(), sizeof size);
    machine_code.remove_prefix(sizeof size);
    if (size > machine_code.size())
      return fail(ErrorCode::kModuleCompileFailed, "the machine code is cut short");
    const std::string_view bytes = machine_code.substr(0, size);
    const std::string_view code = machine_code.substr(size);
    WazeroBuffer buffer;
    return module_of(
        engine_->api.seam_wazero_load(engine_->runtime, unsigned_bytes(bytes), bytes.size(),
                                      unsigned_bytes(code), code.size(), buffer.out()),
        buffer, bytes);
  }

  Outcome<std::unique_ptr<Context>> link(const CompiledModule& module,
                                         const HostModule& host) override {
    return make_context(static_cast<const WazeroModule&>(module).code(), host);
  }

  Outcome<std::unique_ptr<ModuleInstance>> instantiate_linked(
      const CompiledModule& module, const HostModule& host, std::span<const LinkedInstance> linked,
      const InstanceOptions& options, const Interruption& interruption) override {
    return make_linked(static_cast<const WazeroModule&>(module).code(), host, linked, options,
                       interruption);
  }

 private:
  static const std::uint8_t* unsigned_bytes(std::string_view bytes) {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
  }

  Outcome<std::unique_ptr<CompiledModule>> module_of(std::uintptr_t module,
                                                     const WazeroBuffer& buffer,
                                                     std::string_view bytes) const {
    if (module == 0) return std::unexpected(take_error(buffer));
    auto code = std::make_shared<WazeroCode>();
    code->engine = engine_;
    code->module = module;
    code->info = read_info(buffer.bytes());
    return std::make_unique<WazeroModule>(std::move(code), key_,
                                          compiles_ ? std::string(bytes) : std::string());
  }

  std::shared_ptr<WazeroEngine> engine_;  // shared: see WazeroEngine
  std::string key_;
  bool compiles_;
};

std::string version_of(const seam_wazero_api& api) {
  WazeroBuffer buffer;
  api.seam_wazero_version(buffer.out());
  return std::string(buffer.bytes());
}

}  // namespace

Outcome<std::unique_ptr<Runtime>> make_wazero(const WazeroOptions& options) {
  SEAM_ASSIGN_OR_RETURN(const seam_wazero_api api, open_wazero(options.library_folder));
  const bool interpreter = options.mode == WazeroOptions::Mode::kInterpreter;
  const unsigned workers =
      options.parallel_compilation ? std::max(std::thread::hardware_concurrency(), 1U) : 1;
  auto engine = std::make_shared<WazeroEngine>();
  engine->api = api;
  seam_wazero_callbacks callbacks = wazero_callbacks();
  WazeroBuffer failed;
  engine->runtime = api.seam_wazero_runtime_new(
      interpreter ? 1 : 0, static_cast<std::int32_t>(workers), &callbacks, failed.out());
  if (engine->runtime == 0) return std::unexpected(take_error(failed));
  engine->watch = std::make_unique<Watch>();
  return std::make_unique<WazeroRuntime>(
      std::move(engine),
      fmt::format("wazero-{}-{}", version_of(api), interpreter ? "interpreter" : "compiled"),
      !interpreter);
}

EngineAdapter wazero_adapter() {
  EngineAdapter adapter;
  adapter.name = "wazero";
  adapter.mode_key = "mode";
  adapter.modes = {"compiled", "interpreter"};
  adapter.capabilities = [](std::string_view mode) {
    EngineCapabilities can;
    can.code_cache = mode != "interpreter";
    can.generates_code = mode != "interpreter";
    can.own_process = true;
    can.proposals = {"tail-call", "extended-const"};
    return can;
  };
  adapter.version = [](const EngineOptions& options) -> Outcome<std::string> {
    SEAM_ASSIGN_OR_RETURN(const seam_wazero_api api, open_wazero(options.library_folder));
    return version_of(api);
  };
  adapter.make = [](const EngineOptions& options) -> Outcome<std::unique_ptr<Runtime>> {
    WazeroOptions wazero;
    if (options.mode == "interpreter") {
      wazero.mode = WazeroOptions::Mode::kInterpreter;
    } else if (!options.mode.empty() && options.mode != "compiled") {
      return fail(ErrorCode::kInvalidConfiguration,
                  fmt::format("wazero has no mode '{}': compiled or interpreter", options.mode));
    }
    wazero.parallel_compilation = options.parallel_compilation;
    wazero.library_folder = options.library_folder;
    return make_wazero(wazero);
  };
  return adapter;
}

}  // namespace seam::wasm
