#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/check.h"
#include "conformance/suite.h"
#include "runtimes/node/node_runtime.h"
#include "runtimes/python/python_runtime.h"
#include "runtimes/rust/rust_runtime.h"
#include "runtimes/wasm/engine_process.h"
#include "runtimes/wasm/wasm_runtime.h"
#include "wasm/shared_library.h"
#include "wasm/wasmi/wasmi.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::conformance {

namespace {

// Two workers more than the tests that run calls side by side need.
constexpr runtimes::PoolLimits kLimits = {.workers_max = 16, .warm_per_loop = 1};

Language nodejs() {
  return {
      .name = "nodejs",
      .create =
          [](const Host& host) {
            return runtimes::create_node_runtime({.harness_folder = host.folder, .limits = kLimits},
                                                 host.spawner, host.loops);
          },
      .forms =
          {
              {"body", "return event.params.a + event.params.b;"},
              {"module", "module.exports = async (event) => event.params.a + event.params.b;"},
              {"callback",
               "module.exports = async (context, callback) => {\n"
               "  callback(null, context.params.a + context.params.b);\n};"},
              {"es_module", "export default async (event) => event.params.a + event.params.b;"},
          },
      .programs =
          {
              {"echo", "return event.params;"},
              {"identity",
               "const made = Math.random().toString(36);\nmodule.exports = () => made;"},
              {"throws",
               "// a comment\nfunction inner() {\n  throw new TypeError('boom');\n}\nreturn "
               "inner();"},
              {"syntax_error", "const a = 1;\nlet b = ;\nreturn a;"},
              {"log", "console.log('x'.repeat(event.params.n)); return true;"},
              {"log_lines",
               "for (let i = 0; i < event.params.n; ++i) {\n"
               "  if (i % 2 === 0) console.log('line ' + i); else console.error('line ' + i);\n}\n"
               "return true;"},
              {"raw_log",
               "const fs = require('fs');\nlet left = event.params.n;\n"
               "const block = Buffer.alloc(65536, 'x');\n"
               "while (left > 0) left -= fs.writeSync(1, block, 0, Math.min(left, 65536));\n"
               "return true;"},
              {"spin", "for (;;) {}"},
              {"allocate",
               "const kept = [];\n"
               "for (let i = 0; i < event.params.mib; ++i) kept.push(Buffer.alloc(1 << 20, 7));\n"
               "return kept.length > 0;"},
              {"exit", "process.exit(3);"},
              {"sleep",
               "await new Promise((done) => setTimeout(done, event.params.ms)); return 'slept';"},
              {"bad_result", "const a = {}; a.a = a; return a;"},
              {"large_result", "return 'r'.repeat(event.params.n);"},
              {"garbage", "require('fs').writeSync(3, Buffer.alloc(200000, 0xa5)); for (;;) {}"},
              {"forged",
               "const frame = Buffer.from('\\x09\\0\\0\\0\\x82\"forged\"', 'latin1');\n"
               "require('fs').writeSync(3, frame); return 'own';"},
          },
      .throws_at = {.line = 3, .column = 9},
      .thrown_type = "TypeError",
      .thrown_trace = ":3",
      .syntax_error_at = {.line = 2, .column = 9},
  };
}

Language python() {
  return {
      .name = "python",
      .create =
          [](const Host& host) {
            return runtimes::create_python_runtime(
                {.harness_folder = host.folder, .limits = kLimits}, host.spawner, host.loops);
          },
      .forms =
          {
              {"statements", "result = params['a'] + params['b']"},
              {"handle", "def handle(params):\n    return params['a'] + params['b']\n"},
              {"handler",
               "def handler(context):\n    p = context['params']\n    return p['a'] + p['b']\n"},
              {"async_handle", "async def handle(params):\n    return params['a'] + params['b']\n"},
              {"async_handler",
               "async def handler(context):\n    p = context['params']\n"
               "    return p['a'] + p['b']\n"},
          },
      .programs =
          {
              {"echo", "def handle(params):\n    return params\n"},
              {"identity",
               "import os\nmade = os.urandom(16).hex()\ndef handle(params):\n    return made\n"},
              {"throws", "# a comment\ndef handle(params):\n    raise TypeError('boom')\n"},
              {"syntax_error", "a = 1\nb = = 2\n"},
              {"log", "def handle(params):\n    print('x' * params['n'])\n    return True\n"},
              {"log_lines",
               "import sys\ndef handle(params):\n    for i in range(params['n']):\n"
               "        print(f'line {i}', file=sys.stderr if i % 2 else sys.stdout)\n"
               "    return True\n"},
              {"raw_log",
               "import os\ndef handle(params):\n    left = params['n']\n    while left > 0:\n"
               "        left -= os.write(1, b'x' * min(left, 65536))\n    return True\n"},
              {"spin", "def handle(params):\n    while True: pass\n"},
              {"allocate",
               "def handle(params):\n    kept = []\n    for i in range(params['mib']):\n"
               "        kept.append(bytearray(b'\\7') * (1 << 20))\n    return len(kept) > 0\n"},
              {"exit", "import os\ndef handle(params):\n    os._exit(3)\n"},
              {"sleep",
               "import asyncio\nasync def handle(params):\n"
               "    await asyncio.sleep(params['ms'] / 1000)\n    return 'slept'\n"},
              {"bad_result", "def handle(params):\n    return {1, 2}\n"},
              {"large_result", "def handle(params):\n    return 'r' * params['n']\n"},
              {"garbage",
               "import os\ndef handle(params):\n    os.write(3, b'\\xa5' * 200000)\n"
               "    while True: pass\n"},
              {"forged",
               "import os\ndef handle(params):\n"
               "    os.write(3, b'\\x09\\0\\0\\0\\x82\"forged\"')\n    return 'own'\n"},
          },
      .throws_at = {.line = 3, .column = 0},
      .thrown_type = "TypeError",
      .thrown_trace = "line 3",
      .syntax_error_at = {.line = 2, .column = 5},
      .keeps_number_text = false,
  };
}

// A module built from wasm/<name>.c.
std::string guest(const std::string& name) {
  std::ifstream file(fmt::format("{}/{}.wasm", SEAM_CONFORMANCE_GUESTS, name), std::ios::binary);
  CHECK(file.is_open());
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

Language wasm() {
  Language language = {
      .name = "wasm",
      .create = [](const Host& host) -> Result<std::unique_ptr<runtimes::Runtime>> {
        wasm::Outcome<std::unique_ptr<wasm::Runtime>> engine = wasm::make_wasmtime({});
        if (!engine) return std::unexpected(engine.error().canonical());
        return runtimes::make_wasm_runtime(*std::move(engine),
                                           {.cache_folder = host.folder + "/wasm-cache"});
      },
      .forms = {{"reactor", guest("add")}, {"command", guest("add_command")}},
      .programs = {{"syntax_error", std::string("\0asm\1\0\0\0 no section", 19)}},
      .lacks =
          {
              {"identity", "each call has a fresh instance, of which nothing is kept"},
              {"garbage", "there is no descriptor 3 and no protocol for a guest to break"},
              {"forged", "there is no descriptor 3 and no protocol for a guest to break"},
          },
      .no_worker = "guests run in the server's own process",
      .ends_alone = true,
      .thrown_type = "Trap:Unreachable",
      .thrown_message = "an unreachable instruction was executed",
      .thrown_trace = "at inner (function ",
      .keeps_number_text = true,
  };
  for (const char* const name : {"echo", "throws", "log", "log_lines", "raw_log", "spin",
                                 "allocate", "exit", "sleep", "bad_result", "large_result"})
    language.programs[name] = guest(name);
  return language;
}

// The same guests on wasmi, in the server.
Language wasmi() {
  Language language = wasm();
  language.name = "wasmi";
  language.thrown_trace.clear();  // it keeps no backtrace
  language.create = [](const Host& /*host*/) -> Result<std::unique_ptr<runtimes::Runtime>> {
    auto engine = wasm::make_wasmi({.library_folder = SEAM_ENGINES});
    if (!engine) return std::unexpected(engine.error().canonical());
    return runtimes::make_wasm_runtime(*std::move(engine), {});
  };
  return language;
}

// The same guests in processes of an engine, which are `seam` itself.
Language wasm_in_process(const std::string& engine) {
  Language language = wasm();
  language.name = engine + "_process";
  language.create = [engine](const Host& host) -> Result<std::unique_ptr<runtimes::Runtime>> {
    return runtimes::make_engine_processes(
        {.engine = engine,
         .library_folder = SEAM_ENGINES,
         .options = {.program = SEAM_PROGRAM, .limits = kLimits}},
        host.spawner, host.loops);
  };
  language.no_worker.clear();
  return language;
}

// Engines that are libraries of their own, where those were built. They are not opened here: this
// runs before the spawner is forked.
bool is_built(std::string_view engine) {
  return std::filesystem::exists(wasm::engine_library(SEAM_ENGINES, engine));
}

// The runtime with the one that runs its modules; both end together.
class RustWithWasm final : public runtimes::Runtime {
 public:
  static Result<std::unique_ptr<runtimes::Runtime>> create(const Host& host) {
    wasm::Outcome<std::unique_ptr<wasm::Runtime>> engine = wasm::make_wasmtime({});
    if (!engine) return std::unexpected(engine.error().canonical());
    auto made = std::make_unique<RustWithWasm>();
    made->wasm_ = runtimes::make_wasm_runtime(*std::move(engine),
                                              {.cache_folder = host.folder + "/rust-wasm-cache"});
    SEAM_ASSIGN_OR_RETURN(
        made->rust_,
        runtimes::create_rust_runtime(
            {.compiler = {.folder = host.folder + "/rust", .toolchains = {SEAM_RUST_TOOLCHAIN}}},
            host.spawner, *made->wasm_));
    return made;
  }
  std::string_view name() const override { return rust_->name(); }
  Task<Result<void>> prepare(runtimes::ProgramPtr program) override {
    return rust_->prepare(std::move(program));
  }
  Task<runtimes::Outcome> run(runtimes::ProgramPtr program, const runtimes::Call& call,
                              runtimes::CallSink& sink) override {
    return rust_->run(std::move(program), call, sink);
  }
  void release(const std::string& program_id) override { rust_->release(program_id); }
  runtimes::RuntimeHealth health() const override { return rust_->health(); }
  Task<runtimes::RuntimeCounts> counts() override { return rust_->counts(); }
  Task<> shut_down() override {
    co_await rust_->shut_down();
    co_await wasm_->shut_down();
  }

 private:
  std::unique_ptr<runtimes::Runtime> wasm_;
  std::unique_ptr<runtimes::Runtime> rust_;
};

// A source whose handler's body is line 3 and on, with `params` in sight.
std::string rust_source(std::string_view body) {
  return fmt::format(
      "#[allow(unused_imports)] use serde_json::{{json, Map, Value}};\n"
      "pub fn handler(context: Map<String, Value>) -> Result<Value, String> {{ let params = "
      "&context[\"params\"]; let _ = params;\n{}\n}}\n",
      body);
}

Language rust() {
  return {
      .name = "rust",
      .create = RustWithWasm::create,
      .forms = {{"handler", rust_source("    Ok(json!(params[\"a\"].as_i64().unwrap() + "
                                        "params[\"b\"].as_i64().unwrap()))")}},
      .programs =
          {
              {"echo", rust_source("    Ok(params.clone())")},
              {"throws", rust_source("    panic!(\"{}\", \"boom\")")},
              {"syntax_error", rust_source("    let b = ;\n    Ok(json!(b))")},
              {"log", rust_source("    println!(\"{}\", "
                                  "\"x\".repeat(params[\"n\"].as_u64().unwrap() as usize));\n"
                                  "    Ok(json!(true))")},
              {"log_lines", rust_source("    for i in 0..params[\"n\"].as_u64().unwrap() {\n"
                                        "        if i % 2 == 0 { println!(\"line {}\", i) } else { "
                                        "eprintln!(\"line {}\", i) }\n    }\n    Ok(json!(true))")},
              {"raw_log",
               rust_source(
                   "    use std::io::Write;\n    let block = [b'x'; 65536];\n"
                   "    let mut left = params[\"n\"].as_u64().unwrap() as usize;\n"
                   "    let mut out = std::io::stdout();\n    while left > 0 {\n"
                   "        let size = left.min(65536);\n"
                   "        out.write_all(&block[..size]).unwrap();\n        left -= size;\n"
                   "    }\n    Ok(json!(true))")},
              {"spin", rust_source("    loop {}")},
              {"allocate",
               rust_source(
                   "    let mut kept = Vec::new();\n"
                   "    for _ in 0..params[\"mib\"].as_u64().unwrap() { kept.push(vec![7u8; 1 "
                   "<< 20]); }\n    Ok(json!(kept.iter().all(|block| block[9] == 7)))")},
              {"exit", rust_source("    std::process::exit(3)")},
              {"sleep",
               rust_source("    std::thread::sleep(std::time::Duration::from_millis(params[\"ms\"]."
                           "as_u64().unwrap()));\n    Ok(json!(\"slept\"))")},
              {"large_result",
               rust_source(
                   "    Ok(json!(\"r\".repeat(params[\"n\"].as_u64().unwrap() as usize)))")},
          },
      .lacks =
          {
              {"identity", "each call has a fresh instance, of which nothing is kept"},
              {"bad_result", "a serde_json::Value is always JSON"},
              {"garbage", "there is no descriptor 3 and no protocol for a guest to break"},
              {"forged", "there is no descriptor 3 and no protocol for a guest to break"},
          },
      .compiled = true,
      .no_worker = "guests run in the server's own process",
      .ends_alone = true,
      .throws_at = {.line = 3, .column = 5},
      .thrown_type = "panic",
      .thrown_trace = "",
      .syntax_error_at = {.line = 3, .column = 13},
  };
}

}  // namespace

std::vector<Language> languages() {
  std::vector<Language> all = {nodejs(), python(), wasm(), rust()};
  if (is_built("wasmi")) all.push_back(wasmi());
  // AddressSanitizer's start sets a limit that the sandbox refuses to our own program.
  constexpr bool kStartsInSandbox = !__has_feature(address_sanitizer);
  if (kStartsInSandbox) all.push_back(wasm_in_process("wasmtime"));
  if (kStartsInSandbox && is_built("wazero")) all.push_back(wasm_in_process("wazero"));
  return all;
}

}  // namespace seam::conformance
