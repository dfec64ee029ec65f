// Runs whatever bytes come as a script of the specification's tests (tests/wasm_spec) on wasmtime.
// What cannot be read must be a failure that is told, and nothing may harm the host. The modules
// that a script may name lie beside it: `values.wasm` gives back values of each type, `ends.wasm`
// fails.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "base/check.h"
#include "wasm/wasmtime/wasmtime.h"
#include "wasm_spec/script.h"

using namespace seam;

namespace {

constexpr std::string_view kValues = R"((module
  (global (export "global") (mut i64) (i64.const -5))
  (memory (export "memory") 1 2)
  (table (export "table") 10 20 funcref)
  (func (export "none"))
  (func (export "i32") (param i32) (result i32) (local.get 0))
  (func (export "i64") (param i64) (result i64) (local.get 0))
  (func (export "f32") (param f32) (result f32) (local.get 0))
  (func (export "f64") (param f64) (result f64) (local.get 0))
  (func (export "v128") (param v128) (result v128) (local.get 0))
  (func (export "funcref") (param funcref) (result funcref) (local.get 0))
  (func (export "externref") (param externref) (result externref) (local.get 0))
  (func (export "two") (param i32 f64) (result f64 i32) (local.get 1) (local.get 0))))";
constexpr std::string_view kEnds = R"((module
  (import "values" "none" (func))
  (func (export "trap") (unreachable))
  (func (export "divide") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
  (func $deep (export "deep") (call $deep))))";

// What lies beside every script; goes with the process.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/spec_script_fuzz.XXXXXX";
    CHECK(::mkdtemp(name) != nullptr);
    path_ = name;
    write("values.wasm", kValues);
    write("ends.wasm", kEnds);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  void write(std::string_view name, std::string_view text) const {
    const auto bytes = wasm::wasm_from_text(text);
    CHECK(bytes.has_value());
    std::ofstream(path_ / name, std::ios::binary) << *bytes;
  }

  std::filesystem::path path_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::unique_ptr<wasm::Runtime> runtime = *wasm::make_wasmtime({.instances_max = 64});
  static const std::unique_ptr<wasm::SpecTest> tests = *wasm::SpecTest::make(*runtime, {});
  static const Folder folder;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const wasm::ScriptResult result = tests->run(text, folder.path());
  for (const wasm::ScriptResult::Failure& failure : result.failures)
    CHECK(!failure.message.empty());
  return 0;
}
